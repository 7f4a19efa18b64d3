"""The request that the agent makes from a message and a mapping (`WebhookInvoker._prepare_payload` and `_request`).

Before that, the agent decrypts the values at `fieldsToDecryptPaths`, which it looks up like glom
(`decrypt_payload_fields`). These values are masked on the screen.
"""

from __future__ import annotations

import json
import math
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from port_hook_cli.frozen import frozen
from port_hook_cli.prediction.expressions import Evaluate, Evaluated
from port_hook_cli.prediction.mapping import AgentMapping, texts_in
from port_hook_cli.prediction.message import AgentMessage
from port_hook_cli.prediction.wire import AgentFault, signed_content
from port_hook_cli.signatures.signing import MESSAGE_SIGNATURE, MESSAGE_TIMESTAMP, sign
from port_hook_cli.text.secret import MASK, SHORTEST_SECRET, Masker, Secret

_FIELDS = ("method", "url", "body", "headers", "query")


@frozen(kw_only=True)
class MappedRequest:
    """The request that a mapping makes. Any field can have any value that an expression returns."""

    method: Any
    url: Any
    body: Any = field(repr=False)
    headers: Any
    query: Any

    def document(self) -> dict[str, Any]:
        """Return the request as the expressions of `report` see it."""
        return {name: getattr(self, name) for name in _FIELDS}


@frozen(kw_only=True)
class MappedField:
    """An expression of a mapping's request or report, and its result."""

    place: str
    result: Evaluated


def map_request(
    message: AgentMessage, mapping: AgentMapping, evaluate: Evaluate
) -> tuple[MappedRequest, tuple[MappedField, ...]]:
    """Return the request for a message, and the results of the mapping's expressions.

    Raises AgentFault if the invocation method has no usable method or URL, even if the mapping sets both.
    """
    request = MappedRequest(
        method=_text(message.method.get("method", "POST"), "method"),
        url=_text(message.method.get("url", ""), "url"),
        body=message.document,
        headers={},
        query={},
    )
    fields, results = apply_expressions(mapping.fields, mapping.place, message.document, evaluate)
    return replace(request, **fields), results


def apply_expressions(
    fields: Mapping[str, Any], place: str, document: Any, evaluate: Evaluate
) -> tuple[dict[str, Any], tuple[MappedField, ...]]:
    """Return `fields` with each expression replaced by its result for `document`, and the list of results."""
    texts = [pair for name, value in fields.items() for pair in texts_in(value, f"{place}.{name}")]
    found = evaluate([text for _, text in texts], document) if texts else ()
    results = tuple(MappedField(place=where, result=result) for (where, _), result in zip(texts, found, strict=True))
    values = iter([result.value for result in found])
    return {name: _filled(value, values) for name, value in fields.items()}, results


def _filled(value: Any, values: Iterator[Any]) -> Any:
    if isinstance(value, str):
        return next(values)
    if isinstance(value, Mapping):
        filled = {name: _filled(element, values) for name, element in value.items()}
        # flatten_dict, which the agent uses, loses empty objects.
        return {name: element for name, element in filled.items() if not _is_lost(value[name])}
    if isinstance(value, list):
        return [_filled(element, values) for element in value]
    return value


def _is_lost(value: Any) -> bool:
    return isinstance(value, Mapping) and all(_is_lost(element) for element in value.values())


