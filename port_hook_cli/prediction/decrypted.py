"""Secrets in a prediction: the values that a mapping decrypts, and what masks them on the screen.

The paths in `fieldsToDecryptPaths` are found as glom finds them (`decrypt_payload_fields`).
"""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from port_hook_cli.text.secret import MASK, SHORTEST_SECRET, Masker

Decipher = Callable[[bytes], bytes | None]
"""Returns the plaintext of IV, ciphertext and tag, or None if the key does not decrypt it."""

_LEAST_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class DecryptedPath:
    """What happens to the value at a path. `problem` is the reason why it was not decrypted, or ""."""

    path: str
    problem: str = ""
    plaintext: str = field(default="", repr=False)


def decrypt_paths(document: Any, paths: Sequence[str], decipher: Decipher) -> tuple[DecryptedPath, ...]:
    """Replace the encrypted values at `paths` in `document`, as the agent does, and return what happened to each."""
    return tuple(_decrypt(document, path, decipher) for path in paths)


def _decrypt(document: Any, path: str, decipher: Decipher) -> DecryptedPath:
    *steps, last = path.split(".")
    try:
        holder = document
        if "*" in (*steps, last) or "**" in (*steps, last):  # glom returns a list for it
            return DecryptedPath(path=path, problem="a path with a wildcard decrypts nothing")
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
    """Return the key or index of a step; raises TypeError for a value without elements."""
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
    """Masks secrets in text and JSON. One of less than 8 characters is masked only where it is a whole value."""

    def __init__(self, secrets: Iterable[str]) -> None:
        values = set(secrets)
        self._masker = Masker(values)
        self._short = frozenset(value for value in values if value and len(value) < SHORTEST_SECRET)

    def text(self, text: str) -> str:
        """Return text with every secret masked."""
        return MASK if text in self._short else self._masker.message(text)

    def content(self, content: bytes) -> bytes:
        """Return bytes with every secret masked that is long enough."""
        return self._masker.content(content)

    def value(self, value: Any) -> Any:
        """Return a JSON value with every secret masked."""
        return self._whole(self._masker.value(value)) if self._short else self._masker.value(value)

    def _whole(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._whole(element) for name, element in value.items()}
        if isinstance(value, list):
            return [self._whole(element) for element in value]
        return MASK if isinstance(value, str) and value in self._short else value


def decrypted_secrets(paths: Sequence[DecryptedPath]) -> Iterator[str]:
    """Yield the decrypted values, and the strings in decrypted JSON, which an expression can take apart."""
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
