"""Clients occupy a listener's connections without sending data, or after a part of a head or one request.

Other clients are served promptly, and requests in progress are not cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.hostile.fuzzing import chance, how_to_repeat, report, rounds
from tests.receivers import World, receiving, request

STEPS = 300  # of a round
PROMPT_S = 3.0
KEEPING = request(b"kept").replace(b"Connection: close\r\n", b"")
HEAD = request(b"x" * 10)[:-10]

Link = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Crowd:
    """Clients of a listener that takes `limit` connections."""

    world: World
    rng: random.Random
    limit: int
    idle: list[Link] = field(default_factory=list)
    begun: list[Link] = field(default_factory=list)
    served: int = 0

    async def step(self) -> None:
        do = self.rng.choice((self.stay_silent, self.send_a_part, self.send_one, self.begin, self.finish, self.ask))
        await do()
        if len(self.idle) > 4 * self.limit:
            _, writer = self.idle.pop(self.rng.randrange(len(self.idle)))
            writer.transport.abort()

    async def open(self) -> Link:
        return await asyncio.open_connection("127.0.0.1", self.world.port)

    async def stay_silent(self) -> None:
        self.idle.extend([await self.open() for _ in range(self.rng.randint(1, self.limit))])

    async def send_a_part(self) -> None:
        reader, writer = await self.open()
        writer.write(HEAD[: self.rng.randrange(1, len(HEAD))])
        self.idle.append((reader, writer))

    async def send_one(self) -> None:
        reader, writer = await self.open()
        writer.write(KEEPING)
        async with asyncio.timeout(PROMPT_S):
            assert (await reader.readuntil(b"fine")).startswith(b"HTTP/1.1 200 ")
        self.idle.append((reader, writer))

    async def begin(self) -> None:
        if len(self.begun) < self.limit // 2:
            reader, writer = await self.open()
            writer.write(HEAD + b"x" * self.rng.randrange(10))
            await self.ask()  # by then, the head has been read
            self.begun.append((reader, writer))

    async def finish(self) -> None:
        if self.begun:
            reader, writer = self.begun.pop(self.rng.randrange(len(self.begun)))
            writer.write(b"x" * 10)  # the rest of the body, and maybe some more
            async with asyncio.timeout(PROMPT_S):
                assert (await reader.readuntil(b"fine")).startswith(b"HTTP/1.1 200 ")
            writer.transport.abort()

    async def ask(self) -> None:
        async with asyncio.timeout(PROMPT_S):
            assert (await self.world.capture(request(b"ask"))).startswith(b"HTTP/1.1 200 ")
        self.served += 1


@contextlib.asynccontextmanager
async def a_crowd(number: int) -> AsyncIterator[Crowd]:
    rng = chance("connections", number)
    limit = rng.choice((4, 16, 64))
    async with receiving(max_connections=limit) as world:
        crowd = Crowd(world, rng, limit)
        try:
            yield crowd
        finally:
            for _, writer in (*crowd.idle, *crowd.begun):
                writer.transport.abort()


async def test_idle_connections_do_not_block_clients_or_requests() -> None:
    served = 0
    for number in rounds():
        async with a_crowd(number) as crowd:
            for index in range(STEPS):
                try:
                    await crowd.step()
                except (AssertionError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                    raise AssertionError(f"{error!r} in {how_to_repeat(number, index)}") from error
            while crowd.begun:
                await crowd.finish()
            served += crowd.served
    report(f"connections: {served} requests served among idle connections in {number + 1} rounds")
    assert served > STEPS / 10
