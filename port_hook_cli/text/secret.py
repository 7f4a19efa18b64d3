"""Strings that don't print their secret value, and the masking of known secrets in text, bytes and JSON values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from port_hook_cli.errors import PortHookError
from port_hook_cli.frozen import frozen

MASK = "***"
# Shorter secrets are not masked in text. They may be part of any word, so the text would become unreadable.
SHORTEST_SECRET = 8


@frozen
class Secret:
    """A string that prints as `***`. Only `reveal` returns its value."""

    _value: str

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK


# jq's errors show about the first ten characters of a value. A shorter beginning of a secret reveals little.
_SHORTEST_CUT = 4
# When jq or port-hook truncates a value, at most this many characters remain.
LONGEST_CUT = 256
_LINE_ENDS = "[\t\r\n]"


def cut_message(text: str) -> str:
    """Return at most 256 characters of an error message. `Masker.message` masks even a secret that this cuts off."""
    return text if len(text) <= LONGEST_CUT else f"{text[: LONGEST_CUT - 3]}..."


class Masker:
    """Replaces secrets of 8 or more characters with `***`, including their escaped forms in JSON and URLs.

    A value derived from a secret, such as its base64 or a part of it, is not masked.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        # Clients send a URL without its line breaks, and a header without its outer whitespace.
        lost = {form for value in secrets for form in (value, re.sub(_LINE_ENDS, "", value))}
        values = {form for value in lost for form in (value, value.strip()) if len(form) >= SHORTEST_SECRET}
        forms = {form for value in values for form in _forms(value)}
        # The longest forms come first, because a secret may be part of another secret.
        self._forms = sorted(forms, key=len, reverse=True)

    def text(self, text: str) -> str:
        """Return `text` with every secret masked."""
        for form in self._forms:
            text = text.replace(form, MASK)
        return text

    def message(self, text: str) -> str:
        """Return an error message with every secret masked, including secrets that jq truncated (`"abcdefg...`)."""
        text = self.text(text)
        for form in self._forms:
            for length in range(min(len(form) - 1, LONGEST_CUT), _SHORTEST_CUT - 1, -1):
                text = text.replace(f"{form[:length]}...", f"{MASK}...")
        return text

    def content(self, content: bytes) -> bytes:
        """Return bytes with every secret masked."""
        for form in self._forms:
            content = content.replace(form.encode("utf-8", "surrogatepass"), MASK.encode())
        return content

    def beginning(self, content: bytes, *, of_more: bool) -> bytes:
        """Return bytes with every secret masked. With `of_more`, a secret that the end cuts off is masked too."""
        content = self.content(content)
        for form in self._forms if of_more else ():
            secret = form.encode("utf-8", "surrogatepass")
            for length in range(min(len(secret) - 1, len(content)), _SHORTEST_CUT - 1, -1):
                if content.endswith(secret[:length]):
                    return content[:-length] + MASK.encode()
        return content

    def value(self, value: Any) -> Any:
        """Return a JSON value with every secret masked in its strings and keys."""
        root: list[Any] = [value]
        # This is a loop, because documents may be nested deeper than Python's stack.
        places: list[tuple[Any, Any]] = [(root, 0)] if self._forms else []
        while places:
            holder, key = places.pop()
            found = holder[key]
            if isinstance(found, str):
                holder[key] = self.text(found)
            elif isinstance(found, list):
                holder[key] = list(found)
                places += [(holder[key], index) for index in range(len(found))]
            elif isinstance(found, dict):
                holder[key] = {self.text(name): element for name, element in found.items()}
                places += [(holder[key], name) for name in holder[key]]
        return root[0]


NO_SECRETS = Masker(())
"""A masker that masks nothing."""


@contextmanager
def masked_errors(masker: Masker) -> Iterator[None]:
    """Mask secrets in the errors that a block raises. jq and Port quote values, and a URL may contain secrets."""
    try:
        yield
    except PortHookError as problem:
        problem.message = masker.message(problem.message)
        problem.args = (problem.message,)  # a traceback shows these
        raise


def _forms(value: str) -> set[str]:
    import json  # not at the top of the module: most commands with secrets need it later or never

    written = {json.dumps(value, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    content = value.encode("utf-8", "replace")
    shown = {content.decode("latin-1"), repr(content)[2:-1]}  # Python programs log bytes in this form
    return {value, quote(value, safe="", errors="replace"), quote(value, errors="replace"), *written, *shown}
