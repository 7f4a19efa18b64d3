"""A hostile server in the place of Port's API: it issues a token, and responds to every other call with a trick.

    async with HostileApi(endless_body).serve() as api: ...
    async with HostileApi(token=b'{"accessToken": "t", "expiresIn": NaN}').serve() as api: ...

Limits: it doesn't check requests, and has only the token's route. See `wire.py` for the rest.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache

from tests.hostile.wire import Connection, HostileServer, Trick

_GOOD_TOKEN = b'{"accessToken": "good", "expiresIn": 3600}'


async def a_run(connection: Connection) -> None:
    """Respond like Port."""
    await connection.answer(b'{"ok": true, "run": {"id": "r_QOz6WoOB1Q2lmhZZ", "status": "IN_PROGRESS"}}')


@dataclass
class HostileApi(HostileServer):
    """See the module."""

    trick: Trick = a_run
    token: bytes = _GOOD_TOKEN

    def choose(self, connection: Connection) -> Trick:
        """Return the trick for the current request."""
        return self._give_token if b"/v1/auth/access_token HTTP" in connection.head else self.trick

    async def _give_token(self, connection: Connection) -> None:
        await connection.answer(self.token)


@cache
def bomb() -> bytes:
    """Return 64 KiB of gzip that unpack to 64 MiB."""
    return gzip.compress(bytes(64 * 2**20), 9)


async def gzip_bomb(connection: Connection) -> None:
    await connection.answer(bomb(), "content-encoding: gzip")


async def gzip_bomb_in_gzip(connection: Connection) -> None:
    await connection.answer(gzip.compress(bomb()), "content-encoding: gzip, gzip")


async def deep_json(connection: Connection) -> None:
    depth = 100_000
    await connection.answer(b'{"run":' + b"[" * depth + b"]" * depth + b"}")


async def json_too_deep_to_write(connection: Connection) -> None:
    """Send a document that Python reads, but cannot write again below a few calls."""
    depth = 940
    await connection.answer(b'{"run": {"status":' + b"[" * depth + b"]" * depth + b"}}")


def status(line: str, *fields: str) -> Trick:
    """Return the trick that responds with a status."""

    async def answer(connection: Connection) -> None:
        await connection.answer(b"{}", *fields, status=line)

    return answer
