"""The two screens of a listener, on real pipes."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, TextIO

import pytest

from port_hook_cli.adapters.screen import JsonScreen, TextScreen
from port_hook_cli.core.answering import OK
from port_hook_cli.core.models import Cause, Exchange, Status, Verdict
from port_hook_cli.core.records import invocation_event, ready_event
from port_hook_cli.views.invocation import compact_line, exchange_lines
from tests.factories import a_body, a_document, an_exchange, an_invocation

MOST_PENDING = 4_000
HOSTILE = "a\x1b[2Jb\nc\u202e"


@dataclass
class Streams:
    """stdout and stderr as pipes, read in threads of their own from `start_reading` on."""

    stdout: TextIO
    stderr: TextIO
    ends: tuple[int, int]

    def __post_init__(self) -> None:
        self.read: list[bytearray] = [bytearray(), bytearray()]
        self._threads: list[threading.Thread] = []
        self.broken = threading.Event()

    def start_reading(self) -> None:
        for end, into in zip(self.ends, self.read, strict=True):
            thread = threading.Thread(target=_read_all, args=(end, into))
            thread.start()
            self._threads.append(thread)

    def end(self) -> tuple[str, str]:
        """Close the writing ends and return all that was written to each."""
        self.stdout.close()
        self.stderr.close()
        for thread in self._threads:
            thread.join(10)
        return self.read[0].decode(), self.read[1].decode()


def _read_all(end: int, into: bytearray) -> None:
    while part := os.read(end, 65536):
        into += part


@pytest.fixture
def streams() -> Iterator[Streams]:
    with ExitStack() as stack:
        (out, stdout), (err, stderr) = os.pipe(), os.pipe()
        it = Streams(os.fdopen(stdout, "w", encoding="utf-8"), os.fdopen(stderr, "w", encoding="utf-8"), (out, err))
        stack.callback(_close, it)
        yield it


def _close(streams: Streams) -> None:
    for end in streams.ends:  # first: a thread that is stuck in a write ends with it
        os.close(end)
    for stream in (streams.stdout, streams.stderr):
        with suppress(OSError):
            stream.close()


def text_screen(streams: Streams, *, compact: bool = False) -> TextScreen:
    return TextScreen(
        streams.stdout, streams.stderr, environ={}, compact=compact, app_url=None, on_broken=streams.broken.set
    )


def json_screen(streams: Streams) -> JsonScreen:
    return JsonScreen(streams.stdout, streams.stderr, on_broken=streams.broken.set)


def numbered(number: int) -> Exchange:
    return an_exchange(an_invocation(b"{}", id=f"{number:012}"), answer=OK)


def in_full(exchange: Exchange) -> str:
    return "".join(f"{line.plain}\n" for line in exchange_lines(exchange, app_url=None)) + "\n"


def test_an_exchange_is_text_on_stdout_without_a_code_of_the_terminal(streams: Streams) -> None:
    streams.start_reading()
    screen = text_screen(streams)
    exchange = an_exchange(answer=OK)
    screen.exchanged(exchange)
    screen.close()
    out, err = streams.end()
    assert out == in_full(exchange)
    assert "\x1b" not in out
    assert err == ""


def test_a_compact_screen_has_a_line_for_each(streams: Streams) -> None:
    streams.start_reading()
    screen = text_screen(streams, compact=True)
    exchanges = [numbered(number) for number in range(3)]
    for exchange in exchanges:
        screen.exchanged(exchange)
    screen.close()
    assert streams.end()[0].splitlines() == [compact_line(exchange) for exchange in exchanges]


@pytest.mark.parametrize("build", [text_screen, json_screen])
def test_notices_go_to_stderr_a_line_each_and_written_out(
    streams: Streams, build: Callable[[Streams], TextScreen | JsonScreen]
) -> None:
    streams.start_reading()
    screen = build(streams)
    screen.notice("one")
    screen.notice(HOSTILE)
    screen.close()
    assert streams.end() == ("", "one\na\\x1b[2Jb\\nc\\u202e\n")


def test_records_are_nothing_to_a_text_screen(streams: Streams) -> None:
    streams.start_reading()
    screen = text_screen(streams)
    screen.event(ready_event(url="http://h/", public_url=None))
    screen.close()
    assert streams.end() == ("", "")


def test_a_json_screen_prints_a_record_a_line_and_nothing_else_on_stdout(streams: Streams) -> None:
    streams.start_reading()
    screen = json_screen(streams)
    ready = ready_event(url="http://h/", public_url=None)
    verdict = Verdict(status=Status.INVALID, causes=(Cause("wrong-secret", HOSTILE, HOSTILE),))
    exchange = an_exchange(an_invocation(a_body(a_document(action=HOSTILE)), target=HOSTILE), verdict=verdict)
    screen.event(ready)
    screen.notice("in between")
    screen.exchanged(exchange)
    screen.close()
    out, err = streams.end()
    assert out.isascii()
    assert [json.loads(line) for line in out.splitlines()] == [ready, invocation_event(exchange)]
    assert err == "in between\n"


def test_a_json_screen_loses_nothing_in_a_rush(streams: Streams) -> None:
    streams.start_reading()
    screen = json_screen(streams)
    for number in range(3000):
        screen.exchanged(numbered(number))
    screen.close()
    assert [json.loads(line)["id"] for line in streams.end()[0].splitlines()] == [f"{n:012}" for n in range(3000)]


def test_what_a_reader_that_stalled_made_it_drop_is_a_record(streams: Streams) -> None:
    screen = json_screen(streams)
    record: dict[str, Any] = {"filler": "x" * 1000}
    count = MOST_PENDING * 3
    for _ in range(count):
        screen.event(record)
    streams.start_reading()
    screen.close()
    records = [json.loads(line) for line in streams.end()[0].splitlines()]
    kept, (last,) = records[:-1], records[-1:]
    assert all(one == record for one in kept)
    assert len(kept) >= MOST_PENDING
    assert last == {"schema": "port-hook/event/1", "type": "dropped", "count": count - len(kept)}


def test_a_rush_on_a_text_screen_is_counted_and_says_where_the_rest_is(streams: Streams) -> None:
    screen = text_screen(streams)
    for number in range(MOST_PENDING * 2):
        screen.exchanged(numbered(number))
    streams.start_reading()
    screen.close()
    lines = streams.end()[0].splitlines()
    told = [line for line in lines if line.startswith("... ")]
    assert told
    assert all("`port-hook captures` lists them" in line for line in told)
    shown = [line for line in lines if "  valid  " in line and not line.startswith(" ")]
    assert sum(int(line.split()[1]) for line in told) + len(shown) == MOST_PENDING * 2


@pytest.mark.parametrize("build", [text_screen, json_screen])
def test_a_reader_of_stdout_that_has_gone_is_told_of_and_notices_go_on(
    streams: Streams, build: Callable[[Streams], TextScreen | JsonScreen]
) -> None:
    screen = build(streams)
    out, err = streams.ends
    spare, unused = os.pipe()
    os.close(unused)
    os.dup2(spare, out)  # the reading end of stdout is closed, its number is not
    os.close(spare)
    screen.exchanged(numbered(1))
    assert streams.broken.wait(10)
    screen.notice("still here")
    screen.close()
    assert os.read(err, 100) == b"still here\n"


def test_a_reader_of_stderr_that_has_gone_ends_nothing(streams: Streams) -> None:
    screen = json_screen(streams)
    out, err = streams.ends
    spare, unused = os.pipe()
    os.close(unused)
    os.dup2(spare, err)
    os.close(spare)
    screen.notice("into the void")
    screen.exchanged(numbered(1))
    screen.close()
    assert json.loads(os.read(out, 10_000))["id"] == f"{1:012}"
    assert not streams.broken.is_set()
