"""The listener's server: the only module that sees an aiohttp request.

It works below aiohttp's application layer: request bytes become an `Invocation`, an `Answer` becomes bytes, and
neither is touched on the way (no decompression, no added header fields, no re-spelled names).
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from aiohttp import StreamReader, web
from aiohttp.http_parser import HttpRequestParser

from port_hook_cli.adapters.port_owner import describe_owner
from port_hook_cli.adapters.request_parser import RequestParser
from port_hook_cli.adapters.silence import silent_logger
from port_hook_cli.core import answering
from port_hook_cli.core.forwarding import is_below, with_length
from port_hook_cli.core.models import Answer, Headers, Invocation
from port_hook_cli.core.reach import Echo
from port_hook_cli.errors import ListenError

Receive = Callable[[Invocation, str], Awaitable[Answer]]

# Port's own header fields are small; a proxy may add long ones (tokens, traces), and a debugger should show them.
# All of them together may have as many bytes, and that bounds how many they are.
_MOST_HEADER_BYTES = 256 * 1024
_PARSING: dict[str, Any] = {
    "auto_decompress": False,
    "max_line_size": _MOST_HEADER_BYTES,
    "max_field_size": _MOST_HEADER_BYTES,
    "max_headers": _MOST_HEADER_BYTES,
}
_NO_BODY = frozenset({204, 304})
_LEAVE_S = 0.2


class Receiver:
    """An HTTP server that turns requests into invocations. Durations in seconds, sizes in bytes.

    `echo` is answered to whoever knows its path, and goes nowhere else.
    """

    def __init__(
        self,
        receive: Receive,
        *,
        now: Callable[[], float],
        new_id: Callable[[], str],
        notice: Callable[[str], None],
        echo: Echo | None = None,
        mount: str = "/",
        max_body: int = 10 * 1024 * 1024,
        head_timeout_s: float = 75.0,
        body_timeout_s: float = 30.0,
    ) -> None:
        self._receive = receive
        self._now = now
        self._new_id = new_id
        self._notice = notice
        self._echo = echo
        self._mount = mount
        self._max_body = max_body
        self._head_timeout_s = head_timeout_s
        self._body_timeout_s = body_timeout_s
        self._http: web.Server | None = None
        self._sockets: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen on `host`:`port` (0: any free one) and return where; raises ListenError."""
        loop = asyncio.get_running_loop()
        self._http = _Server(
            self._serve,
            self._notice,
            access_log=None,
            logger=silent_logger(),
            keepalive_timeout=self._head_timeout_s,
            lingering_time=1.0,
            **_PARSING,
        )
        try:
            self._sockets = await loop.create_server(self._http, host, port, backlog=128)
        except OSError as error:
            raise cannot_listen(host, port, error) from None
        address = self._sockets.sockets[0].getsockname()
        return str(address[0]), int(address[1])

    async def close(self, drain_s: float) -> None:
        """Stop accepting, give what is in flight `drain_s` seconds, and close every connection."""
        if self._sockets is None or self._http is None:
            return
        self._sockets.close()
        self._http.pre_shutdown()
        connections = (link for link in self._http.connections if isinstance(link, _Connection))
        if under_way := {link.task for link in connections if link.task and not link.task.done()}:
            _, late = await asyncio.wait(under_way, timeout=drain_s)
            for task in late:
                task.cancel()
        await self._http.shutdown(_LEAVE_S)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if isinstance(request.protocol, _Connection):
            request.protocol.task = asyncio.current_task()
        target = request.raw_path
        if refusal := _refuse_form(request):
            self._notice(f"answered {refusal.status} to {request.method} {target[:200]}")
            return _WireAnswer(request, refusal, close=True)
        if self._echo and target.endswith(self._echo.path):  # a tunnel may put a path of its own before it
            return _WireAnswer(request, Answer(status=200, body=self._echo.token.encode()))
        if not is_below(target, self._mount):
            self._notice(f"answered 404 to {request.method} {target}: not below {self._mount}")
            return _WireAnswer(request, answering.outside(self._mount))
        body = await self._read(request)
        if isinstance(body, Answer):
            return _WireAnswer(request, body, close=True)
        invocation = Invocation(
            id=self._new_id(),
            received_at=self._now(),
            method=request.method,
            target=target,
            headers=Headers.from_raw(request.raw_headers),
            body=body,
        )
        return _WireAnswer(request, await self._receive(invocation, request.remote or "unknown"))

    async def _read(self, request: web.BaseRequest) -> bytes | Answer:
        """Return the whole body, or the answer for one that is too large or too slow."""
        stream = request.content
        if stream.is_eof():
            body = stream.read_nowait()
            return body if len(body) <= self._max_body else self._too_large(request, f"{len(body)} bytes")
        length = request.content_length or 0
        if length > self._max_body:
            return self._too_large(request, f"{length} bytes")
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            async with asyncio.timeout(self._body_timeout_s):
                whole = await _read_up_to(stream, self._max_body)
        except TimeoutError:
            self._notice(f"answered 408 to {request.method} {request.raw_path}: the body did not arrive in time")
            return answering.too_slow(self._body_timeout_s)
        except web.RequestPayloadError as error:
            reason = " ".join(str(error).split())[:200]
            self._notice(f"answered 400 to {request.method} {request.raw_path}: {reason}; nothing was captured")
            return answering.unreadable(400, f"the body broke off: {reason}")
        except ConnectionError:
            self._notice(f"a client left in the middle of {request.method} {request.raw_path}; nothing was captured")
            return answering.unreadable(400, "the body broke off")
        return self._too_large(request, f"over {self._max_body} bytes") if whole is None else whole

    def _too_large(self, request: web.BaseRequest, size: str) -> Answer:
        self._notice(
            f"answered 413 to {request.method} {request.raw_path}: a body of {size}, not captured (limit --max-body)"
        )
        return answering.too_large(self._max_body)


