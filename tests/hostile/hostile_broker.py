"""A hostile Kafka broker: it passes frames between clients and a real cluster, and changes responses if told to.

The cluster's brokers must have one address on 127.0.0.1. The hostile broker replaces their port with its own, so that
all connections of a client go through it. It does not support TLS or SASL.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tests.kafka_front import framed, read_frame

FETCH = 1

Tampering = Callable[[int, bytes], bytes]
"""Returns what a client gets instead of a response. Takes the key of the called API and the response."""

_BATCH_HEADER = 61
_MAGIC, _LENGTH, _CODEC = 16, 8, 21
_SNAPPY = 2
_HOST = b"127.0.0.1"


class HostileBroker:
    """A front of the cluster at `backend_port`. Responses are changed while `tampering` is set."""

    def __init__(self, backend_port: int) -> None:
        self.backend_port = backend_port
        self.port = 0
        self.tampering: Tampering | None = None
        self.changed = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> Callable[[], Awaitable[None]]:
        """Listen on a free port. Return the function that ends it."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]

        async def stop() -> None:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        return stop

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        to_backend: asyncio.StreamWriter | None = None
        try:
            from_backend, to_backend = await asyncio.open_connection("127.0.0.1", self.backend_port)
            keys: dict[int, int] = {}  # of the requests without a response, by correlation
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_requests(reader, to_backend, keys))
                group.create_task(self._pass_responses(from_backend, writer, keys))
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for one in (writer, to_backend):
                if one is not None:
                    one.transport.abort()
            self._tasks.discard(task)

    async def _pass_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, keys: dict[int, int]
    ) -> None:
        while True:
            frame = await read_frame(reader)
            key, _, correlation = struct.unpack_from(">hhi", frame)
            keys[correlation] = key
            writer.write(framed(frame))
            await writer.drain()

    async def _pass_responses(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, keys: dict[int, int]
    ) -> None:
        real, own = (_HOST + struct.pack(">i", port) for port in (self.backend_port, self.port))
        while True:
            frame = (await read_frame(reader)).replace(real, own)
            key = keys.pop(struct.unpack_from(">i", frame)[0])
            if self.tampering is not None:
                changed = self.tampering(key, frame)
                self.changed += changed != frame
                frame = changed
            writer.write(framed(frame))
            with suppress(ConnectionError):
                await writer.drain()


def claim_four_gibibytes(key: int, frame: bytes) -> bytes:
    """Return a Fetch response whose first message is said to be compressed, and to have 4 GiB without compression.

    librdkafka allocates this memory before it reads the data. If the allocation fails, it ends the process.
    """
    start = _first_batch(frame) if key == FETCH else None
    if start is None:
        return frame
    changed = bytearray(frame)
    changed[start + _CODEC : start + _CODEC + 2] = struct.pack(">H", _SNAPPY)
    changed[start + _BATCH_HEADER : start + _BATCH_HEADER + 5] = b"\xff\xff\xff\xff\x0f"
    return bytes(changed)


def mutations(rng: random.Random) -> Tampering:
    """Return a function that changes some of the responses: lengths, counts, bits or the end, or the first batch.

    Most of these changes do not end a process, so one of three brokers makes the changes that do.
    """
    kinds, unchanged = 6 if rng.random() < 1 / 3 else 5, rng.choice((0.7, 0.97))

    def tamper(key: int, frame: bytes) -> bytes:
        if rng.random() < unchanged or len(frame) <= 8:
            return frame
        changed = bytearray(frame)
        place = rng.randrange(4, len(changed))
        match rng.randrange(kinds):
            case 0:
                changed[place : place + 4] = struct.pack(">i", rng.choice((-(2**31), -2, -1, 2**31 - 1, 10**6, 99_999)))
            case 1:
                changed[place] ^= 1 << rng.randrange(8)
            case 2:
                del changed[place:]
            case 3:
                changed[place:place] = rng.randbytes(rng.randint(1, 40))
            case 4:
                changed[place : place + 5] = b"\xff\xff\xff\xff\x0f"  # 2**32 - 1 as a varint
            case _:
                return claim_four_gibibytes(key, frame)
        return bytes(changed)

    return tamper


def _first_batch(frame: bytes) -> int | None:
    """Return where the first batch of messages of a Fetch response begins."""
    for start in range(8, len(frame) - _BATCH_HEADER):
        (length,) = struct.unpack_from(">i", frame, start + _LENGTH)
        is_in_frame = _BATCH_HEADER - 12 < length <= len(frame) - start - 12
        if is_in_frame and frame[start + _MAGIC] == 2 and frame[start : start + 4] == bytes(4):
            return start
    return None
