from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.errors import PortApiError, RunEndedError
from port_hook_cli.reporting.report import log_batches, planned_calls, send_report
from port_hook_cli.runs.updates import Call, Reported, RunReport, RunStatus, plan_report
from tests.factories import RUN_ID

REPORT = RunReport(status=RunStatus.SUCCESS, summary="s", links=("https://x.example",), logs=("one", "two"))


class Api:
    """A fake of Port's API in memory. It records the calls, and rejects the call with the number `refuse`."""

    def __init__(self, *, status: str = "IN_PROGRESS", refuse: int | None = None) -> None:
        self.status = status
        self.refuse = refuse
        self.sent: list[Call] = []
        self.looks = 0

    async def get_run(self, run_id: str) -> Mapping[str, Any]:
        self.looks += 1
        return {"id": run_id, "status": self.status}

    async def send(self, call: Call) -> Mapping[str, Any]:
        if len(self.sent) == self.refuse:
            raise PortApiError("Port said no", hint="do this")
        self.sent.append(call)
        return {}

    @property
    def bodies(self) -> list[Any]:
        return [call.body for call in self.sent]


async def lines(*texts: str) -> AsyncIterator[str]:
    for text in texts:
        yield text


async def test_streamed_logs_are_sent_before_fields_and_status() -> None:
    api = Api()
    reported = await send_report(api, plan_report(RUN_ID, REPORT), lines("three", "four"))
    messages = [body["message"] for body in api.bodies[:4]]
    assert messages == ["one", "two", "three", "four"]
    assert [list(body) for body in api.bodies[4:]] == [["link", "summary"], ["status"]]
    assert reported == Reported(run_id=RUN_ID, logs_sent=4, fields=("link", "summary"), status="SUCCESS")


async def test_summary_of_a_node_run_is_logged_last_and_long_messages_are_split() -> None:
    api = Api()
    await send_report(api, plan_report("wfnr_a", RunReport(summary="s")), lines("x"))
    assert [body["logs"][0]["message"] for body in api.bodies] == ["x", "Summary: s"]
    assert api.looks == 0
    calls = [call async for call in planned_calls(plan_report(RUN_ID, RunReport()), lines("x" * 1_100_000))]
    assert len(calls) == 2


async def test_report_sends_nothing_when_the_run_has_ended() -> None:
    api = Api(status="FAILURE")
    with pytest.raises(RunEndedError, match="ended with FAILURE"):
        await send_report(api, plan_report(RUN_ID, REPORT))
    assert api.sent == []


async def test_report_error_shows_what_was_sent_before() -> None:
    rows: list[tuple[Any, Any]] = [
        (0, "Nothing was sent."),
        (1, "Sent before: 1 log entry."),
        (3, "Sent before: 2 log entries and the fields."),
    ]
    for refuse, sent in rows:
        api = Api(refuse=refuse)
        with pytest.raises(PortApiError) as caught:
            await send_report(api, plan_report(RUN_ID, REPORT))
        assert caught.value.message == f"Port said no. {sent}"
        assert caught.value.hint == "do this"
        assert len(api.sent) == refuse


async def batched(*chunks: bytes, **options: Any) -> list[str]:
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    for chunk in (*chunks, b""):
        queue.put_nowait(chunk)
    return [message async for message in log_batches(queue, **options)]


async def test_lines_arriving_together_are_one_message_until_it_is_large_enough() -> None:
    assert await batched(b"one\n", b"two\nthr", b"ee\n") == ["one\ntwo\nthree"]

    assert await batched(b"one\ntwo\nthr", b"ee\n", at_bytes=8) == ["one\ntwo", "three"]

    assert await batched(b"x" * 10, b"y\n", at_bytes=8) == ["x" * 10, "y"]

    assert await batched(b"one\ntwo") == ["one\ntwo"]

    for chunks in ((), (b"\n \n",)):
        assert await batched(*chunks) == []


async def test_split_characters_are_decoded_and_invalid_ones_replaced() -> None:
    assert await batched(b"caf\xc3", b"\xa9\n") == ["café"]
    assert await batched(b"caf\xc3", b"\xa9 au lait\n", at_bytes=3) == ["caf", "é au lait"]

    assert await batched(b"a\xffb\n", b"\xc3") == ["a\ufffdb\n\ufffd"]


async def test_line_is_sent_in_time_while_the_stream_continues() -> None:
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    messages = log_batches(queue, every_s=0.01)
    queue.put_nowait(b"one\ntw")
    assert await asyncio.wait_for(anext(messages), 5) == "one"
    queue.put_nowait(b"o\n")
    assert await asyncio.wait_for(anext(messages), 5) == "two"
    queue.put_nowait(b"")
    assert [message async for message in messages] == []


async def test_slow_stream_does_not_delay_a_batch_indefinitely() -> None:
    queue: asyncio.Queue[bytes] = asyncio.Queue()

    async def trickle() -> None:
        while True:
            queue.put_nowait(b"x\n")
            await asyncio.sleep(0.002)

    feeding = asyncio.create_task(trickle())
    try:
        messages = log_batches(queue, every_s=0.05)
        assert set((await asyncio.wait_for(anext(messages), 5)).split("\n")) == {"x"}
    finally:
        feeding.cancel()


@given(
    st.lists(st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"])).map(str.encode), max_size=8),
    st.integers(1, 40),
)
def test_batches_preserve_all_text_in_order(chunks: list[bytes], at_bytes: int) -> None:
    messages = asyncio.run(batched(*filter(None, chunks), at_bytes=at_bytes))
    squeezed = "".join(b"".join(chunks).decode().split())
    assert "".join("".join(messages).split()) == squeezed
