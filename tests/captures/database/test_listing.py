from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

from port_hook_cli.captures.database.listing import LISTED_COLUMNS, read_listed
from port_hook_cli.captures.database.rows import capture_row, read_row
from port_hook_cli.captures.documents.capture_fields import NotACapture, truncate
from port_hook_cli.captures.listed import ListedCapture
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.captures.view.captures import captures_lines
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, MessageOrigin, Response
from port_hook_cli.invocations.probes import PROBE_AGENT, is_probe
from tests.call_counts import counted_calls
from tests.captures.capture_strategies import captures
from tests.captures.listing import listed
from tests.factories import RUN_ID, a_capture, an_invocation

PROBE = Headers((("User-Agent", f"{PROBE_AGENT}replay"),))


def as_listed(capture: Capture) -> ListedCapture:
    """Return the fields that a list shows from a completely read capture."""
    invocation, delivery, response = capture.invocation, capture.delivery, capture.response
    return ListedCapture(
        id=invocation.id,
        received_at=invocation.received_at,
        replay_of=invocation.replay_of,
        status=capture.verdict.status,
        is_message=invocation.origin is not None,
        is_probe=is_probe(invocation.headers),
        is_truncated=invocation.truncated is not None,
        payload=capture.payload,
        response=None if response is None else response.status,
        handler=None if delivery is None else delivery.outcome,
        simulated=capture.simulated,
    )


def whole(capture: Capture) -> Capture:
    return read_row(capture_row(capture, keep_secrets=False))


@given(captures())
def test_listed_capture_equals_the_whole_capture(capture: Capture) -> None:
    assert listed(capture) == [as_listed(whole(capture))]


def test_listed_special_capture_equals_the_whole_capture() -> None:
    for capture in [
        a_capture(an_invocation(headers=PROBE)),
        a_capture(an_invocation(headers=PROBE, replay_of="0123456789ab")),
        a_capture(an_invocation(headers=Headers((("user-agent", f"{PROBE_AGENT}?"),)))),
        a_capture(an_invocation(b"{}", headers=Headers((("Run_Id", RUN_ID),)))),
        a_capture(an_invocation(origin=MessageOrigin("topic", 1, 2, 3))),
        a_capture(truncate(an_invocation(b"{}" * 20), 10)),
        a_capture(an_invocation(b"[" * 100_000)),
        a_capture(an_invocation(b'{"event": {"action": "ENTITY_CREATED"}}', method="\ud800")),
    ]:
        assert listed(capture) == [as_listed(whole(capture))]


def test_damaged_column_of_a_list_is_rejected() -> None:
    for name in sorted({*LISTED_COLUMNS} - {"run_id", "action", "body_size", "kafka"}):
        columns = dict(
            zip(
                LISTED_COLUMNS,
                ["a", 1.0, *[None] * 3, "valid", *[None] * 3, "[]", None, None, b"{}"],
                strict=True,
            )
        )
        assert read_listed([*columns.values(), None]).id == "a"
        for damaged in (float("inf"), 7 if name != "received_at" else -1):
            with pytest.raises(NotACapture):
                read_listed([*(columns | {name: damaged}).values(), None])


def test_listing_a_capture_takes_few_calls(tmp_path: Path) -> None:
    with open_store(None, tmp_path, create=True) as store:
        requests = [an_invocation(id=f"{number:012x}") for number in range(200)]
        store.add([a_capture(request, response=Response(status=200)) for request in requests])
        list(captures_lines(store.listed(limit=1)))
        with counted_calls() as few:
            assert len(list(captures_lines(store.listed(limit=100)))) == 101
        with counted_calls() as many:
            assert len(list(captures_lines(store.listed()))) == 201
    assert (many.count - few.count) / 100 <= 60
