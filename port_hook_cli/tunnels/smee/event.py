"""The events of a webhook relay: how to convert the data of a server-sent event back to the request.

smee.io sends an object that JSON.stringify wrote (probot/smee.io, lib/server.js). The object contains the headers, the
parsed `body`, the parsed `query`, and smee's own `timestamp`. gosmee sends `bodyB`, the bytes of the body in base64,
instead of `body`, and no query (chmouel/gosmee, gosmee/server.go). This module copies the text of smee's `body`
unchanged. It doesn't parse the body and serialize it again, because Port signs the output of JSON.stringify, which smee
preserves, but Python's JSON encoder would not.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import TypeAlias
from urllib.parse import urlencode

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.forwarding import relayed_headers
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.javascript.json_fault import JsonFault, Wanted

_PROBE = "port-hook-probe"
_MAX_PROBE_BYTES = 512
_SPACE = r"[ \t\n\r]*+"
# The closing quotation mark is a group. The group is empty for an unclosed string, which avoids backtracking.
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+("?)'
_opening_at = re.compile(rf"{_SPACE}\{{").match
_key_at = re.compile(rf"{_SPACE}({_STRING}){_SPACE}:{_SPACE}", re.DOTALL).match
_string_at = re.compile(_STRING, re.DOTALL).match
_scalar_at = re.compile(r"[-+.0-9A-Za-z]++").match
_marks = re.compile(rf"{_STRING}|[][{{}}]", re.DOTALL).finditer
_delimiter_at = re.compile(rf"{_SPACE}([,}}])").match
_end_at = re.compile(rf"{_SPACE}\Z").match
_is_name = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+").fullmatch
_is_value = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch

# The relay's own members, and the headers that only apply to the sender's connection.
_NOT_FIELDS = ("body", "bodyb", "query", "timestamp", "host", "content-length", "expect")


@frozen
class RelayedRequest:
    """A POST request to a relay: the query without the `?`, the headers, and the raw body."""

    query: str
    headers: Headers
    body: bytes


@frozen
class RelayMessage:
    """A message about the relay itself: gosmee sends `connected` and then `ready`."""

    text: str


@frozen
class InvalidEvent:
    """An event that doesn't contain a request. `why` is a clause."""

    why: str


Span: TypeAlias = tuple[int, int]


def read_event(data: str) -> RelayedRequest | RelayMessage | InvalidEvent:
    """Return the content of an unnamed event. Any text is accepted."""
    try:
        spans = _members(data)
        if spans.keys() == {"message"}:
            return RelayMessage(str(_value(data, spans["message"])))
        if "bodyB" in spans:
            body = base64.b64decode(str(_value(data, spans["bodyB"])), validate=True)
        elif "body" in spans:
            start, end = spans["body"]
            body = data[start:end].encode("utf-8", "surrogatepass")
        else:
            return InvalidEvent("it has no body")
        headers = Headers(tuple(_fields(data, spans)))
        query = _query(_value(data, spans["query"])) if "query" in spans else ""
    except (ValueError, RecursionError) as error:
        return InvalidEvent(str(error))
    # smee decompresses the body. gosmee does not.
    dropped = _NOT_FIELDS if "bodyB" in spans else (*_NOT_FIELDS, "content-encoding")
    return RelayedRequest(query, relayed_headers(headers).without(*dropped), body)


def probe_body(token: str) -> bytes:
    """Return the body of the request that a listener sends to its own channel.

    Every relay passes this body on unchanged.
    """
    return json.dumps({_PROBE: token}, separators=(",", ":")).encode()


def probe_token(body: bytes) -> str | None:
    """Return the token of a probe that a listener sent to the channel. Return None for other requests."""
    if len(body) > _MAX_PROBE_BYTES or not body.startswith(f'{{"{_PROBE}":'.encode()):
        return None
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    token = document[_PROBE]
    return token if len(document) == 1 and isinstance(token, str) else None


def _members(text: str) -> dict[str, Span]:
    """Return the position of each member's value in `text`, a JSON object.

    If a key occurs twice, the last value counts. Values are not parsed, so their depth and numbers do not matter.
    Raises ValueError.
    """
    opening = _opening_at(text)
    if opening is None:
        raise ValueError("it is not a JSON object")
    at, spans = opening.end(), {}
    delimiter = _delimiter_at(text, at)
    while delimiter is None or delimiter[1] == ",":
        key = _key_at(text, at)
        if key is None or not key[2]:
            raise _not_json("key", text, at)
        end = _end_of_value(text, key.end())
        spans[json.loads(key[1])] = (key.end(), end)
        delimiter = _delimiter_at(text, end)
        if delimiter is None:
            raise _not_json("delimiter", text, end)
        at = delimiter.end()
    if not _end_at(text, delimiter.end()):
        raise ValueError("there is text after the object")
    return spans


def _end_of_value(text: str, start: int) -> int:
    first = text[start : start + 1]
    if first not in {"{", "["}:
        match = _string_at(text, start) if first == '"' else _scalar_at(text, start)
        if match is None or (first == '"' and not match[1]):
            raise _not_json("value", text, start)
        return match.end()
    depth = 0
    for mark in _marks(text, start):
        character = text[mark.start()]
        if character == '"':
            if not mark[1]:
                break
        elif character in "{[":
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                return mark.end()
    raise ValueError("it is not JSON: it is incomplete")


def _not_json(wanted: Wanted, text: str, position: int) -> ValueError:
    return ValueError(f"it is not JSON: {JsonFault(wanted, text, position)}")


def _value(text: str, span: Span) -> object:
    value: object = json.loads(text[slice(*span)])
    return value


def _fields(text: str, spans: dict[str, Span]) -> Iterator[tuple[str, str]]:
    """Yield the headers. A header is a member with a string, or with a list of strings for `set-cookie`, as in Node."""
    # Node decodes header bytes as Latin-1. Go decodes them as UTF-8.
    encoding = "utf-8" if "bodyB" in spans else "latin-1"
    for name, (start, end) in spans.items():
        if text[start] not in '"[' or name in _NOT_FIELDS or name == "bodyB" or not _is_name(name):
            continue
        value = _value(text, (start, end))
        for one in value if isinstance(value, list) else (value,):
            wire = _wire(one, encoding) if isinstance(one, str) else "\0"
            if _is_value(wire):
                yield name, wire.strip(" \t")


def _wire(value: str, encoding: str) -> str:
    try:
        return value.encode(encoding).decode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass").decode("latin-1")


def _query(value: object) -> str:
    """Return the query string that smee parsed to `value`: strings and lists of strings. Deeper values are omitted."""
    pairs = [
        (name, one)
        for name, values in (value.items() if isinstance(value, dict) else ())
        for one in (values if isinstance(values, list) else [values])
        if isinstance(one, str)
    ]
    return urlencode(pairs, errors="surrogatepass")
