"""The protocol between the listener and a tunnel provider, and the probe of a public URL."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Protocol

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.source import SourceContext
from port_hook_cli.tunnels.report import Connectivity, ProbeResult, read_probe

_MAX_BODY_BYTES = 4096


class Tunnel(Protocol):
    """A public URL. While the tunnel is open, requests to it reach a local server."""

    @property
    def url(self) -> str:
        """The public URL, without a trailing slash."""
        ...

    def health(self) -> str:
        """Return "" while the tunnel reports that it works. Otherwise return the reason as a clause.

        This method must be fast.
        """
        ...

    async def probe(self, path: str, token: str) -> ProbeResult:
        """Request `path` (below `url`) through the tunnel, and return the result. The listener responds with `token`.

        Never raises.
        """
        ...

    async def lost(self) -> str:
        """Wait until the tunnel ends without being closed. Return what happened as one printable sentence."""
        ...

    async def close(self) -> None:
        """Close the tunnel and everything that it started, within seconds. A second call is allowed."""
        ...


async def decline(_: str) -> bool:
    """Return False, as the `ask` of a session without a terminal."""
    return False


@frozen(kw_only=True)
class Opening:
    """The options and callbacks that a provider needs to open a tunnel.

    `local_url` is `http://127.0.0.1:PORT`. `address` is the server or channel in `--tunnel`, or None for a provider
    that the user chose by name. `notice` prints a sentence to stderr, for example before a download. `ask` asks the
    user a yes-or-no question. It is `decline` without a terminal. `timeout_s` limits how long opening the tunnel may
    take. `accept_host_key` is the option of the same name. `previous_url` is the public URL of the tunnel that this
    tunnel replaces. A provider reuses this URL if possible. `keepalive_s` is the interval
    of keepalive messages, for providers that send them. A service that prints an http URL gets `https_grace_s` seconds
    to print an https URL too. `source` is for a relay. A relay is a source of invocations, which feeds the pipeline
    itself instead of sending requests to `local_url`.
    """

    local_url: str
    environ: Mapping[str, str]
    home: Path
    notice: Callable[[str], None]
    address: str | None = None
    ask: Callable[[str], Awaitable[bool]] = decline
    timeout_s: float = 20.0
    accept_host_key: str | None = None
    previous_url: str | None = None
    keepalive_s: float = 5.0
    https_grace_s: float = 2.0
    source: SourceContext | None = None

    @property
    def can_ask(self) -> bool:
        """Whether the user can answer a prompt."""
        return self.ask is not decline


@frozen
class Usable:
    """The reason why `--tunnel auto` can use a provider on this machine.

    `reason` is a clause. If there is a `question`, the user must answer yes before the tunnel is opened.
    """

    reason: str
    question: str = ""


@frozen
class NotUsable:
    """The reason why `--tunnel auto` cannot use a provider on this machine, as a clause.

    `setup` says what the user can do, if that differs from the provider's usual setup.
    """

    reason: str
    setup: str = ""


async def probe(url: str, token: str, *, timeout_s: float = 10.0) -> ProbeResult:
    """Request `url` within `timeout_s` seconds, and return the result. Only the right listener responds with `token`.

    Never raises. The request uses the environment's proxy unless `url` is on this machine. It trusts the
    system's certificates, so that a tunnel also works behind a TLS-decrypting proxy.
    """
    from port_hook_cli.http.proxies import open_client

    started = time.perf_counter()
    # Without this header, ngrok responds to browsers with its own page.
    headers = {"user-agent": "port-hook", "ngrok-skip-browser-warning": "1", "connection": "close"}
    try:
        async with (
            asyncio.timeout(timeout_s),
            open_client(url, timeout=timeout_s, verify=trust()) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            body = b""
            async for part in response.aiter_raw():
                body += part
                if len(body) > _MAX_BODY_BYTES:
                    break
            latency_ms = (time.perf_counter() - started) * 1000
            return read_probe(response.status_code, body, token=token, latency_ms=latency_ms)
    except Exception as error:  # noqa: BLE001 - such as BadProxy, or any error from a malformed URL
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
def trust() -> ssl.SSLContext:
    """Return the context of `system_trust`. Loading its certificates blocks the event loop for milliseconds."""
    from port_hook_cli.http.proxies import system_trust

    return system_trust()
