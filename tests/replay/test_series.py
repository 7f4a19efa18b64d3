from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from port_hook_cli.errors import ExitCode, PortApiError, SettingsError, StoreError
from port_hook_cli.invocations.expected_status import Expectation
from port_hook_cli.invocations.models import Delivery, Exchange, Invocation
from port_hook_cli.replay.series import (
    Replay,
    Sent,
    Series,
    SourcePlaces,
    exit_code,
    find_source,
    send_series,
    unexpected,
)
from port_hook_cli.replay.tally import tally_deliveries
from tests.factories import RUN_ID, a_body, a_document, an_exchange, an_invocation

NODE_RUN = "wfnr_abc123"


class Shelf:
    """Captures in memory, newest first, by exact id or run id."""

    def __init__(self, *exchanges: Exchange) -> None:
        self.exchanges = exchanges

    def get(self, name: str, /) -> Exchange:
        for exchange in self.exchanges:
            if name in {"last", exchange.invocation.id}:
                return exchange
        raise StoreError(f"No capture starts with {name}.", hint="Look at the list.")

    def last_target(self) -> str | None:
        return None

    def find(self, *, run_id: str | None = None, limit: int, originals: bool) -> Iterator[Exchange]:
        found = [exchange for exchange in self.exchanges if exchange.payload.run_id == run_id]
        return iter(found[:limit])


async def no_api(_: str) -> Mapping[str, Any]:
    raise SettingsError("There is no client id.", hint="Set PORT_CLIENT_ID.")


def places(
    shelf: Shelf | None = None,
    *,
    get_run: Callable[[str], Awaitable[Mapping[str, Any]]] = no_api,
    files: Mapping[str, bytes] | None = None,
) -> SourcePlaces:
    return SourcePlaces(
        read_file=(files or {}).get, is_directory=lambda _: False, open_captures=lambda: shelf, get_run=get_run
    )


async def test_file_takes_precedence_over_a_capture_of_the_same_name() -> None:
    shelf = Shelf(an_exchange(an_invocation(id="abcd")))
    assert (await find_source("abcd", places(shelf, files={"abcd": b"[1]"}))).invocation.body == b"[1]"
    assert (await find_source("abcd", places(shelf))).invocation.replay_of == "abcd"


async def test_file_takes_precedence_over_a_run_of_the_same_name() -> None:
    assert (await find_source(RUN_ID, places(files={RUN_ID: b"[1]"}))).invocation.body == b"[1]"


async def test_a_run_id_names_the_newest_capture_of_the_run() -> None:
    shelf = Shelf(an_exchange(an_invocation(id="newer")), an_exchange(an_invocation(id="older")))
    assert (await find_source(RUN_ID, places(shelf))).invocation.replay_of == "newer"


@pytest.mark.parametrize("shelf", [None, Shelf()])
async def test_port_is_asked_for_a_run_that_was_not_captured(shelf: Shelf | None) -> None:
    async def get_run(run_id: str) -> Mapping[str, Any]:
        return {"id": run_id, "payload": {"body": {"asked": run_id}}}

    source = await find_source(RUN_ID, places(shelf, get_run=get_run))
    assert source.invocation.body == f'{{"asked":"{RUN_ID}"}}'.encode()


async def test_an_unknown_run_names_every_place_that_was_searched() -> None:
    async def get_run(_: str) -> Mapping[str, Any]:
        raise PortApiError("Port answered 404.", hint="Check the id.")

    with pytest.raises(PortApiError, match=rf"404\. Port was asked because there is no file {RUN_ID} and no capture"):
        await find_source(RUN_ID, places(Shelf(), get_run=get_run))


@pytest.mark.parametrize("shelf", [None, Shelf()])
async def test_port_is_not_asked_for_a_node_run_that_was_not_captured(shelf: Shelf | None) -> None:
    asked: list[str] = []

    async def get_run(run_id: str) -> Mapping[str, Any]:
        asked.append(run_id)
        return {"id": run_id, "payload": {"body": {}}}

    with pytest.raises(
        StoreError, match=r"no capture of that run here, and Port's API does not return .* captures only"
    ) as it:
        await find_source(NODE_RUN, places(shelf, get_run=get_run))
    assert "port-hook listen" in it.value.hint
    assert "file" in it.value.hint
    assert asked == []


async def test_a_node_run_is_replayed_from_its_capture() -> None:
    shelf = Shelf(an_exchange(an_invocation(a_body(a_document(context={"runId": NODE_RUN})), id="node")))
    assert (await find_source(NODE_RUN, places(shelf))).invocation.replay_of == "node"


async def test_uncaptured_run_raises_settings_error_without_credentials() -> None:
    with pytest.raises(SettingsError, match="no capture of that run") as caught:
        await find_source(RUN_ID, places())
    assert caught.value.hint == "Set PORT_CLIENT_ID."


