"""The marks by which requests of `check` are recognized."""

from __future__ import annotations

import json

import pytest

from port_hook_cli.check.subject import subject_of
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.probes import original_of_probe, probed_check, without_probe
from tests.factories import a_body, an_invocation

URL = "http://127.0.0.1:1/"


@pytest.mark.parametrize("body", [b"{}", a_body()], ids=["empty", "payload"])
def test_member_added_by_a_check_is_removed(body: bytes) -> None:
    subject = subject_of("x", an_invocation(body), URL)
    assert json.loads(subject.trying())["port-hook"]["numbers"] == [1e-7, 0.00001, 1e21]
    assert len(subject.large(90_000)) >= 90_000
    for probed in (subject.trying(), subject.large(90_000), subject.large(0)):
        assert without_probe(probed) == body
        again = subject_of("x", an_invocation(probed), URL)
        assert [without_probe(without_probe(each)) for each in (again.trying(), again.large(90_000))] == [body] * 2


def test_other_bodies_are_not_changed() -> None:
    for body in [b"", b"{}", b'{"port-hook":"own"}', b'{"port-hook":"x"}x', b'[{"a":1,"port-hook":"xy"}]', b"\xff}"]:
        assert without_probe(body) == body


def test_user_agent_contains_the_check_slug() -> None:
    for agent, slug in [
        ("port-hook-check/same-run-at-once", "same-run-at-once"),
        ("port-hook-check/", None),
        ("port-hook-check/Old", None),
        ("port-hook-check/old\n", None),
        ("port-hook-check/" + "a" * 41, None),
        ("old", None),
        ("curl/8", None),
    ]:
        headers = Headers((("User-Agent", agent),))
        assert probed_check(headers) == slug
        assert original_of_probe(an_invocation(headers=headers, replay_of="abc")) == ("abc" if slug else None)
    assert probed_check(Headers()) is None
