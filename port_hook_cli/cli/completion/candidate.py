"""What completion offers, and which texts are safe to offer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

# A stranger may have written a store or an action file. Only what every shell reads as one plain word is offered, and a
# description has nothing that a shell or a terminal could interpret.
_WORD = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.#@/+-]{0,199}=?")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 _.,:/#@+=-]+")
_MAX_DESCRIPTION = 72


class Candidate(NamedTuple):
    """A word that completes the line, and what a shell shows beside it. No space follows a word that ends in `=`."""

    word: str
    description: str = ""


def is_word(text: object) -> bool:
    """Return whether a value from outside is text that every shell reads as one plain word."""
    return isinstance(text, str) and _WORD.fullmatch(text) is not None


def plain_description(text: str) -> str:
    """Return a text from outside without characters that a shell or a terminal could interpret, and shortened."""
    return _NOT_PLAIN.sub("?", text[: 2 * _MAX_DESCRIPTION])[:_MAX_DESCRIPTION].strip()


def starting_with(candidates: Iterable[Candidate], start: str) -> Iterator[Candidate]:
    """Yield the candidates that begin with `start`, each word once; not `start` itself if it ends in `=`."""
    seen = {start} if start.endswith("=") else set()
    for candidate in candidates:
        if candidate.word.startswith(start) and candidate.word not in seen:
            seen.add(candidate.word)
            yield candidate
