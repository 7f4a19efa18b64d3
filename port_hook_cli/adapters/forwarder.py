"""The client that hands invocations to the code under development.

aiohttp's, because the listener has loaded it anyway and it adds a third of the latency that httpx does.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from port_hook_cli.core.models import Delivery, Headers, Invocation

# What aiohttp would add on its own.
_NOT_ADDED = frozenset({"Accept", "Accept-Encoding", "Content-Type", "User-Agent"})


class Forwarder:
    """Forwards invocations byte for byte. `timeout_s` bounds one delivery, in seconds; 0 waits for ever."""

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0, force_close=False),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_NOT_ADDED,
            timeout=aiohttp.ClientTimeout(total=self._timeout_s or None),
            max_line_size=256 * 1024,
            max_field_size=256 * 1024,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def forward(self, invocation: Invocation, url: str, headers: Headers) -> Delivery:
        """Send `invocation` with `headers` to `url`; every failure is a Delivery, never an exception."""
        started = time.perf_counter()
        try:
            delivery = await self._send(invocation, url, headers)
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            fault, words = self._explain(error, url)
            delivery = Delivery(url=url, fault=fault, error=words)
        return Delivery(
            url=url,
            status=delivery.status,
            latency_ms=(time.perf_counter() - started) * 1000,
            headers=delivery.headers,
            body=delivery.body,
            fault=delivery.fault,
            error=delivery.error,
        )

    async def _send(self, invocation: Invocation, url: str, headers: Headers) -> Delivery:
        assert self._session is not None
        fields = CIMultiDict((name, _client_text(value)) for name, value in headers)
        async with self._session.request(
            invocation.method,
            URL(url, encoded=True),
            headers=fields,
            data=invocation.body or None,
            allow_redirects=False,
        ) as response:
            body = await response.read()
            return Delivery(url=url, status=response.status, headers=Headers.from_raw(response.raw_headers), body=body)

    def _explain(self, error: Exception, url: str) -> tuple[str, str]:
        if isinstance(error, TimeoutError):
            return "timeout", f"the handler gave no answer within {self._timeout_s:g} s (--forward-timeout)"
        place = URL(url, encoded=True).authority
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            return "unreachable", f"the name in {place} cannot be resolved"
        if isinstance(error, aiohttp.ClientConnectorError):
            return "unreachable", f"nothing answers on {place}: is your handler running?"
        if isinstance(error, aiohttp.ServerDisconnectedError):
            return "broken", f"the handler on {place} closed the connection without an answer"
        return "broken", f"the exchange with {place} failed: {str(error) or type(error).__name__}"


def _client_text(value: str) -> str:
    """Return a header value in the form that aiohttp's writer turns back into its wire bytes where they are UTF-8."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return value
