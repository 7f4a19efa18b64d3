"""The listener's HTTP server.

The server works below aiohttp's application layer. It turns the bytes of a request into an `Invocation`, and a
`Response` into bytes. An `Invocation` retains the request's headers, in order and with their case, and its raw body.
Only the chunks of a body are joined. The server adds only `content-length` to a response and, before it closes the
connection, `connection`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container
from functools import partial

from aiohttp import hdrs, web
from multidict import istr

from port_hook_cli.errors import StoreError
from port_hook_cli.heap import return_freed_memory
from port_hook_cli.http.servers import disabled_logger
from port_hook_cli.http.web_pages import WebPageRequest, find_web_page_request
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Invocation, Response
from port_hook_cli.invocations.source import SourceContext
from port_hook_cli.invocations.targets import is_below
from port_hook_cli.listener import responses
from port_hook_cli.listener.connections import NoResponse, Server, ServerConnection, WireResponse
from port_hook_cli.tunnels.report import ProbeEndpoint

MIN_CAPACITY = 64 * 1024 * 1024
_BODIES_AT_ONCE = 4
FIRST_HEAD_S = 10.0
"""The timeout in seconds for the head of a new connection's first request."""
_LEAVE_S = 0.2
_TIDY_UP_S = 0.5
_SITE = istr("Sec-Fetch-Site")
_FEW_FIELDS, _FIELD_BYTES = 100, 400
_MAX_REPORTED = 100


class Capacity:
    """A limit that all requests share. `tell` is called once for each period in which requests were rejected.

    Such a period ends when half of the limit is free again. `emptied` is called when all bytes are released after at
    least a quarter of the limit was in use.
    """

    def __init__(self, limit: int, tell: Callable[[], None], emptied: Callable[[], None]) -> None:
        self._limit = limit
        self._tell = tell
        self._emptied = emptied
        self._is_exhausted = False
        self._was_large = False
        self.used = 0

    def take(self, size: int) -> bool:
        """Take `size` bytes. Return whether they fit within the limit."""
        if self.used + size <= self._limit:
            self.used += size
            self._was_large = self._was_large or self.used > self._limit // 4
            return True
        if not self._is_exhausted:
            self._is_exhausted = True
            self._tell()
        return False

    def give_back(self, size: int) -> None:
        """Release `size` bytes."""
        self.used -= size
        if self._is_exhausted and self.used <= self._limit // 2:
            self._is_exhausted = False
        if self._was_large and not self.used:
            self._was_large = False
            self._emptied()


class Share:
    """The part of a capacity that one request has taken.

    Release the share when the request ends, for any reason.
    """

    __slots__ = ("_capacity", "_size")

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._size = 0

    def add(self, size: int) -> bool:
        """Take `size` more bytes. Return whether they fit within the limit."""
        if not self._capacity.take(size):
            return False
        self._size += size
        return True

    def release(self) -> None:
        """Release all bytes that the request has taken."""
        self._capacity.give_back(self._size)
        self._size = 0


