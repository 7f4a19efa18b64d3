"""Read HTTP/1.1 responses from the bytes of a connection (RFC 9112).

The parser accepts everything that aiohttp's parser and h11 accept: lines that end with a bare LF, headers folded over
several lines, and a status line without a reason. The parser rejects a response if the end of the body is ambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from port_hook_cli.http.failures import ResponseTooLarge, UnreadableResponse, head_too_large, too_many_interim
from port_hook_cli.invocations.headers import Headers

MAX_HEAD_BYTES = 256 * 1024
"""The maximum number of bytes of a response outside its body: heads, chunk extensions and trailers."""

MAX_INTERIM = 32
"""The maximum number of interim (1xx) responses before the final response."""

_SWITCHING_PROTOCOLS = 101
_NO_CONTENT = 204
_BODILESS = frozenset({_NO_CONTENT, 304})
_MAX_CHUNK_LINE_BYTES = 16 * 1024
_PLAIN_CHUNK_LINE_BYTES = 18
_MAX_SHOWN = 60
_NO_HEADERS = Headers()
_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\x00\r]*)?").fullmatch
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00\r\n]*)").fullmatch
_LENGTH = re.compile(r"[0-9]{1,18}").fullmatch
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n\x00]*)?\r?\n?").fullmatch

_Body = Callable[[bytes], None]


class ResponseParser:
    """Reads one response. `on_body` is called with each part of the body, and may raise an exception.

    `is_head` is true for the response to a HEAD request, which has no body.
    """

    def __init__(self, on_body: _Body, *, is_head: bool = False) -> None:
        self.status = 0
        self.headers = _NO_HEADERS
        self.is_complete = False
        self.can_reuse = False
        """Whether the connection can take another request after this response."""
        self._on_body = on_body
        self._is_head = is_head
        # `_read` is a function, because a bound method would refer to the parser, which would then live until a garbage
        # collection.
        self._read: Callable[[ResponseParser], bool] = ResponseParser._read_head
        self._buffer = b""
        self._at = 0  # where unread data begins: above 0 only between chunks
        self._searched = 0
        self._remaining = 0
        self._head_bytes = self._interim = 0

    @property
    def has_begun(self) -> bool:
        """Whether a part of the response has arrived."""
        return bool(self._buffer or self.status)

    def feed(self, data: bytes) -> None:
        """Read more bytes of the response.

        Raises UnreadableResponse, ResponseTooLarge, and the exceptions of `on_body`.
        """
        self._buffer = self._buffer + data if self._buffer else data
        while not self.is_complete and self._read(self):
            pass
        self._drop_read()

    def feed_end(self) -> None:
        """Handle the end of the connection, which may be the end of the body."""
        if self._read is ResponseParser._read_until_close:
            self.is_complete = True

    def _read_head(self) -> bool:
        """Read the head if it is complete. Return whether the parser can continue."""
        start, end = _find_empty_line(self._buffer, self._searched)
        if end < 0:
            self._count(0, pending=len(self._buffer))
            if not b"HTTP/1.".startswith(self._buffer[:7].lstrip(b"\r\n")):
                raise UnreadableResponse(f"it begins with {_shown(self._buffer)}")
            self._searched = max(0, len(self._buffer) - 2)
            return False
        self._count(end)
        head = self._buffer[:start].decode("latin-1")
        self._buffer = self._buffer[end:]
        self._searched = 0
        status, minor, self.headers = _parse_head(head)
        if status < 200:  # noqa: PLR2004 - interim responses
            self._skip_interim(status)
            return True
        self.status = status
        self._begin_body(minor)
        return True

    def _skip_interim(self, status: int) -> None:
        if status == _SWITCHING_PROTOCOLS:
            raise UnreadableResponse("it switches to another protocol, but the request did not ask for one")
        self._interim += 1
        if self._interim > MAX_INTERIM:
            raise ResponseTooLarge(too_many_interim(MAX_INTERIM))

    def _begin_body(self, minor: str) -> None:
        connection = ",".join(self.headers.all("connection")).lower() if "connection" in self.headers.names else ""
        self.can_reuse = minor == "1" and "close" not in connection
        if self._is_head or self.status in _BODILESS:
            # If the target sends a body anyway, it would be read as the next response.
            self.can_reuse = self.can_reuse and (self._is_head or not self._declares_body())
            self._complete()
        elif "transfer-encoding" in self.headers.names:
            self._begin_transfer_coding()
        elif "content-length" in self.headers.names:
            self._remaining = self._content_length()
            self._read = ResponseParser._read_length
        else:
            self._begin_until_close()

    def _declares_body(self) -> bool:
        """Return whether a response that cannot have a body announces a body. A 304 response may have a length."""
        if "transfer-encoding" in self.headers.names:
            return True
        lengths = self.headers.all("content-length") if self.status == _NO_CONTENT else ()
        return any(length.strip() != "0" for length in lengths)

    def _begin_transfer_coding(self) -> None:
        if "content-length" in self.headers.names:
            raise UnreadableResponse("it has both content-length and transfer-encoding")
        codings = ",".join(self.headers.all("transfer-encoding")).lower()
        if codings.rpartition(",")[2].strip() == "chunked":
            self._read = ResponseParser._read_chunk_line
        else:
            self._begin_until_close()

    def _content_length(self) -> int:
        lengths = set(self.headers.all("content-length"))
        length = lengths.pop()
        if lengths or not _LENGTH(length):
            raise UnreadableResponse(f"its content-length is {_shown(', '.join((length, *lengths)).encode('latin-1'))}")
        return int(length)

    def _begin_until_close(self) -> None:
        self.can_reuse = False
        self._read = ResponseParser._read_until_close

    def _read_until_close(self) -> bool:
        if self._buffer:
            self._on_body(self._buffer)
            self._buffer = b""
        return False

    def _read_length(self) -> bool:
        self._read_body()
        if self._remaining:
            return False
        self._complete()
        return True

    def _read_body(self) -> None:
        part = self._buffer if len(self._buffer) <= self._remaining else self._buffer[: self._remaining]
        if part:
            self._buffer = self._buffer[len(part) :]
            self._remaining -= len(part)
            self._on_body(part)

    def _read_chunk_line(self) -> bool:
        limit = self._at + _MAX_CHUNK_LINE_BYTES
        end = self._buffer.find(b"\n", self._at, limit)
        line = self._buffer[self._at : end + 1 if end >= 0 else limit]
        if end < 0 and len(line) < _MAX_CHUNK_LINE_BYTES and (b";" in line or _CHUNK_LINE(line) or not line.strip()):
            return False
        match = _CHUNK_LINE(line) if end >= 0 else None
        if match is None:
            raise UnreadableResponse(f"{_shown(line)} is not the size of a chunk")
        self._count(max(0, len(line) - _PLAIN_CHUNK_LINE_BYTES))
        self._at = end + 1
        self._remaining = int(match[1], 16)
        self._read = ResponseParser._read_chunk if self._remaining else ResponseParser._read_trailer
        if not self._remaining:
            self._drop_read()
        return True

    def _read_chunk(self) -> bool:
        part = self._buffer[self._at : self._at + self._remaining]
        if part:
            self._at += len(part)
            self._remaining -= len(part)
            self._on_body(part)
        if self._remaining:
            return False
        self._read = ResponseParser._read_chunk_end
        return True

    def _read_chunk_end(self) -> bool:
        found = self._buffer[self._at : self._at + 2]
        if found in {b"", b"\r"}:
            return False
        if found != b"\r\n" and found[:1] != b"\n":
            raise UnreadableResponse(
                f"{_shown(self._buffer[self._at : self._at + _MAX_CHUNK_LINE_BYTES])} follows a chunk"
            )
        self._at += 2 if found == b"\r\n" else 1
        self._read = ResponseParser._read_chunk_line
        return True

    def _drop_read(self) -> None:
        """Discard the chunks already read.

        Call this once per arrival of data, because one call per chunk takes quadratic time.
        """
        if self._at:
            self._buffer = self._buffer[self._at :]
            self._at = 0

    def _read_trailer(self) -> bool:
        """Read and discard one trailer, or read the empty line after the trailers."""
        end = self._buffer.find(b"\n", self._searched)
        if end < 0:
            self._count(0, pending=len(self._buffer))
            self._searched = len(self._buffer)
            return False
        line = self._buffer[:end].removesuffix(b"\r")
        self._count(end + 1)
        self._buffer = self._buffer[end + 1 :]
        self._searched = 0
        if not line:
            self._complete()
        elif not _FIELD(line.decode("latin-1")) and line[:1] not in {b" ", b"\t"}:
            raise UnreadableResponse(f"{_shown(line)} is not a trailer field")
        return True

    def _complete(self) -> None:
        self.is_complete = True
        if not self._buffer:
            return
        self.can_reuse = False
        has_body = not self._is_head and self.status not in _BODILESS
        if has_body and not self._buffer.lstrip(b"\r\n").startswith(b"HTTP/"):
            raise UnreadableResponse(f"{_shown(self._buffer)} follows the end of its body")

    def _count(self, size: int, *, pending: int = 0) -> None:
        """Count `size` bytes outside the body.

        Raises ResponseTooLarge if the total with `pending` exceeds the limit.
        """
        self._head_bytes += size
        if self._head_bytes + pending > MAX_HEAD_BYTES:
            raise ResponseTooLarge(head_too_large(MAX_HEAD_BYTES))


@lru_cache(maxsize=4)  # in a series, responses have the same head for a second (largest head: 256 KiB)
def _parse_head(head: str) -> tuple[int, str, Headers]:
    """Return the status, the minor version and the headers of a response. Raises UnreadableResponse for a bad head."""
    line, *fields = head.lstrip("\r\n").split("\n")
    status_line = _STATUS_LINE(line.removesuffix("\r"))
    if status_line is None:
        raise UnreadableResponse(f"it begins with {_shown(line.encode('latin-1'))}")
    items: list[tuple[str, str]] = []
    for text in fields:
        match = _FIELD(text.rstrip("\r \t"))
        if match is not None:
            items.append((match[1], match[2]))
        elif text[:1] in {" ", "\t"} and items and not {"\x00", "\r"} & set(text.strip()):
            name, value = items[-1]
            items[-1] = (name, f"{value} {text.strip()}".strip())
        else:
            raise UnreadableResponse(f"{_shown(text.encode('latin-1'))} is not a header")
    return int(status_line[2]), status_line[1], Headers(tuple(items))


def _find_empty_line(data: bytes, start: int) -> tuple[int, int]:
    """Return where the first empty line of `data` begins (with the line break before it) and ends, or -1 twice."""
    crlf = data.find(b"\n\r\n", start)
    lf = data.find(b"\n\n", start, None if crlf < 0 else crlf + 1)
    if lf >= 0:
        return lf, lf + 2
    return crlf, crlf + 3 if crlf >= 0 else -1


def _shown(data: bytes) -> str:
    """Return the beginning of `data` as a quoted ASCII string."""
    text = data[:_MAX_SHOWN].decode("latin-1")
    return ascii(text + ("…" if len(data) > _MAX_SHOWN else "")).replace("\\u2026", "…")
