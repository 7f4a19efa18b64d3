"""Report on a run: first the logs as they arrive from a stream such as stdin, then the fields, and last the status."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import io
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, BinaryIO, Protocol

from port_hook_cli.errors import PortApiError, UsageError
from port_hook_cli.port_api.responses import run_ended
from port_hook_cli.runs.updates import Call, Purpose, Reported, ReportPlan, ended_status, is_node_run, log_calls

_ENDS = frozenset({"status", "result"})


class RunApi(Protocol):
    """The part of Port's API that a report needs. Both methods raise PortApiError or RunEndedError."""

    async def get_run(self, run_id: str, /) -> Mapping[str, Any]:
        """Return the action run."""
        ...

    async def send(self, call: Call, /) -> Mapping[str, Any]:
        """Make one call and return Port's response."""
        ...


class DeliveryApi(RunApi, Protocol):
    """The part of Port's API that a saved report needs. All methods raise PortApiError or RunEndedError."""

    async def run_logs(self, run_id: str, /, *, offset: int = 0) -> Sequence[Mapping[str, Any]]:
        """Return a page of the run's log entries, beginning at `offset`. The page after the end is empty."""
        ...

    async def send(self, call: Call, /, *, is_taken: Callable[[], Awaitable[bool]] | None = None) -> Mapping[str, Any]:
        """Make one call. If its response is lost, `is_taken` returns whether Port has accepted the call."""
        ...


class Chunks(Protocol):
    """A stream of bytes that arrive over time, such as an `asyncio.Queue`. An empty chunk is the end."""

    async def get(self) -> bytes:
        """Wait for the next chunk. Canceling the wait doesn't lose data."""
        ...


async def send_report(api: RunApi, plan: ReportPlan, streamed: AsyncIterator[str] | None = None) -> Reported:
    """Make the calls of `plan`, with the `streamed` log messages after the plan's own, and return what was sent.

    Raises RunEndedError before the first call if the run has already ended, or PortApiError with what was sent before
    the failed call. A report that contains only log messages is sent even to an ended run, as in Port's GitHub action
    and execution agent.
    """
    if plan.last_calls:
        status = await known_end(api, plan.run_id)
        if status is not None:
            raise run_ended(plan.run_id, status)
    sent: list[Call] = []
    try:
        async for call in planned_calls(plan, streamed):
            await api.send(call)
            sent.append(call)
    except PortApiError as problem:
        raise type(problem)(
            f"{problem.message.removesuffix('.')}. {_sent_before(sent)}", hint=problem.hint
        ) from problem
    return reported_by(plan.run_id, sent)


async def planned_calls(plan: ReportPlan, streamed: AsyncIterator[str] | None = None) -> AsyncIterator[Call]:
    """Yield the calls of `plan` in order, with the `streamed` log messages after the plan's own."""
    for call in plan.logs:
        yield call
    if streamed is not None:
        async for message in streamed:
            for call in log_calls(plan.run_id, message, plan.log_level):
                yield call
    for call in plan.last_calls:
        yield call


async def known_end(api: RunApi, run_id: str) -> str | None:
    """Return the final status of a run, or None if it is not known to have ended.

    Port has no route that returns a node run, but it rejects calls for an ended run. For an unknown run, the report
    itself gets the 404, unless a sandbox creates the run.
    """
    if is_node_run(run_id):
        return None
    try:
        return ended_status(await api.get_run(run_id))
    except PortApiError as problem:
        if problem.status != HTTPStatus.NOT_FOUND:
            raise
        return None


def _sent_before(sent: Sequence[Call]) -> str:
    if not sent:
        return "Nothing was sent."
    logs = sum(call.purpose is Purpose.LOG for call in sent)
    parts = [f"{logs} log {'entry' if logs == 1 else 'entries'}"] if logs else []
    if any(call.purpose is Purpose.FIELDS for call in sent):
        parts.append("the fields")
    return f"Sent before: {' and '.join(parts)}."


def reported_by(run_id: str, sent: Sequence[Call]) -> Reported:
    """Return what the calls in `sent` have reported."""
    return Reported(
        run_id=run_id,
        logs_sent=sum(call.purpose is Purpose.LOG for call in sent),
        fields=tuple(
            name for call in sent if call.purpose is not Purpose.LOG for name in call.body or () if name not in _ENDS
        ),
        status=next((call.wanted for call in sent if call.wanted), None),
    )