class HttpServer:
    """An HTTP server that turns requests into invocations. See `port_hook_cli.invocations.source.Source`.

    Durations are in seconds: `first_head_timeout_s` for the head of a connection's first request, `head_timeout_s` for
    the head of each later request, `body_timeout_s` for a body, and `linger_s` for the rest of a rejected body. All
    requests in flight together may hold `min_capacity` bytes, or four times the largest allowed body if that is more.
    The server responds to the listener's own probes at the path `probe_endpoint`, and doesn't pass these probes on.
    `names` are the host names of the server's public URLs. The server reads them for each request, so they may change.
    If `checks_host` returns true, as on loopback, the server rejects requests for other host names, because a public
    DNS server could point such a name at this server.
    """

    def __init__(
        self,
        context: SourceContext,
        *,
        max_connections: int,
        checks_host: Callable[[], bool],
        probe_endpoint: ProbeEndpoint | None = None,
        first_head_timeout_s: float = FIRST_HEAD_S,
        head_timeout_s: float = 75.0,
        body_timeout_s: float = 30.0,
        linger_s: float = 1.0,
        min_capacity: int = MIN_CAPACITY,
        names: Container[str] = frozenset(),
    ) -> None:
        self._context = context
        self._notice = context.notice
        self._checks_host = checks_host
        self._probe_endpoint = probe_endpoint
        self._body_timeout_s = body_timeout_s
        self._names = names
        self._reported: set[str] = set()
        self._max_connections = max_connections
        capacity = max(min_capacity, _BODIES_AT_ONCE * context.max_body)
        self._capacity = Capacity(capacity, self._report_exhausted, _tidy_up)
        self._http = Server(
            self._serve,
            self._notice,
            limit=max_connections,
            crowded=self._report_crowded,
            first_head_timeout_s=min(first_head_timeout_s, head_timeout_s),
            access_log=None,
            logger=disabled_logger(),
            keepalive_timeout=head_timeout_s,
            lingering_time=linger_s,
        )

    def connect(self) -> asyncio.BaseProtocol:
        """Return the protocol for a new connection."""
        protocol: asyncio.BaseProtocol = self._http()
        return protocol

    async def close(self, drain_s: float) -> None:
        """Give requests in progress `drain_s` seconds, and close every connection."""
        self._http.pre_shutdown()
        connections = (link for link in self._http.connections if isinstance(link, ServerConnection))
        if under_way := {link.task for link in connections if link.task and not link.task.done()}:
            _, late = await asyncio.wait(under_way, timeout=drain_s)
            for task in late:
                task.cancel()
        await self._http.shutdown(_LEAVE_S)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        connection, target = request.protocol, request.raw_path
        if isinstance(connection, ServerConnection):
            connection.task = asyncio.current_task()
        if refusal := _refuse_form(request):
            self._notice(f"Responded with {refusal.status} to {request.method} {target[:200]}")
            return WireResponse(request, refusal, close=True)
        if found := self._find_web_page_request(request):
            return WireResponse(request, responses.from_web_page(found), close=True)
        if known := self._greeting(target):
            return WireResponse(request, Response(status=200, body=known))
        if not is_below(target, self._context.mount):
            self._notice(f"Responded with 404 to {request.method} {target}: not below {self._context.mount}")
            return WireResponse(request, responses.outside(self._context.mount))
        share, fields = Share(self._capacity), len(request.raw_headers)
        try:
            # A short header takes much more memory than its bytes.
            if fields > _FEW_FIELDS and not share.add(_FIELD_BYTES * fields):
                return WireResponse(request, responses.BUSY, close=True)
            return await self._take(request, connection, target, share)
        finally:
            share.release()

    def _greeting(self, target: str) -> bytes:
        """Return the response to this listener's own probe or to another listener's question, or b""."""
        probed = self._probe_endpoint
        if probed and target.endswith(probed.path):  # a tunnel may add a path before it
            return probed.token.encode()
        return responses.GREETING if target == responses.GREETING_PATH else b""

    async def _take(
        self, request: web.BaseRequest, connection: object, target: str, share: Share
    ) -> web.StreamResponse:
        try:
            body = await self._read(request, share)
        except _RefusedError as refusal:
            return WireResponse(request, refusal.response, close=True)
        invocation = Invocation(
            id=self._context.new_id(),
            received_at=self._context.now(),
            method=request.method,
            target=target,
            headers=Headers.from_raw(request.raw_headers),
            body=body,
        )
        if isinstance(connection, ServerConnection):
            # A client that half-closes the connection right after the request still waits for the response. A client
            # that closes it later has left.
            connection.on_left = partial(self._context.leave, invocation.id)
        try:
            response: Response | None = await self._context.receive(invocation, request.remote or "unknown")
        except StoreError as error:
            response = responses.not_saved(error.message)
        return NoResponse() if response is None else WireResponse(request, response)

    async def _read(self, request: web.BaseRequest, share: Share) -> bytes:
        """Return the whole body of a request.

        Raises _RefusedError if the body is too large, too slow, malformed, incomplete, or larger than the free
        capacity.
        """
        stream = request.content
        if stream.is_eof():
            body = stream.read_nowait()
            if body:
                self._admit(request, len(body), len(body), share)
            return body
        # An announced length doesn't use capacity. Otherwise, nine idle clients could exclude all other clients.
        if (request.content_length or 0) > self._context.max_body:
            self._admit(request, request.content_length or 0, 0, share)
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            async with asyncio.timeout(self._body_timeout_s):
                return await self._read_chunks(request, share)
        except TimeoutError:
            self._notice(f"Responded with 408 to {request.method} {request.raw_path}: the body did not arrive in time")
            response = responses.too_slow(self._body_timeout_s)
        except web.RequestPayloadError as error:
            reason = " ".join(str(error).split())[:200]
            self._notice(f"Responded with 400 to {request.method} {request.raw_path}: {reason}. It was not captured")
            response = responses.unreadable(400, f"the body broke off: {reason}")
        except ConnectionError:
            self._notice(f"A client disconnected during {request.method} {request.raw_path}. It was not captured")
            response = responses.unreadable(400, "the body broke off")
        raise _RefusedError(response)

    async def _read_chunks(self, request: web.BaseRequest, share: Share) -> bytes:
        chunks, size = [], 0
        while chunk := await request.content.readany():
            size += len(chunk)
            self._admit(request, size, len(chunk), share)
            chunks.append(chunk)
        return b"".join(chunks)

    def _admit(self, request: web.BaseRequest, size: int, arrived: int, share: Share) -> None:
        """Add the `arrived` bytes to `share`.

        Raise _RefusedError if a body of at least `size` bytes cannot be accepted.
        """
        if size > self._context.max_body:
            self._notice(
                f"Responded with 413 to {request.method} {request.raw_path}: a body of at least {size} bytes, "
                "not captured (limit --max-body)"
            )
            raise _RefusedError(responses.too_large(self._context.max_body))
        if not share.add(arrived):
            raise _RefusedError(responses.BUSY)

    def _find_web_page_request(self, request: web.BaseRequest) -> WebPageRequest | None:
        headers = request.headers
        found = find_web_page_request(
            headers.get(hdrs.HOST),
            headers.get(hdrs.ORIGIN),
            headers.get(_SITE),
            names=self._names,
            checks_host=self._checks_host(),
        )
        if found is not None and found.source not in self._reported and len(self._reported) < _MAX_REPORTED:
            self._reported.add(found.source)
            hint = responses.own_tunnel_hint(found)
            self._notice(
                f"Responded with {found.status} to {request.method} {request.raw_path[:200]}, not captured: "
                + (f"{found.message} ({hint})" if hint else found.message)
            )
        return found

    def _report_exhausted(self) -> None:
        self._notice(
            f"Responded with 503: requests in flight hold {self._capacity.used // 2**20} MiB of bodies. "
            "More are rejected and not captured until some of these have responses."
        )

    def _report_crowded(self) -> None:
        self._notice(
            f"Responded with 503: {self._max_connections} connections are open. More are rejected until some close."
        )


def _refuse_form(request: web.BaseRequest) -> Response | None:
    """Return the response to a request that webhooks never send: a proxy request, or a coding other than chunked."""
    if not request.raw_path.startswith("/"):
        return responses.unsupported(400, "the request target is not a path: port-hook is not a proxy")
    coding = request.headers.get(hdrs.TRANSFER_ENCODING)
    if coding and coding.strip().lower() != "chunked":
        return responses.unsupported(501, "port-hook supports only the transfer-encoding chunked")
    return None


def _tidy_up() -> None:
    """Return memory to the operating system soon after the server has processed a burst of large bodies."""
    loop = asyncio.get_running_loop()
    loop.call_later(_TIDY_UP_S, lambda: loop.run_in_executor(None, return_freed_memory))


class _RefusedError(Exception):
    """A request is rejected because of its body. `response` is the response to the client."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response
