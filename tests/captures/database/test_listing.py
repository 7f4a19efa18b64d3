from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

from port_hook_cli.captures.database.listing import LISTED_COLUMNS, read_listed
from port_hook_cli.captures.database.rows import capture_row, read_row
from port_hook_cli.captures.documents.exchange_fields import NotACapture, truncate
from port_hook_cli.captures.listed import ListedCapture
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.captures.view.captures import captures_lines
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Exchange, MessageOrigin, Response
from port_hook_cli.invocations.probes import PROBE_AGENT, is_probe
from tests.call_counts import counted_calls
from tests.captures.exchange_strategies import exchanges
from tests.captures.listing import listed
from tests.factories import RUN_ID, an_exchange, an_invocation

PROBE = Headers((("User-Agent", f"{PROBE_AGENT}replay"),))


def as_listed(exchange: Exchange) -> ListedCapture:
    """Return what a list shows of a capture that was read completely."""
    invocation, delivery, response = exchange.invocation, exchange.delivery, exchange.response
    return ListedCapture(
        id=invocation.id,
        received_at=invocation.received_at,
        method=invocation.method,
        replay_of=invocation.replay_of,
        status=exchange.verdict.status,
        is_message=invocation.origin is not None,
        is_probe=is_probe(invocation.headers),
        is_truncated=invocation.truncated is not None,
        payload=exchange.payload,
        response=None if response is None else response.status,
        handler=None if delivery is None else delivery.outcome,
        simulated=exchange.simulated,
    )


def whole(exchange: Exchange) -> Exchange:
    return read_row(capture_row(exchange, keep_secrets=False))


@given(exchanges())
def test_list_shows_what_the_whole_capture_has(exchange: Exchange) -> None:
    assert listed(exchange) == [as_listed(whole(exchange))]


@pytest.mark.parametrize(
    "exchange",
    [
        an_exchange(an_invocation(headers=PROBE)),
        an_exchange(an_invocation(headers=PROBE, replay_of="0123456789ab")),
        an_exchange(an_invocation(headers=Headers((("user-agent", f"{PROBE_AGENT}?"),)))),
        an_exchange(an_invocation(b"{}", headers=Headers((("Run_Id", RUN_ID),)))),
        an_exchange(an_invocation(origin=MessageOrigin("topic", 1, 2, 3))),
        an_exchange(truncate(an_invocation(b"{}" * 20), 10)),
        an_exchange(an_invocation(b"[" * 100_000)),
        an_exchange(an_invocation(b'{"event": {"action": "ENTITY_CREATED"}}', method="\ud800")),
    ],
)
def test_list_shows_what_a_special_capture_has(exchange: Exchange) -> None:
    assert listed(exchange) == [as_listed(whole(exchange))]


@pytest.mark.parametrize("name", sorted({*LISTED_COLUMNS} - {"run_id", "action", "body_size", "kafka"}))
def test_damaged_column_of_a_list_is_refused(name: str) -> None:
    columns = dict(
        zip(LISTED_COLUMNS, ["a", 1.0, "POST", *[None] * 3, "valid", *[None] * 3, "[]", None, None, b"{}"], strict=True)
    )
    assert read_listed([*columns.values(), None]).id == "a"
    for damaged in (float("inf"), 7 if name != "received_at" else -1):
        with pytest.raises(NotACapture):
            read_listed([*(columns | {name: damaged}).values(), None])


def test_line_of_a_list_takes_few_calls(tmp_path: Path) -> None:
    with open_store(None, tmp_path, create=True) as store:
        requests = [an_invocation(id=f"{number:012x}") for number in range(200)]
        store.add([an_exchange(request, response=Response(status=200)) for request in requests])
        list(captures_lines(store.listed(limit=1)))
        with counted_calls() as few:
            assert len(list(captures_lines(store.listed(limit=100)))) == 101
        with counted_calls() as many:
            assert len(list(captures_lines(store.listed()))) == 201
    assert (many.count - few.count) / 100 <= 60
