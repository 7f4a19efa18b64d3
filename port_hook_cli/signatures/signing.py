"""Sign requests like Port.

Port's webhook documentation defines the signature: `x-port-signature` is `v1,` + base64(HMAC-SHA-256(client secret,
timestamp + "." + body)), and `x-port-timestamp` is the seconds since the epoch.
"""

from __future__ import annotations

import hmac
import json
from base64 import b64encode
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.headers import SIGNATURE_HEADER, TIMESTAMP_HEADER
from port_hook_cli.invocations.small_documents import SMALL_BYTES, small_document
from port_hook_cli.text.secret import Secret

VERSION = "v1"
RAW = "raw"
"""The signed form that Port uses: the raw body."""

_SMALL_BYTES, _LARGE_BYTES = 2_000, 2**16


class TimestampUnit(StrEnum):
    """The unit of `x-port-timestamp`. Port documents seconds, but one of its example handlers reads milliseconds."""

    SECONDS = "s"
    MILLISECONDS = "ms"

    def stamp(self, now: float) -> str:
        """Return `now` (seconds since the epoch) as the header's text in this unit."""
        return str(int(now * 1000) if self is TimestampUnit.MILLISECONDS else int(now))


class SigningKeys(NamedTuple):
    """The keys that a handler may use. `secret` is correct, and `client_id` and `other` are mistaken for the secret.

    `other` is a secret from another place, such as the environment when a sandbox signs, and `other_place` is this
    place.
    """

    secret: Secret
    client_id: str | None = None
    other: Secret | None = None
    other_place: str = ""


def digest(secret: str, timestamp: str, body: bytes) -> bytes:
    """Return the 32 bytes of a signature. Lone surrogates in the arguments are encoded as WTF-8."""
    return message_digest(encoded(secret), encoded(timestamp) + b".", body)


def encoded(text: str) -> bytes:
    """Encode text as UTF-8. Lone surrogates are encoded as WTF-8."""
    return text.encode("utf-8", "surrogatepass")


def message_digest(key: bytes, before: bytes, body: bytes, after: bytes = b"") -> bytes:
    """Return the 32 bytes of a signature over `body`, with the texts before and after it."""
    if len(body) < _SMALL_BYTES:
        # `hmac.digest` always releases the interpreter's lock, and getting it back takes long in a busy listener.
        keyed = _keyed(key).copy()
        keyed.update(before + body + after)
        return keyed.digest()
    if len(body) < _LARGE_BYTES:
        return hmac.digest(key, before + body + after, "sha256")
    whole = hmac.new(key, before, "sha256")  # this doesn't copy the body, and releases the interpreter's lock
    whole.update(body)
    whole.update(after)
    return whole.digest()


@lru_cache(maxsize=16)  # setting up a key takes as long as hashing a small body, and a listener has only one secret
def _keyed(key: bytes) -> hmac.HMAC:
    """Return an HMAC of the key without content. Callers share the HMAC, so copy it and never update it."""
    return hmac.new(key, digestmod="sha256")


def sign(body: bytes, secret: Secret, timestamp: str) -> str:
    """Return the value of `x-port-signature` for `body`, signed at `timestamp`."""
    return f"{VERSION},{b64encode(digest(secret.reveal(), timestamp, body)).decode('ascii')}"


def signed_headers(body: bytes, secret: Secret, timestamp: str) -> tuple[tuple[str, str], ...]:
    """Return the headers that Port adds to a request with `body`, in Port's order."""
    return (
        (SIGNATURE_HEADER, sign(body, secret, timestamp)),
        (TIMESTAMP_HEADER, timestamp),
    )


MESSAGE_SIGNATURE = "X-Port-Signature"
MESSAGE_TIMESTAMP = "X-Port-Timestamp"
_OURS = frozenset({MESSAGE_SIGNATURE, MESSAGE_TIMESTAMP})


@lru_cache(maxsize=1)  # the source and the verification read the same message, one after the other
def headers_in(value: bytes) -> Mapping[str, Any] | None:
    """Return the `headers` object in a message's value, or None if there is none. Never raises."""
    if b'"headers"' not in value:
        return None
    try:
        document = _document(value)
    except (ValueError, RecursionError):
        return None
    headers = document.get("headers") if isinstance(document, dict) else None
    return headers if isinstance(headers, dict) else None


