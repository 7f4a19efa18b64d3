r"""Parse a raw HTTP request from a file, for example from a proxy, `nc -l` or a tunnel's inspector.

The file consists of a request line, headers, an empty line and a body (RFC 9112). Lines may end with LF, as section 2.2
allows. The bytes of the body are never changed.
"""

from __future__ import annotations

import re

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.headers import Headers

_REQUEST_LINE = rb"(?P<method>[!#$%&'*+.^_`|~0-9A-Za-z-]+) +(?P<target>\S+) +HTTP/\d(\.\d)?[ \t]*"
# These patterns are compiled when they are first used, because most files are payloads.
_FIELD = rb"(?s)(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+):(?P<value>.*)"
_CHUNK_SIZE = rb"(?P<size>[0-9A-Fa-f]{1,16})[ \t]*(;[^\n]*)?\r?\n"
_BEGINNING = 40


class NotHttp(ValueError):
    """The bytes are not an HTTP request. The message contains the invalid line."""


@frozen
class RawRequest:
    """A parsed request. `remarks` are notes on inconsistencies in the request."""

    method: str
    target: str
    headers: Headers
    body: bytes
    remarks: tuple[str, ...] = ()


def is_request(content: bytes) -> bool:
    """Return whether the first nonempty line is an HTTP request line."""
    line = content.lstrip(b"\r\n").partition(b"\n")[0]
    return re.fullmatch(_REQUEST_LINE, line.rstrip(b"\r")) is not None


def parse_request(content: bytes) -> RawRequest:
    """Return the request in `content`. Raises only NotHttp."""
    start = len(content) - len(content.lstrip(b"\r\n"))
    head, body, complete = _split(content[start:])
    lines = [line.removesuffix(b"\r") for line in head.split(b"\n")]
    first = re.fullmatch(_REQUEST_LINE, lines[0])
    if first is None:
        raise NotHttp(f"the first line is not a request line like 'POST / HTTP/1.1': {_beginning(lines[0])}")
    headers = _headers(lines[1:], first_line=content[:start].count(b"\n") + 2)
    remarks = () if complete else ("there is no empty line after the headers, so there is no body",)
    body, more = _framed(headers, body)
    return RawRequest(
        method=first["method"].decode("latin-1"),
        target=first["target"].decode("utf-8", "surrogateescape"),
        headers=headers,
        body=body,
        remarks=(*remarks, *more),
    )


def _split(content: bytes) -> tuple[bytes, bytes, bool]:
    """Return the head, the body, and whether an empty line separates them."""
    end = re.search(rb"\r?\n\r?\n", content)
    if end is None:
        return content.rstrip(b"\r\n"), b"", False
    return content[: end.start()], content[end.end() :], True


def _headers(lines: list[bytes], *, first_line: int) -> Headers:
    fields: list[tuple[bytes, bytes]] = []
    for number, line in enumerate(lines, first_line):
        if line[:1] in {b" ", b"\t"} and fields:  # the line continues a folded value (RFC 9112, section 5.2)
            name, value = fields.pop()
            fields.append((name, value + b" " + line.strip(b" \t")))
            continue
        field = re.fullmatch(_FIELD, line)
        if field is None:
            raise NotHttp(f"line {number} is not a header like 'name: value': {_beginning(line)}")
        fields.append((field["name"], field["value"].strip(b" \t")))
    return Headers.from_raw(fields)


def _framed(headers: Headers, body: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return the body that the headers delimit, and remarks on mismatches between the headers and the body."""
    if "chunked" in (headers.get("transfer-encoding") or "").lower():
        whole = _unchunked(body)
        if whole is None:
            return body, ("the headers say 'chunked', but the body is not chunked and was used unchanged",)
        return whole, ()
    stated = headers.get("content-length")
    if stated is None:
        return body, ()
    if not (stated.isascii() and stated.isdigit()) or len(stated) > 18:  # noqa: PLR2004 - no file is longer
        return body, (f"content-length is not a number ({_beginning(stated.encode('latin-1'))}) and was ignored",)
    return _cut(body, int(stated))


def _cut(body: bytes, length: int) -> tuple[bytes, tuple[str, ...]]:
    extra = len(body) - length
    if extra > 0:
        cut = f"content-length is {length}, so the rest ({extra} B) was left out"
        return body[:length], (f"{cut}. If you edited the body, delete that header",)
    if extra < 0:
        return body, (f"content-length is {length}, but the body has only {len(body)} bytes",)
    return body, ()


def _unchunked(body: bytes) -> bytes | None:
    """Return the content of the chunks (RFC 9112, section 7.1), or None if `body` is not completely chunked."""
    parts: list[bytes] = []
    chunk_size, at = re.compile(_CHUNK_SIZE), 0
    while (size := chunk_size.match(body, at)) is not None:
        length = int(size["size"], 16)
        if length == 0:
            return b"".join(parts)
        start, end = size.end(), size.end() + length
        line_end = re.compile(rb"\r?\n").match(body, end)
        if line_end is None:
            return None
        parts.append(body[start:end])
        at = line_end.end()
    return None


def _beginning(line: bytes) -> str:
    text = line[:_BEGINNING].decode("utf-8", "replace")
    return f"{text!r}{'…' if len(line) > _BEGINNING else ''}"
