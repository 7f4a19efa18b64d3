"""Checks once, at the start of a session, that the targets accept connections."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from port_hook_cli.invocations.routes import Routes

TIMEOUT_S = 2.0
_PORTS = {"http": 80, "https": 443}


async def check_handlers(routes: Routes, notice: Callable[[str], None], timeout_s: float = TIMEOUT_S) -> None:
    """Connect to each target once, without a request, and report targets that don't accept the connection.

    Never raises.
    """
    targets = {handler_address(target): target for target in routes.targets}
    problems = await asyncio.gather(*(connection_problem(*address, timeout_s) for address in targets))
    for target, problem in zip(targets.values(), problems, strict=True):
        if problem:
            notice(f"Nothing listens on {target} yet: {problem}. Start your handler, or correct the target.")


def handler_address(target: str) -> tuple[str, int]:
    """Return the host and port of a target."""
    parts = urlsplit(target)
    return parts.hostname or "", parts.port or _PORTS[parts.scheme]


async def connection_problem(host: str, port: int, timeout_s: float = TIMEOUT_S) -> str:
    """Return a clause that says why `host`:`port` doesn't accept a connection, or "" if it accepts the connection."""
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return f"no connection within {timeout_s:g} s"
    except (socket.gaierror, UnicodeError):
        return "the host name cannot be resolved"
    except ConnectionRefusedError:
        return f"port {port} refuses connections"
    except OSError as error:
        return (error.strerror or str(error)).rstrip(".")
    writer.close()
    return ""
