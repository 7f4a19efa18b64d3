"""Asking for ourselves through a public URL. httpx, as for every call that leaves this machine."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from functools import cache

from port_hook_cli.tunnels.connectivity import Probing, Reach, read_probe

_MOST_BYTES = 4096


async def probe(url: str, token: str, *, timeout_s: float = 10.0) -> Probing:
    """Ask for `url`, which only a listener that knows `token` answers with it, within `timeout_s` in all. Never raises.

    A proxy that the environment names is used unless `url` is on this machine, and the system's authorities are
    trusted: users behind a proxy that reads TLS can use the tunnel, too.
    """
    from port_hook_cli.http.proxies import open_client

    started = time.perf_counter()
    # ngrok shows a page of its own to what looks like a browser unless it is told not to.
    headers = {"user-agent": "port-hook", "ngrok-skip-browser-warning": "1", "connection": "close"}
    try:
        async with (
            asyncio.timeout(timeout_s),
            open_client(url, timeout=timeout_s, verify=_trust()) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            body = b""
            async for part in response.aiter_raw():
                body += part
                if len(body) > _MOST_BYTES:
                    break
            latency_ms = (time.perf_counter() - started) * 1000
            return read_probe(response.status_code, body, token=token, latency_ms=latency_ms)
    except Exception as error:  # noqa: BLE001 - such as BadProxy, or any error that a malformed URL raises
        return Probing(Reach.UNREACHABLE, None, _words(error, timeout_s))


def _words(error: Exception, timeout_s: float) -> str:
    import httpx

    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return f"no answer within {timeout_s:g} s"
    # An operating system's number says nothing to a person.
    return re.sub(r"^\[Errno -?[0-9]+\] ", "", str(error)) or type(error).__name__


@cache
def _trust() -> ssl.SSLContext:
    from port_hook_cli.http.certificates import system_trust

    return system_trust()  # reading them takes milliseconds in which nobody is answered