def _refuse_form(request: web.BaseRequest) -> Answer | None:
    """Return the answer to what no webhook sends: a proxy's request, or a body in another coding than chunked."""
    if not request.raw_path.startswith("/"):
        return answering.unsupported(400, "the request's target is no path: port-hook is not a proxy")
    coding = request.headers.get("Transfer-Encoding")
    if coding and coding.strip().lower() != "chunked":
        return answering.unsupported(501, "port-hook takes no other transfer-encoding than chunked")
    return None


async def _read_up_to(stream: StreamReader, limit: int) -> bytes | None:
    """Return all of `stream`, or None as soon as it has more than `limit` bytes."""
    chunks, size = [], 0
    while chunk := await stream.readany():
        size += len(chunk)
        if size > limit:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def cannot_listen(host: str, port: int, error: OSError) -> ListenError:
    """Return the problem of a server that could not bind `host`:`port`."""
    if error.errno == errno.EADDRINUSE:
        owner = describe_owner(host, port)
        by = f" by {owner}" if owner else ""
        return ListenError(
            f"port {port} on {host} is taken{by}", hint="choose another with --port, or --port 0 for any free one"
        )
    if error.errno == errno.EACCES:
        return ListenError(
            f"this user may not listen on port {port}", hint="choose a port above 1023, such as --port 8787"
        )
    return ListenError(f"cannot listen on {host}:{port}: {error.strerror or error}", hint="check --host and --port")


class _WireAnswer(web.StreamResponse):
    """An `Answer` written as it is: its fields in order, its content length, and nothing of aiohttp's own."""

    def __init__(self, request: web.BaseRequest, answer: Answer, *, close: bool = False) -> None:
        super().__init__(status=answer.status)
        self._request: web.BaseRequest = request
        self._answer = answer
        self._stays_open = request.keep_alive and not close

    @property
    def keep_alive(self) -> bool | None:
        return self._stays_open

    async def prepare(self, request: web.BaseRequest) -> None:  # noqa: ARG002 - aiohttp's signature
        return None

    async def write_eof(self, data: Any = b"") -> None:  # noqa: ARG002 - aiohttp's signature
        answer, method = self._answer, self._request.method
        has_body = method != "HEAD" and answer.status not in _NO_BODY
        fields = with_length(answer, method=method).items
        await self._request.writer.write_eof(
            _head(answer.status, fields, self._stays_open) + (answer.body if has_body else b"")
        )


# Most of a listener's answers are the same.
@lru_cache(maxsize=64)
def _head(status: int, fields: tuple[tuple[str, str], ...], stays_open: bool) -> bytes:
    lines = [f"HTTP/1.1 {status} {_reason(status)}"]
    lines.extend(f"{name}: {value}" for name, value in fields)
    if not stays_open:
        lines.append("connection: close")
    return "\r\n".join((*lines, "", "")).encode("latin-1", "replace")


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


class _Server(web.Server):
    """aiohttp's server with one wish: what is not HTTP is told to the terminal in a line, not logged."""

    def __init__(self, serve: Any, notice: Callable[[str], None], **options: Any) -> None:
        super().__init__(serve)
        self._options = options
        self._tell = notice

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, self._tell, loop=asyncio.get_running_loop(), **self._options)


class _Connection(web.RequestHandler):
    """One connection. `task` is what serves its latest request."""

    __slots__ = ("_tell", "task")

    def __init__(
        self, server: web.Server, tell: Callable[[str], None], *, loop: asyncio.AbstractEventLoop, **options: Any
    ) -> None:
        super().__init__(server, loop=loop, **options)
        # There is no option for it: aiohttp's own parser refuses every doubled field of a list that it has.
        self._parser: Any = RequestParser(self._parser, self._another_parser, _MOST_HEADER_BYTES)
        self._tell = tell
        self.task: asyncio.Task[Any] | None = None

    def _another_parser(self) -> Any:
        return HttpRequestParser(
            self, self._loop, self._read_bufsize, payload_exception=web.RequestPayloadError, **_PARSING
        )

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be parsed (400), and what failed in port-hook itself (500)."""
        reason = " ".join((message or str(exc) or type(exc).__name__).split())[:200]
        self._tell(f"answered {status} to a request from {request.remote or 'unknown'}: {reason}")
        return _WireAnswer(request, answering.unreadable(status, reason), close=True)
