"""aiohttp's request parser, extended to accept repeated headers and to limit the size of a request's head.

aiohttp's C parser rejects a request that repeats `Content-Type`, `Host`, `User-Agent` or some other headers, and no
option changes that. A debugger must show and forward a request with repeated headers. So a second parser reads the
rejected head with placeholders in place of the repeated names, and the names are restored in the parsed message. The C
parser still decides everything else, and requests without repeated headers have almost no cost.

The headers that frame a message (`Content-Length`, `Transfer-Encoding`) are never replaced. If one of them is repeated,
the request stays rejected, because two readers could disagree on where the request ends. A repeated header is also
rejected if the client sends requests without waiting for responses, because only the rejecting parser knows where each
head begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiohttp import EMPTY_PAYLOAD, StreamReader, web
from aiohttp.http_exceptions import BadHttpMessage

_END = b"\r\n\r\n"
_PLACEHOLDER = b"x-port-hook-repeated"
# The parser or the listener acts on these headers, so both must see all of them.
_NEVER_REPLACED = frozenset(
    {b"connection", b"content-length", b"expect", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
_Message = tuple[Any, StreamReader]
_Found = tuple[Sequence[_Message], bool, bytes]


class RequestParser:
    """Replaces aiohttp's parser in a `RequestHandler`. A head may have at most `limit` bytes.

    `another` is a function that returns a new aiohttp parser.
    """

    def __init__(self, parser: Any, another: Callable[[], Any], limit: int) -> None:
        self._parser = parser
        self._another = another
        self._limit = limit
        self._payload: StreamReader = EMPTY_PAYLOAD
        self._in_body = False  # whether the body was incomplete after the latest data
        self._head: bytes | None = b""
        """The received part of the current head, or None if it is no longer known where heads begin."""
        self._rejection: BadHttpMessage | None = None
        self._ending = b""
        self._after_head = 0
        self._body_size = 0
        self._without_end = 0

    def feed_data(self, data: bytes) -> _Found:
        """Return the messages whose heads `data` completes, like aiohttp's parser. Raises BadHttpMessage."""
        in_body = self._in_body
        if not (data or in_body or self._rejection):
            return self._left_over()
        self._ending = (self._ending + data[-4:])[-4:]
        if in_body:
            self._after_head += len(data)
        elif self._head is not None:
            self._head += data  # this copies nothing while the head is empty
        try:
            found = self._parser.feed_data(data) if self._rejection is None else self._read_again(self._rejection)
        except BadHttpMessage as rejection:
            if in_body or self._rejection is not None:
                self._head = None
                self._in_body = in_body and not self._payload.is_eof()
                raise
            found = self._read_again(rejection)
        if found[0]:
            self._begin(found[0], in_body=in_body)
        else:
            self._in_body = in_body and not self._payload.is_eof()
            self._count_overhead(len(data), in_body)
        if self._head is not None and (in_body or found[0]) and not self._in_body:
            # The length of a chunked body is unknown, but an incomplete head never ends with an empty line.
            at_end = self._after_head == self._payload.total_bytes or self._ending == _END
            self._head = b"" if at_end else None
        return found

    def pause_reading(self) -> None:
        """Pause in the middle of a body, until the server can handle more of the body."""
        self._parser.pause_reading()

    def message_consumed(self) -> None:
        """Record that the server handles one more message."""
        self._parser.message_consumed()

    def set_upgraded(self, val: bool) -> None:
        """Set whether the connection changes to another protocol."""
        self._parser.set_upgraded(val)

    @property
    def is_in_body(self) -> bool:
        """Whether the latest request's body is still incomplete."""
        return not self._payload.is_eof()

    def break_off(self, error: BaseException) -> None:
        """Make reading the current body fail with `error`."""
        self._payload.set_exception(error)

    def _left_over(self) -> _Found:
        """Return messages that aiohttp's parser has retained, nearly always none.

        aiohttp calls this after each body.
        """
        found: _Found = self._parser.feed_data(b"")
        if found[0]:
            self._begin(found[0], in_body=False)
        return found

    def _begin(self, messages: Sequence[_Message], *, in_body: bool) -> None:
        self._payload = messages[-1][1]
        self._in_body = not self._payload.is_eof()
        self._body_size = self._payload.total_bytes
        self._without_end = 0
        end = -1 if self._head is None or in_body or len(messages) > 1 else self._head.find(_END)
        if end < 0 or self._head is None:
            self._head = None
            return
        if end > self._limit:
            raise self._too_large()
        self._after_head = len(self._head) - end - len(_END)
        self._head = b""

    def _count_overhead(self, size: int, in_body: bool) -> None:
        """Count the bytes outside of bodies, such as heads and trailers. Raises BadHttpMessage above the limit."""
        grown = self._payload.total_bytes
        self._without_end = 0 if in_body and grown != self._body_size else self._without_end + size
        self._body_size = grown
        if self._without_end > self._limit:
            self._head = None
            if in_body:
                self._payload.set_exception(web.RequestPayloadError(str(self._too_large().message)))
            raise self._too_large()

    def _too_large(self) -> BadHttpMessage:
        return BadHttpMessage(f"headers of more than {self._limit} bytes")

    def _read_again(self, rejection: BadHttpMessage) -> _Found:
        """Let a second parser read the whole head, and return its messages.

        Return no messages while the head is incomplete.
        """
        head, end, rest = (self._head or b"").lstrip(b"\r\n").partition(_END)
        if not end and self._rejection is not None:
            return (), False, b""  # the head was read before, and its repeated headers stay repeated
        replaced, names = _replace_repeated(head)
        if not names:
            self._head = None
            raise rejection
        if not end:
            self._rejection = rejection
            return (), False, b""
        self._rejection = None
        self._parser = self._another()
        ((message, payload), *others), upgraded, tail = self._parser.feed_data(replaced + end + rest)
        return [(_restore_names(message, names), payload), *others], upgraded, tail


def _replace_repeated(head: bytes) -> tuple[bytes, Mapping[int, bytes]]:
    """Return `head` with placeholders for repeated names of headers, and the original names by position."""
    line, *fields = head.split(b"\r\n")
    seen: set[bytes] = set()
    names: dict[int, bytes] = {}
    for index, field in enumerate(fields):
        name, colon, value = field.partition(b":")
        lowered = name.lower()
        if colon and lowered in seen and lowered not in _NEVER_REPLACED:
            names[index] = name
            fields[index] = _PLACEHOLDER + colon + value
        seen.add(lowered)
    return b"\r\n".join((line, *fields)), names


def _restore_names(message: Any, names: Mapping[int, bytes]) -> Any:
    raw = tuple((names.get(index, name), value) for index, (name, value) in enumerate(message.raw_headers))
    return message._replace(raw_headers=raw)
