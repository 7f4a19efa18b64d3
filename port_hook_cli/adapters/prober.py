"""Asking for ourselves through a public URL. httpx, as for every call that leaves this machine."""

from __future__ import annotations

import time

from port_hook_cli.core.reach import Probing, Reach, read_probe

_MOST_BYTES = 4096


async def probe(url: str, token: str, *, timeout_s: float = 10.0) -> Probing:
    """Ask for `url`, which only a listener that knows `token` answers with it. Never raises."""
    import httpx

    started = time.perf_counter()
    # ngrok shows a page of its own to what looks like a browser unless it is told not to.
    headers = {"user-agent": "port-hook", "ngrok-skip-browser-warning": "1", "connection": "close"}
    try:
        async with (
            httpx.AsyncClient(timeout=timeout_s) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            body = b""
            async for part in response.aiter_raw():
                body += part
                if len(body) > _MOST_BYTES:
                    break
            latency_ms = (time.perf_counter() - started) * 1000
            return read_probe(response.status_code, body, token=token, latency_ms=latency_ms)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return Probing(Reach.UNREACHABLE, None, _words(error, timeout_s))


def _words(error: Exception, timeout_s: float) -> str:
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return f"no answer within {timeout_s:g} s"
    return str(error) or type(error).__name__