_CHUNK_BYTES = 64 * 1024
_MAX_CHUNKS_AHEAD = 16
FLUSH_EVERY_S = 0.5
FLUSH_AT_BYTES = 64 * 1024


class StreamChunks:
    """Reads the bytes of `stream` as they arrive, at most 16 chunks ahead of `get`. Requires a running event loop.

    The reading thread is a daemon and doesn't take a lock of the stream, so an endless stream doesn't prevent the
    process from ending.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[bytes | OSError] = asyncio.Queue()
        self._ended = False
        self._ahead = threading.Semaphore(_MAX_CHUNKS_AHEAD)
        threading.Thread(target=self._read_all, name="stream-chunks", daemon=True).start()

    async def get(self) -> bytes:
        """Return the next chunk, or an empty chunk at the end. Raises UsageError if the stream cannot be read."""
        if self._ended:
            return b""
        chunk = await self._queue.get()
        self._ahead.release()
        self._ended = isinstance(chunk, OSError) or not chunk
        if isinstance(chunk, OSError):
            raise UsageError(f"port-hook cannot read the log: {chunk}.", hint="Pipe the log lines into port-hook.")
        return chunk

    async def drain(self) -> None:
        """Read and discard the rest of the stream, so that the writing program doesn't get a broken pipe."""
        while await self.get():
            pass

    def _read_all(self) -> None:
        chunk: bytes | OSError = b"-"
        # The loop is closed when nobody waits for chunks anymore.
        with contextlib.suppress(RuntimeError):
            while chunk and not isinstance(chunk, OSError):
                self._ahead.acquire()
                chunk = self._read()
                self._loop.call_soon_threadsafe(self._queue.put_nowait, chunk)

    def _read(self) -> bytes | OSError:
        try:
            try:
                descriptor = self._stream.fileno()
            except io.UnsupportedOperation:
                return self._stream.read(_CHUNK_BYTES)
            # This bypasses the buffered reader: if a daemon thread holds its lock, the interpreter aborts at exit.
            return os.read(descriptor, _CHUNK_BYTES)
        except OSError as problem:
            return problem


async def log_batches(
    chunks: Chunks, *, every_s: float = FLUSH_EVERY_S, at_bytes: int = FLUSH_AT_BYTES
) -> AsyncIterator[str]:
    """Yield the text of `chunks` as messages of complete lines, in order, each without its last line break.

    A message is complete `every_s` seconds after its first byte, at about `at_bytes` bytes, or at the end of the
    stream. Bytes that are not UTF-8 become U+FFFD. An incomplete line waits for a later message until it has `at_bytes`
    bytes. Blank messages are omitted, because Port rejects empty logs.
    """
    pending = _Pending()
    deadline: float | None = None
    chunk: bytes | None = None
    while chunk != b"":
        chunk = await _next_chunk(chunks, deadline)
        if chunk is not None:
            pending.add(chunk)
        if chunk:
            deadline = deadline or asyncio.get_running_loop().time() + every_s
            if pending.size < at_bytes:
                continue
        deadline = None
        message = pending.take_all() if chunk == b"" else pending.take_lines(max_bytes=at_bytes)
        if message.strip():
            yield message


async def _next_chunk(chunks: Chunks, deadline: float | None) -> bytes | None:
    """Return the next chunk, an empty chunk at the end, or None at the `deadline` (in the event loop's time)."""
    try:
        async with asyncio.timeout_at(deadline):
            return await chunks.get()
    except TimeoutError:
        return None


class _Pending:
    """The text that is not yet in a message. `size` is in bytes."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self.size = 0

    def add(self, chunk: bytes) -> None:
        """Add a chunk. The empty chunk at the end also adds the rest of an incomplete character."""
        self._text += self._decoder.decode(chunk, final=not chunk)
        self.size += len(chunk)

    def take_lines(self, *, max_bytes: int) -> str:
        """Remove and return the complete lines. An incomplete last line stays unless it alone has `max_bytes` bytes."""
        lines, end, rest = self._text.rpartition("\n")
        if not end and self.size >= max_bytes:
            return self.take_all()
        self._text, self.size = rest, len(rest.encode())
        return lines.rstrip("\r\n")

    def take_all(self) -> str:
        """Remove and return all text. The beginning of an incomplete character stays in the decoder."""
        text, self._text, self.size = self._text, "", 0
        return text.rstrip("\r\n")
