"""Sending a probe: the listener requests itself through its public URL."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from functools import cache

from port_hook_cli.tunnels.report import Connectivity, ProbeResult, read_probe

_MAX_BODY_BYTES = 4096


async def probe(url: str, token: str, *, timeout_s: float = 10.0) -> ProbeResult:
    """Request `url`, within `timeout_s` seconds in all; only the right listener responds with `token`. Never raises.

    Uses the proxy that the environment names unless `url` is on this machine, and trusts the system's certificates,
    so that a tunnel also works behind a proxy that decrypts TLS.
    """
    from port_hook_cli.http.proxies import open_client

    started = time.perf_counter()
    # ngrok responds with a page of its own to browsers, unless this field is set.
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
                if len(body) > _MAX_BODY_BYTES:
                    break
            latency_ms = (time.perf_counter() - started) * 1000
            return read_probe(response.status_code, body, token=token, latency_ms=latency_ms)
    except Exception as error:  # noqa: BLE001 - such as BadProxy, or any error that a malformed URL raises
        return ProbeResult(Connectivity.UNREACHABLE, None, _message(error, timeout_s))


def _message(error: Exception, timeout_s: float) -> str:
    import httpx

    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return f"no response within {timeout_s:g} s"
    if isinstance(error, httpx.NetworkError) and not str(error):
        return "the connection was reset before the response was complete"
    # The operating system's error number does not help the user.
    return re.sub(r"^\[Errno -?[0-9]+\] ", "", str(error)) or type(error).__name__


@cache
def _trust() -> ssl.SSLContext:
    from port_hook_cli.http.proxies import system_trust

    return system_trust()  # loading the certificates blocks the event loop for milliseconds
