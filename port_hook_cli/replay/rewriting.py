"""How a replay changes a request before sending it again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.forwarding import HOP_BY_HOP
from port_hook_cli.invocations.models import SIGNATURE_HEADER, TIMESTAMP_HEADER, Headers, Invocation
from port_hook_cli.signatures.signing import (
    MESSAGE_SIGNATURE,
    MESSAGE_TIMESTAMP,
    TimestampUnit,
    headers_in,
    signed_headers,
    signed_message,
)
from port_hook_cli.text.secret import MASK, Secret

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
# It asks for a "100 Continue", which the first receiver has already sent.
_FULFILLED = frozenset({"expect"})
_OF_THE_FIRST_CONNECTION = frozenset({"host", "content-length", "forwarded", SIGNATURE_HEADER, TIMESTAMP_HEADER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewriting:
    """How each request is changed. `headers` replace the fields with the same names; `method` is kept if it is None.

    A field with an empty value is removed. `as_captured` keeps the captured fields, timestamp and signature.
    """

    method: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    as_captured: bool = False


def parse_method(text: str) -> str:
    """Return an HTTP method in capitals; raises UsageError for an invalid one."""
    if not _TOKEN.fullmatch(text):
        raise UsageError(f"{text!r} is not an HTTP method.", hint="Use a method such as POST or PUT.")
    return text.upper()


def parse_header(text: str) -> tuple[str, str]:
    """Return the name and value in `NAME:VALUE`, the value as its UTF-8 bytes read as Latin-1; raises UsageError."""
    name, colon, value = text.partition(":")
    value = value.strip(" \t")
    if not colon or not _TOKEN.fullmatch(name) or _CONTROL.search(value):
        raise UsageError(
            f"--header {name!r} is not a valid header field.", hint="Write it like --header 'x-tenant: blue'."
        )
    return name, value.encode("utf-8", "surrogateescape").decode("latin-1")


def masked_fields(headers: Headers) -> tuple[str, ...]:
    """Return the names of the fields that the store masked; a replay leaves them out."""
    return tuple(name for name, value in headers if value == MASK)


def draft(invocation: Invocation, rewriting: Rewriting, *, url: str, body: bytes) -> Invocation:
    """Return the request for `url` with `body`, still without timestamp and signature."""
    prepare = _captured_headers if rewriting.as_captured else _fresh_headers
    headers = prepare(invocation, url)
    if body != invocation.body:
        headers = headers.without("content-encoding", "content-length")
    return replace(invocation, method=rewriting.method or invocation.method, headers=headers, body=body)


def signed_inside(captured: bytes, edited: bytes, secret: Secret, timestamp: str) -> bytes:
    """Return an edited message of Kafka with a new signature inside it.

    Return `edited` as it is if the message has no signature, or if its signature or timestamp was edited.
    """
    kept = _inner_signature(edited)
    if edited == captured or MESSAGE_SIGNATURE not in kept or kept != _inner_signature(captured):
        return edited
    return signed_message(json.loads(edited), secret, timestamp)


def _inner_signature(value: bytes) -> Mapping[str, Any]:
    headers = headers_in(value) or {}
    return {name: headers[name] for name in (MESSAGE_SIGNATURE, MESSAGE_TIMESTAMP) if name in headers}


def finish(
    request: Invocation, rewriting: Rewriting, *, id_: str, now: float, secret: Secret | None, unit: TimestampUnit
) -> Invocation:
    """Return the draft ready to send at `now` (seconds since the epoch), signed if there is a secret."""
    signed = () if secret is None else signed_headers(request.body, secret, unit.stamp(now))
    headers = request.headers.plus(*signed).without(*(name for name, _ in rewriting.headers))
    given = tuple((name, value) for name, value in rewriting.headers if value)
    return replace(request, id=id_, received_at=now, headers=headers.plus(*given))


def _fresh_headers(invocation: Invocation, _url: str) -> Headers:
    return Headers(
        tuple(
            (name, value)
            for name, value in _end_to_end(invocation.headers)
            if name.lower() not in _OF_THE_FIRST_CONNECTION and not name.lower().startswith("x-forwarded-")
        )
    )


def _captured_headers(invocation: Invocation, url: str) -> Headers:
    """Return the captured fields in order, with the host of `url`, and without a wrong content-length."""
    lengths = invocation.headers.all("content-length")
    headers = _end_to_end(invocation.headers)
    if lengths != (str(len(invocation.body)),):
        headers = headers.without("content-length")
    host = urlsplit(url).netloc
    return Headers(tuple((name, host if name.lower() == "host" else value) for name, value in headers))


def _end_to_end(headers: Headers) -> Headers:
    named = {name.strip().lower() for value in headers.all("connection") for name in value.split(",")}
    dropped = HOP_BY_HOP | _FULFILLED | named
    return Headers(tuple(item for item in headers if item[0].lower() not in dropped and item[1] != MASK))
