"""The fields of a capture in the store's rows and in capture files: their names, types and limits.

A `Shape` describes the JSON object for a type of value. Rows and files are read with the same shapes, and every field
is checked, because any program may have written them. `database.rows` writes rows without the shapes, because it is on
the listener's hot path. A test compares the two. If a rejected request has a large body, only its beginning is saved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Generic, NamedTuple, TypeVar

from port_hook_cli.errors import StoreError
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import (
    LATEST_TIMESTAMP_MS,
    Cause,
    Delivery,
    Invocation,
    MessageOrigin,
    Response,
    Simulated,
    Status,
    Truncation,
    Verdict,
)

REJECTED_BODY_LIMIT = 256 * 1024

NOT_WHOLE = "not read, because the body is incomplete"

T = TypeVar("T")
Fields = Mapping[str, Any]
Loader = Callable[[Any, str], Any]
"""Returns the value of a field from the field's JSON and name. Raises NotACapture."""

_REQUIRED = object()
_PAIR = [str, str]


class NotACapture(ValueError):
    """The document is not a capture, or it is a damaged capture. The message describes the fault."""


class Field(NamedTuple):
    """An attribute of a value. `key` is its name in JSON, if the names differ. `default` replaces null.

    `old_key` is its name in older files and stores, which are still read. A field with `is_extra` was added later. JSON
    omits the field if it has its default, so older records don't change.
    """

    name: str
    load: Loader
    default: Any = _REQUIRED
    key: str = ""
    old_key: str = ""
    dump: Callable[[Any], Any] | None = None
    is_extra: bool = False


class Shape(Generic[T]):
    """The JSON object for a value of the type `make`."""

    def __init__(self, make: Callable[..., T], *fields: Field) -> None:
        self.make, self.fields = make, fields
        # These are plain tuples, because commands and the page load thousands of rows.
        self._loaders = [
            (field.name, field.key or field.name, field.old_key, field.load, field.default) for field in fields
        ]

    def only(self, *names: str) -> Iterator[Field]:
        """Yield the fields with the given names."""
        return (field for field in self.fields if field.name in names)

    def dump(self, value: T) -> dict[str, Any]:
        """Return the JSON object for a value."""
        found = ((field, getattr(value, field.name)) for field in self.fields)
        return {
            field.key or field.name: field.dump(part) if field.dump else part
            for field, part in found
            if not (field.is_extra and part == field.default)
        }

    def load(self, written: Fields, **others: Any) -> T:
        """Return the value with the fields in `written` and the attributes in `others`. Raises NotACapture."""
        for name, key, old_key, load, default in self._loaders:
            part = written.get(key)
            if part is None and old_key:
                part = written.get(old_key)
            if part is not None:
                others[name] = load(part, key)
            elif default is _REQUIRED:
                raise NotACapture(f'it has no "{key}"')
            else:
                others[name] = default
        return self.make(**others)

    def maybe(self, written: Any, name: str, **others: Any) -> T | None:
        """Return the value of the object `written`, or None for null. Raises NotACapture."""
        if written is None:
            return None
        if not isinstance(written, dict):
            raise NotACapture(f'its "{name}" is not an object')
        try:
            return self.load(written, **others)
        except NotACapture as error:
            raise NotACapture(f'{error} (in "{name}")') from error


def read_text(value: Any, name: str) -> str:
    """Return a string. Raises NotACapture for any other value."""
    if not isinstance(value, str):
        raise NotACapture(f'its "{name}" is not a string')
    return value


def read_text_or_bytes(value: Any, name: str) -> str:
    """Return a string. If it has lone surrogates, a row contains it as bytes."""
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else read_text(value, name)


def read_bytes(value: Any, name: str) -> bytes:
    """Return the bytes in a column. Raises NotACapture for any other value."""
    if not isinstance(value, bytes):
        raise NotACapture(f'its "{name}" is missing or not made of bytes')
    return value


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise NotACapture(f'its "{name}" is not a number')
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _finite(value: Any, name: str) -> float:
    number = _number(value, name)
    if not math.isfinite(number):
        raise NotACapture(f'its "{name}" is not a finite number')
    return number


def _age(value: Any, name: str) -> float:
    age = _number(value, name)  # the age is infinite for the largest timestamps
    if math.isnan(age):
        raise NotACapture(f'its "{name}" is not a number')
    return age


def read_moment(value: Any, name: str) -> float:
    """Return a time in seconds since the epoch. Raises NotACapture for any other value."""
    moment = _finite(value, name)
    if not 0 <= moment <= LATEST_TIMESTAMP_MS / 1000:
        raise NotACapture(f'its "{name}" is not a time')
    return moment