async def test_an_unknown_name_names_every_place_that_was_searched() -> None:
    with pytest.raises(StoreError, match=r"No capture starts with wxyz\. There is no file wxyz either"):
        await find_source("wxyz", places(Shelf()))
    with pytest.raises(StoreError, match="no file wxyz, and this folder has no capture store"):
        await find_source("wxyz", places())
    with pytest.raises(StoreError, match=r"^This folder has no capture store"):
        await find_source("last", places())


def a_replay(name: str) -> Replay:
    return Replay(source=name, run_id=None, draft=an_invocation(name.encode()), url=f"http://h/{name}")


class Target:
    """Answers 200 when it is let, and counts how many wait at once."""

    def __init__(self, *, free: bool = True) -> None:
        self.bodies: list[bytes] = []
        self.waiting = 0
        self.most_waiting = 0
        self.crowded = asyncio.Event()
        self.free = asyncio.Event()
        if free:
            self.free.set()

    async def send(self, invocation: Invocation, url: str, /) -> Delivery:
        self.bodies.append(invocation.body)
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        if self.waiting == 3:
            self.crowded.set()
        await self.free.wait()
        await asyncio.sleep(0)
        self.waiting -= 1
        return Delivery(url=url, status=200)


def unchanged(invocation: Invocation) -> Invocation:
    return invocation


async def test_every_source_is_sent_n_times_in_rounds() -> None:
    target, sent = Target(), list[Sent]()
    await send_series(
        [a_replay("a"), a_replay("b")], Series(times=3), client=target, finish=unchanged, on_sent=sent.append
    )
    assert target.bodies == [b"a", b"b"] * 3
    assert [item.replay.source for item in sent] == ["a", "b"] * 3
    assert [item.delivery.url for item in sent][:2] == ["http://h/a", "http://h/b"]
    assert all(item.elapsed_s >= 0 for item in sent)


@pytest.mark.parametrize(("concurrency", "most"), [(1, 1), (3, 3), (100, 10)])
async def test_concurrency_limits_the_requests_in_flight(concurrency: int, most: int) -> None:
    target = Target()
    await send_series(
        [a_replay("a")],
        Series(times=10, concurrency=concurrency),
        client=target,
        finish=unchanged,
        on_sent=lambda _: None,
    )
    assert (target.most_waiting, len(target.bodies)) == (most, 10)


async def test_each_request_is_signed_just_before_it_is_sent() -> None:
    count = 0

    def finish(invocation: Invocation) -> Invocation:
        nonlocal count
        count += 1
        assert target.waiting == 0
        return replace(invocation, body=str(count).encode())

    target = Target()
    await send_series([a_replay("a")], Series(times=3), client=target, finish=finish, on_sent=lambda _: None)
    assert target.bodies == [b"1", b"2", b"3"]


async def test_a_series_keeps_its_pace() -> None:
    sent: list[Sent] = []
    series = Series(times=5, concurrency=5, rate_per_s=100)
    await send_series([a_replay("a")], series, client=Target(), finish=unchanged, on_sent=sent.append)
    assert sent[-1].elapsed_s >= 0.039


async def test_an_exception_in_on_sent_ends_the_series_and_is_raised() -> None:
    target = Target()

    def on_sent(_: Sent) -> None:
        raise BrokenPipeError

    series = Series(times=1000, concurrency=4)
    with pytest.raises(BrokenPipeError):
        await send_series([a_replay("a")], series, client=target, finish=unchanged, on_sent=on_sent)
    assert len(target.bodies) < 20


async def test_canceled_series_leaves_no_request_running() -> None:
    target = Target(free=False)
    series = Series(times=9, concurrency=3)
    task = asyncio.ensure_future(
        send_series([a_replay("a")], series, client=target, finish=unchanged, on_sent=lambda _: None)
    )
    await target.crowded.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}


UNREACHABLE = Delivery(url="", fault="unreachable", error="x")
TIMEOUT = Delivery(url="", fault="timeout", error="x")
OK = Delivery(url="", status=200)
ERROR = Delivery(url="", status=500)


@pytest.mark.parametrize(
    ("deliveries", "expected", "code"),
    [
        ([OK, ERROR], None, ExitCode.OK),
        ([OK, OK], "2xx", ExitCode.OK),
        ([ERROR], "500", ExitCode.OK),
        ([OK, ERROR], "2xx", ExitCode.FAILED),
        ([OK, UNREACHABLE], None, ExitCode.TARGET),
        ([ERROR, UNREACHABLE], "2xx", ExitCode.TARGET),
        ([OK, TIMEOUT], None, ExitCode.FAILED),
        ([], None, ExitCode.OK),
    ],
)
def test_the_exit_code_distinguishes_unreachable_from_unexpected(
    deliveries: list[Delivery], expected: str | None, code: ExitCode
) -> None:
    expectation = None if expected is None else Expectation.parse(expected)
    assert exit_code(tally_deliveries(deliveries, elapsed_s=1.0), expectation) is code


def test_unexpected_statuses_are_counted() -> None:
    tally = tally_deliveries([OK, ERROR, TIMEOUT], elapsed_s=1.0)
    assert unexpected(tally, Expectation.parse("2xx")) == 2
    assert unexpected(tally, None) == 0
