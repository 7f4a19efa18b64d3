"""aiohttp's request parser, taught that a field may stand twice and that a head has a size.

The C parser refuses a request in which `Content-Type`, `Host`, `User-Agent` and some others stand twice, and none of
its options says otherwise. A debugger shows such a request and hands it on. So what was refused is given to a second
parser with the repeated names covered, and they are put back into the message that comes out: whatever else makes a
request readable remains for the C parser to decide, and a request without a doubled field pays next to nothing.

What frames a message (`Content-Length`, `Transfer-Encoding`) is never covered: two of them stay refused, because two
readers could disagree on where the request ends. So does a doubled field of a client that sends requests before it
has the answers: where its heads begin is known to the refusing parser only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiohttp import EMPTY_PAYLOAD, StreamReader, web
from aiohttp.http_exceptions import BadHttpMessage

_END = b"\r\n\r\n"
_COVER = b"x-port-hook-repeated"
# What the parser or the listener acts upon: they must see all of it.
_ACTED_UPON = frozenset(
    {b"connection", b"content-length", b"expect", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
_Message = tuple[Any, StreamReader]
_Found = tuple[Sequence[_Message], bool, bytes]


class RequestParser:
    """Stands where aiohttp's parser stands in a `RequestHandler`. `limit` bounds a head, in bytes."""

    def __init__(self, parser: Any, another: Callable[[], Any], limit: int) -> None:
        self._parser = parser
        self._another = another
        self._limit = limit
        self._payload: StreamReader = EMPTY_PAYLOAD
        self._head: bytes | None = b""
        """What has come of the head under way; None once a client has made it unknown where its heads begin."""
        self._refusal: BadHttpMessage | None = None
        self._ending = b""
        self._after_head = 0
        self._body_size = 0
        self._without_end = 0

    def feed_data(self, data: bytes) -> _Found:
        """Return the messages that `data` completes the heads of, as aiohttp's parser does; raises BadHttpMessage."""
        in_body = not self._payload.is_eof()
        if not (data or in_body or self._refusal):
            return self._left_over()
        self._ending = (self._ending + data[-4:])[-4:]
        if in_body:
            self._after_head += len(data)
        elif self._head is not None:
            self._head += data  # without a copy when it was empty
        try:
            found = self._parser.feed_data(data) if self._refusal is None else self._read_again(self._refusal)
        except BadHttpMessage as refusal:
            if in_body or self._refusal is not None:
                self._head = None
                raise
            found = self._read_again(refusal)
        if found[0]:
            self._begin(found[0], in_body=in_body)
        else:
            self._bound(len(data), in_body)
        if self._head is not None and (in_body or found[0]) and self._payload.is_eof():
            # A chunked body's length is not known, but no head that is under way ends with an empty line.
            at_end = self._after_head == self._payload.total_bytes or self._ending == _END
            self._head = b"" if at_end else None
        return found

    def pause_reading(self) -> None:
        """Stop in the middle of a body until there is room for the rest of it."""
        self._parser.pause_reading()

    def message_consumed(self) -> None:
        """Take note that one more message is being served."""
        self._parser.message_consumed()

    def set_upgraded(self, val: bool) -> None:
        """Say whether what follows is another protocol."""
        self._parser.set_upgraded(val)

    @property
    def is_in_body(self) -> bool:
        """Whether the latest request's body is still incomplete."""
        return not self._payload.is_eof()

    def break_off(self, error: BaseException) -> None:
        """Make reading the current body fail with `error`."""
        self._payload.set_exception(error)

    def _left_over(self) -> _Found:
        """Answer whether anything has been put by, which aiohttp asks after each body: nearly always, nothing."""
        found: _Found = self._parser.feed_data(b"")
        if found[0]:
            self._begin(found[0], in_body=False)
        return found

    def _begin(self, messages: Sequence[_Message], *, in_body: bool) -> None:
        self._payload = messages[-1][1]
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

    def _bound(self, size: int, in_body: bool) -> None:
        """Count bytes that are neither the end of a head nor of a body's content: heads, trailers, chunk extensions."""
        grown = self._payload.total_bytes
        self._without_end = 0 if in_body and grown != self._body_size else self._without_end + size
        self._body_size = grown
        if self._without_end > self._limit:
            self._head = None
            if in_body:
                self._payload.set_exception(web.RequestPayloadError(str(self._too_large().message)))
            raise self._too_large()

    def _too_large(self) -> BadHttpMessage:
        return BadHttpMessage(f"header fields of more than {self._limit} bytes")

    def _read_again(self, refusal: BadHttpMessage) -> _Found:
        """Return what a second parser makes of the whole head, or nothing while its end has not come."""
        head, end, rest = (self._head or b"").lstrip(b"\r\n").partition(_END)
        covered, names = _cover(head)
        if not names:
            self._head = None
            raise refusal
        if not end:
            self._refusal = refusal
            return (), False, b""
        self._refusal = None
        self._parser = self._another()
        ((message, payload), *others), upgraded, tail = self._parser.feed_data(covered + end + rest)
        return [(_uncover(message, names), payload), *others], upgraded, tail


def _cover(head: bytes) -> tuple[bytes, Mapping[int, bytes]]:
    """Return `head` with other names for fields that stood there before, and the names that they had, by position."""
    line, *fields = head.split(b"\r\n")
    seen: set[bytes] = set()
    names: dict[int, bytes] = {}
    for index, field in enumerate(fields):
        name, colon, value = field.partition(b":")
        lowered = name.lower()
        if colon and lowered in seen and lowered not in _ACTED_UPON:
            names[index] = name
            fields[index] = _COVER + colon + value
        seen.add(lowered)
    return b"\r\n".join((line, *fields)), names


def _uncover(message: Any, names: Mapping[int, bytes]) -> Any:
    raw = tuple((names.get(index, name), value) for index, (name, value) in enumerate(message.raw_headers))
    return message._replace(raw_headers=raw)