def _text(value: Any, name: str) -> str:
    """Return a field of the invocation method as pydantic converts it."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not (isinstance(value, float) and math.isnan(value)):
        return str(value)
    fault = "none is not an allowed value" if value is None else "str type expected"
    raise AgentFault(f"ValidationError: 1 validation error for RequestPayload: {name}: {fault}")


def sign_request(request: MappedRequest, secret: Secret, timestamp: str) -> MappedRequest:
    """Return the request with the agent's own headers. Raises AgentFault if the request's headers are not an object."""
    if not isinstance(request.headers, dict):
        kind = type(request.headers).__name__
        raise AgentFault(f"TypeError: {kind!r} object does not support item assignment")
    signature = sign(signed_content(request.body), secret, timestamp)
    return replace(request, headers={**request.headers, MESSAGE_TIMESTAMP: timestamp, MESSAGE_SIGNATURE: signature})


Decipher = Callable[[bytes], bytes | None]
"""Decrypts an IV, a ciphertext and a tag. Returns the plaintext, or None if the key does not decrypt the ciphertext."""

_LEAST_BYTES = 32


@frozen(kw_only=True)
class DecryptedPath:
    """The result for the value at a path. `problem` is the reason why the value was not decrypted, or ""."""

    path: str
    problem: str = ""
    plaintext: str = field(default="", repr=False)


def decrypt_paths(document: Any, paths: Sequence[str], decipher: Decipher) -> tuple[DecryptedPath, ...]:
    """Replace the encrypted values at `paths` in `document`, like the agent does. Return the result for each path."""
    return tuple(_decrypt(document, path, decipher) for path in paths)


def _decrypt(document: Any, path: str, decipher: Decipher) -> DecryptedPath:
    *steps, last = path.split(".")
    try:
        holder = document
        if "*" in (*steps, last) or "**" in (*steps, last):  # glom returns a list for such a path
            return DecryptedPath(path=path, problem="wildcards do not decrypt values")
        for step in steps:
            holder = holder[_key(holder, step)]
        key = _key(holder, last)
        value = holder[key]
    except (LookupError, TypeError, ValueError):
        return DecryptedPath(path=path, problem="the message has no value there")
    if value is None:
        return DecryptedPath(path=path, problem="the value is null")
    try:
        holder[key] = plaintext = _plaintext(value, decipher)
    except ValueError as error:
        return DecryptedPath(path=path, problem=str(error))
    return DecryptedPath(path=path, plaintext=plaintext)


def _key(holder: Any, step: str) -> Any:
    """Return the key or index of a step in a path. Raises TypeError for a value that has no elements."""
    if isinstance(holder, list):
        return int(step)
    if isinstance(holder, dict):
        return step
    raise TypeError(step)


def _plaintext(value: Any, decipher: Decipher) -> str:
    if not isinstance(value, str):
        raise ValueError("the value is not text")  # noqa: TRY004 - a value of the message, not an argument
    try:
        content = b64decode(value)
    except (NotBase64, ValueError):
        raise ValueError("the value is not base64") from None
    if len(content) < _LEAST_BYTES:
        raise ValueError("the value is too short to be encrypted")
    plain = decipher(content)
    if plain is None:
        raise ValueError("the client secret does not decrypt it")
    try:
        return plain.decode()
    except UnicodeDecodeError:
        raise ValueError("the decrypted value is not UTF-8 text") from None


class AgentMasker:
    """Masks secrets in text and JSON. Secrets of less than 8 characters are masked only if they are a whole value."""

    def __init__(self, secrets: Iterable[str]) -> None:
        values = set(secrets)
        self._masker = Masker(values)
        self._short = frozenset(value for value in values if value and len(value) < SHORTEST_SECRET)

    def text(self, text: str) -> str:
        """Return text with all secrets masked."""
        return MASK if text in self._short else self._masker.message(text)

    def content(self, content: bytes) -> bytes:
        """Return bytes with all secrets masked, except secrets that are too short."""
        return self._masker.content(content)

    def value(self, value: Any) -> Any:
        """Return a JSON value with all secrets masked."""
        return self._whole(self._masker.value(value)) if self._short else self._masker.value(value)

    def _whole(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._whole(element) for name, element in value.items()}
        if isinstance(value, list):
            return [self._whole(element) for element in value]
        return MASK if isinstance(value, str) and value in self._short else value


def decrypted_secrets(paths: Sequence[DecryptedPath]) -> Iterator[str]:
    """Yield the decrypted values, and the strings in decrypted JSON. An expression can extract these strings."""
    for path in paths:
        yield path.plaintext
        try:
            yield from _texts(json.loads(path.plaintext))
        except (ValueError, RecursionError):
            continue


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for element in value.values():
            yield from _texts(element)
    elif isinstance(value, list):
        for element in value:
            yield from _texts(element)