def _document(value: bytes) -> Any:
    if len(value) > SMALL_BYTES:
        return json.loads(value)
    try:
        return small_document(value)
    except (ValueError, RecursionError):
        return json.loads(value)  # accepts a byte order mark, and unpaired surrogates in UTF-8


def signed_message(document: Any, secret: Secret | None, timestamp: str) -> bytes:
    """Return the bytes of a message with `document` and its signature, formatted like the result of JSON.stringify.

    Other `headers` of the document stay. The message has no signature without `secret`, or if the document is not an
    object, because only an object can have `headers`.
    """
    from port_hook_cli.javascript.values import write_json  # the import is here so that `verify` starts faster

    if not isinstance(document, Mapping):
        return write_json(document).encode()
    given = document.get("headers")
    kept = {name: value for name, value in given.items() if name not in _OURS} if isinstance(given, Mapping) else {}
    unsigned = {**document, "headers": kept}
    if secret is None:
        return write_json(unsigned).encode()
    signature = sign(write_json(unsigned).encode(), secret, timestamp)
    headers = {**kept, MESSAGE_SIGNATURE: signature, MESSAGE_TIMESTAMP: timestamp}
    return write_json({**document, "headers": headers}).encode()


@frozen
class Signer:
    """Signs with one secret. Commands without a signer send unsigned requests, or the captured signature.

    `unit` is the unit of the timestamps. With `inside`, the signature inside a Kafka message is renewed.
    """

    secret: Secret
    unit: TimestampUnit = TimestampUnit.SECONDS
    inside: bool = True

    def fields(self, body: bytes, now: float) -> tuple[tuple[str, str], ...]:
        """Return the signature headers of a request with `body`, signed at `now` (seconds since the epoch)."""
        return signed_headers(body, self.secret, self.unit.stamp(now))

    def message(self, captured: bytes, edited: bytes, now: float) -> bytes:
        """Return an edited Kafka message with a new signature inside it, signed at `now` (seconds since the epoch).

        Returns `edited` unchanged without `inside`, for a message without a signature, for a message that was not
        edited, and for a message whose signature or timestamp was edited.
        """
        kept = _inner_signature(edited)
        if not self.inside or edited == captured or MESSAGE_SIGNATURE not in kept or kept != _inner_signature(captured):
            return edited
        return signed_message(json.loads(edited), self.secret, self.unit.stamp(now))


def _inner_signature(message: bytes) -> Mapping[str, Any]:
    headers = headers_in(message) or {}
    return {name: headers[name] for name in (MESSAGE_SIGNATURE, MESSAGE_TIMESTAMP) if name in headers}


Form = Literal["json-stringify", "raw"]

CAPTURE_MARK = b"port-hook/capture/"
"""A file without these bytes is not a capture file, so most payloads need not be parsed to find that out."""

_BOM = b"\xef\xbb\xbf"


@frozen
class Signable:
    """The bytes to sign, their form, and a phrase about how they differ from the file ("" if they don't)."""

    body: bytes
    form: Form
    difference: str = ""


def signable(content: bytes, *, raw: bool = False) -> Signable:
    """Return the bytes to sign: the file's own if `raw` is set, otherwise the form that Port sends.

    Without `raw`, raises NotJson for a file that is not JSON.
    """
    return Signable(body=content, form="raw") if raw else as_port_sends(content)


def as_port_sends(content: bytes) -> Signable:
    """Return `JSON.stringify(JSON.parse(content))`, which is the form that Port signs. Raises NotJson.

    Handlers in Node serialize the parsed body again before they verify it, so only this form is accepted by all
    handlers.
    """
    from port_hook_cli.javascript.stringify import NotJson, stringify

    try:
        text = content.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJson(f"byte {error.start + 1} is not UTF-8") from error
    body = stringify(text).encode("utf-8")
    return Signable(body=body, form="json-stringify", difference=_difference(content, body))


def _difference(content: bytes, body: bytes) -> str:
    if content == body:
        return ""
    if content.rstrip(b"\r\n") == body:
        return "without the line break at the end of the file"
    return f"as compact JSON, like Port ({len(body):,} bytes, while the file has {len(content):,})"
