"""The sandbox's server: its address, and the error if it cannot listen there."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from port_hook_cli.errors import ListenError
from port_hook_cli.http.idle_connections import limited
from port_hook_cli.http.servers import affordable_connections, describe_owner, disabled_logger, stop_accepting

_DRAIN_S = 1.0
_MAX_CONNECTIONS = 1_024


@asynccontextmanager
async def listening(app: web.Application, host: str, port: int) -> AsyncIterator[Sequence[tuple[Any, ...]]]:
    """Serve until the context ends; yield the addresses, each beginning with a host and a port.

    Raises ListenError if the address is taken or cannot be used.
    """
    runner = web.AppRunner(app, access_log=None, logger=disabled_logger(), shutdown_timeout=_DRAIN_S)
    await runner.setup()
    assert runner.server is not None
    try:
        server = await _server(runner.server, host, port)
        try:
            yield [each.getsockname() for each in server.sockets]
        finally:
            await stop_accepting(server)
    finally:
        await runner.cleanup()


async def _server(protocols: web.Server, host: str, port: int) -> asyncio.Server:
    most = affordable_connections(_MAX_CONNECTIONS)
    try:
        return await asyncio.get_running_loop().create_server(limited(protocols, most), host, port)
    except OSError as error:
        raise ListenError(
            f"The sandbox cannot listen on {host}:{port}: {_reason(error, host, port)}.",
            hint="Pass another --port, or 0 for a free port.",
        ) from error


def _reason(error: OSError, host: str, port: int) -> str:
    if error.errno != errno.EADDRINUSE:
        return error.strerror or str(error)
    owner = describe_owner(host, port)
    return f"the port is taken by {owner}" if owner else "the port is taken"