def _whole(largest: int) -> Loader:
    def load(value: Any, name: str) -> int:
        if type(value) is not int or not 0 <= value <= largest:
            raise NotACapture(f'its "{name}" is not a whole number up to {largest}')
        return value

    return load


def _http_status(value: Any, name: str) -> int:
    if type(value) is not int or not 100 <= value <= 999:  # noqa: PLR2004 - HTTP allows three digits
        raise NotACapture(f'its "{name}" is not an HTTP status')
    return value


def _boolean(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise NotACapture(f'its "{name}" is neither true nor false')
    return value


def read_status(value: Any, _: str) -> Status:
    """Return the status of a verdict. Raises NotACapture for any other value."""
    try:
        return Status(value)
    except ValueError as error:
        raise NotACapture(f"its verdict has the unknown status {value!r}") from error


def read_headers(value: Any, name: str) -> Headers:
    """Return headers. Raises NotACapture for any other value."""
    if not isinstance(value, list):
        raise NotACapture(f'its "{name}" is not a list')
    for pair in value:
        if not isinstance(pair, list) or list(map(type, pair)) != _PAIR:
            raise NotACapture('its "headers" are not a list of [name, value]')
    try:
        "".join([text for pair in value for text in pair]).encode("latin-1")
    except UnicodeEncodeError as error:
        fault = "a header has characters outside Latin-1. Write each byte of its UTF-8 as one character"
        raise NotACapture(fault) from error
    return Headers(tuple(map(tuple, value)))


def _causes(value: Any, name: str) -> tuple[Cause, ...]:
    if not isinstance(value, list) or not all(isinstance(cause, dict) for cause in value):
        raise NotACapture(f'its "{name}" are not objects')
    return tuple(map(CAUSE.load, value))


def _lists(headers: Headers) -> list[list[str]]:
    return [[name, value] for name, value in headers]


_HEADERS = Field("headers", read_headers, Headers(), dump=_lists)

CAUSE = Shape(Cause, Field("slug", read_text), Field("explanation", read_text, key="words"), Field("fix", read_text))
VERDICT = Shape(
    Verdict,
    Field("status", read_status, dump=str),
    Field("signed_form", read_text_or_bytes, None, old_key="reading"),
    Field("age_s", _age, None),
    Field("causes", _causes, (), key="details", dump=lambda causes: list(map(CAUSE.dump, causes))),
)
DELIVERY = Shape(
    Delivery,
    Field("url", read_text),
    Field("status", _http_status, None),
    Field("latency_ms", _finite, 0.0),
    Field("fault", read_text, None),
    Field("error", read_text, None),
    _HEADERS,
)
RESPONSE = Shape(Response, Field("status", _http_status), _HEADERS)
SIMULATED = Shape(
    Simulated,
    Field("failure", read_text, None),
    Field("dropped", _boolean, False),
    Field("delay_s", _finite, 0.0),
    Field("manual", _boolean, False, old_key="by_hand", is_extra=True),
)
ORIGIN = Shape(
    MessageOrigin,
    Field("topic", read_text),
    Field("partition", _whole(2**31 - 1)),
    Field("offset", _whole(2**63 - 1)),
    Field("timestamp_ms", _whole(LATEST_TIMESTAMP_MS), None),
)
TRUNCATION = Shape(
    Truncation, Field("size", _whole(2**63 - 1), key="body_size"), Field("sha256", read_text, key="body_sha256")
)
INVOCATION = Shape(
    Invocation,
    Field("id", read_text, "-"),
    Field("received_at", read_moment, 0.0, key="received_at_s"),
    Field("method", read_text_or_bytes),
    Field("target", read_text_or_bytes, "/"),
    Field("replay_of", read_text_or_bytes, None),
    _HEADERS,
)


def truncate(invocation: Invocation, limit: int = REJECTED_BODY_LIMIT) -> Invocation:
    """Return a rejected invocation with at most `limit` bytes of its body, and with the whole body's size and hash."""
    body = invocation.body
    if len(body) <= limit or invocation.truncated is not None:
        return invocation
    from hashlib import sha256  # this import loads OpenSSL, which reading a store does not need

    whole = Truncation(size=len(body), sha256=sha256(body).hexdigest())
    return replace(invocation, body=body[:limit], truncated=whole)


def require_whole(name: str, invocation: Invocation) -> Invocation:
    """Return `invocation` itself. Raises StoreError if its body is incomplete."""
    truncated = invocation.truncated
    if truncated is None:
        return invocation
    raise StoreError(
        f"The body of {name} is incomplete: the request was rejected, and only the first "
        f"{len(invocation.body):,} of its {truncated.size:,} bytes were saved.",
        hint="Send the request again, or pass its payload as a file.",
    )
