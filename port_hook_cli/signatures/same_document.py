"""Decide whether two JSON texts are the same document for every parser. Only then may a changed body be forwarded.

Parsers differ: they use the first or the last value of a repeated key, and they read numbers as doubles or exactly. So
an object that repeats a key equals nothing, and two numbers are equal only if they are the same decimal number.
"""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from decimal import Decimal, InvalidOperation
from enum import Enum, auto
from typing import Any

from port_hook_cli.javascript.nesting import count_marks

MAX_DOCUMENT_BYTES = 2**20
"""Larger bodies are not parsed, so that unsigned bodies cannot block the listener (see docs/contributing/decisions)."""

_MAX_MARKS = 2**15
_FREE_MARKS = 2**12
_CHARACTERS_PER_MARK = 8


class DocumentComparison(Enum):
    """The result of comparing the sent document with the signed document."""

    SAME = auto()
    CHANGED = auto()
    KEY_REPEATED = auto()
    NO_DOCUMENT = auto()
    NOT_COMPARED = auto()


def compare_documents(sent: bytes, signed: bytes) -> DocumentComparison:
    """Return whether two bodies in UTF-8 are the same document. Never raises.

    The signed body may begin with a byte order mark. Documents that are larger than `MAX_DOCUMENT_BYTES`, too dense, or
    nested too deeply for Python (about 1,000 levels) are not compared.
    """
    if max(len(sent), len(signed)) > MAX_DOCUMENT_BYTES:
        return DocumentComparison.NOT_COMPARED
    try:
        texts = (sent.decode(), signed.removeprefix(BOM_UTF8).decode())
        if any(map(is_dense, texts)):
            return DocumentComparison.NOT_COMPARED
        one, other = map(_meaning, texts)
        is_same = one == other
    except _KeyRepeatedError:
        return DocumentComparison.KEY_REPEATED
    except (RecursionError, InvalidOperation):
        return DocumentComparison.NOT_COMPARED
    except ValueError:
        return DocumentComparison.NO_DOCUMENT
    return DocumentComparison.SAME if is_same else DocumentComparison.CHANGED


def is_dense(text: str) -> bool:
    """Return whether JSON text has too many marks to parse: over 4,096 plus one per 8 characters, or over 32,768.

    A mark costs one or two microseconds in every serializer, but costs its sender only one or two bytes.
    """
    return count_marks(text) > min(_MAX_MARKS, _FREE_MARKS + len(text) // _CHARACTERS_PER_MARK)


class _KeyRepeatedError(ValueError):
    pass


def _meaning(text: str) -> Any:
    # Numbers and constants become tuples, which no other JSON value is, so that `1` does not equal `true`.
    return json.loads(
        text, parse_int=_whole, parse_float=_fraction, parse_constant=lambda name: (name,), object_pairs_hook=_object
    )


def _whole(literal: str) -> tuple[Decimal, bool]:
    return Decimal(literal), True


def _fraction(literal: str) -> tuple[Decimal, bool]:
    """Return a number, and whether parsers that use doubles and parsers that use exact numbers agree on it."""
    exact, double = Decimal(literal), float(literal)
    return exact, not double.is_integer() or exact == double


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        raise _KeyRepeatedError
    return found
