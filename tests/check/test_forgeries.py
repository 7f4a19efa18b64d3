"""Forged requests are forged: port-hook's own verification rejects each, and accepts the valid request."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.check.catalog import BY_SLUG, CHECKS, selected
from port_hook_cli.check.forgeries import (
    FORGERIES,
    MALFORMED,
    Signing,
    badly_signed,
    by_agent,
    in_other_unit,
    unsigned,
    valid,
)
from port_hook_cli.check.subject import changed_letter, inputs_in, subject_of
from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Invocation, Status, Verdict
from port_hook_cli.invocations.payload import find_run_id
from port_hook_cli.javascript.values import write_json
from port_hook_cli.signatures.signing import TimestampUnit
from port_hook_cli.signatures.verification import verify_signature, verify_without_diagnosis
from port_hook_cli.text.secret import Secret
from tests.json_values import json_values

NOW = 1_790_000_000.0
SECRET = Secret("an-example-and-no-secret")
RUN, OTHER = "r_AAAAAAAAAAAAAAAA", "r_BBBBBBBBBBBBBBBB"
VALUES = json_values(st.text(max_size=10) | st.integers(-1000, 1000), max_leaves=4)
BODIES = st.dictionaries(st.text(max_size=10), VALUES, max_size=4).map(
    lambda found: write_json({"runId": RUN, "name": "web", **found}).encode("utf-8", "surrogatepass")
)


def a_draft(body: bytes) -> Invocation:
    headers = Headers((("content-type", "application/json"),))
    return Invocation(id="", received_at=NOW, method="POST", target="/", headers=headers, body=body)


def signing(unit: TimestampUnit = TimestampUnit.SECONDS) -> Signing:
    return Signing(SECRET.reveal(), unit, NOW)


def verdict(request: Invocation) -> Verdict:
    return verify_signature(request.headers, request.body, SECRET, now=NOW)


def is_valid(request: Invocation) -> bool:
    """Return whether a request is valid, without the search for a cause, which takes 15 ms."""
    found = verify_without_diagnosis(request.headers, request.body, SECRET, now=NOW)
    return found is not None and found.status is Status.VALID


@given(body=BODIES)
def test_valid_request_is_valid(body: bytes) -> None:
    assert verdict(valid(a_draft(body), signing())).status is Status.VALID


@given(body=BODIES)
def test_forged_and_malformed_requests_are_invalid(body: bytes) -> None:
    for slug, forge in FORGERIES.items():
        forged = list(forge(a_draft(body), signing()))
        assert forged
        assert [(slug, each.label) for each in forged if is_valid(each.request)] == []
    malformed = [make(a_draft(body), signing()) for make in MALFORMED.values()]
    others = [*(each.request for each in unsigned(a_draft(body), signing())), *malformed]
    assert [request for request in others if is_valid(request)] == []
    assert not is_valid(badly_signed(a_draft(body), signing()))


def test_old_request_is_signed_correctly() -> None:
    old, in_milliseconds = FORGERIES["old"](a_draft(b'{"a":1}'), signing())

    assert verdict(old.request).status is Status.STALE
    assert in_milliseconds.request.headers.get("x-port-timestamp") == str(int((NOW - 600) * 1000))


def test_unit_of_the_handler_is_used() -> None:
    request = valid(a_draft(b"{}"), signing(TimestampUnit.MILLISECONDS))

    assert request.headers.get("x-port-timestamp") == str(int(NOW * 1000))
    other = in_other_unit(a_draft(b"{}"), signing(TimestampUnit.MILLISECONDS))
    assert other.headers.get("x-port-timestamp") == str(int(NOW))


def test_agent_signs_the_compact_ascii_form_of_its_body() -> None:
    request = by_agent(a_draft('{"a":"ë","b":1}'.encode()), signing())

    assert request.body == b'{"a": "\\u00eb", "b": 1}'
    found = verdict(request)
    assert (found.status, found.signed_form) == (Status.REENCODED, "python-compact")


@given(body=BODIES)
def test_changed_letter_changes_the_document_but_not_the_run(body: bytes) -> None:
    changed = changed_letter(body)

    assert changed is not None
    assert json.loads(changed) != json.loads(body)
    assert find_run_id(json.loads(changed), Headers()) == find_run_id(json.loads(body), Headers())


@given(body=BODIES)
def test_new_copy_differs_only_in_its_run(body: bytes) -> None:
    subject = subject_of("a", a_draft(body), f"http://127.0.0.1:8000/runs/{RUN}?x=1")
    if subject.run_id != RUN:
        return
    copy = subject.fresh(OTHER, "old")

    assert RUN.encode() not in copy.body
    assert copy.body.replace(OTHER.encode(), RUN.encode()) == body
    assert copy.headers.get("user-agent") == "port-hook-check/old"
    assert subject.url_for(OTHER) == f"http://127.0.0.1:8000/runs/{OTHER}?x=1"


def test_inputs_are_found_in_every_form_of_payload() -> None:
    assert inputs_in({"payload": {"properties": {"a": 1}}}) == {"a": 1}
    assert inputs_in({"inputs": {"a": 1}, "action": "x"}) == {"a": 1}
    assert inputs_in({"runId": RUN, "vm": {"a": 1}, "context": {}}) == {"vm": {"a": 1}}
    assert inputs_in([1]) == inputs_in(None) == {}


def test_checks_are_selected_by_slug_and_group() -> None:
    assert selected() == frozenset(BY_SLUG)
    assert selected(("old", "reports")) == {"old"} | {check.slug for check in CHECKS if check.group == "reports"}
    assert selected(("signature",), ("old",)) == {
        check.slug for check in CHECKS if check.group == "signature" and check.slug != "old"
    }
    with pytest.raises(UsageError, match="Unknown check or group: 'older'"):
        selected(("older",))
