"""Secrets that a prediction contains, masked on the screen: decrypted values, variables of the environment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from port_hook_cli.agent.decrypted import DecryptedPath
from port_hook_cli.text.secret import MASK, SHORTEST_SECRET, Masker


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
    """Yield the decrypted values, and the texts in those that are JSON: an expression can take them apart."""
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
