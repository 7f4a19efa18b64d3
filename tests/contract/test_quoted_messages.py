"""The messages that the documentation quotes in its tables of problems are messages of the program."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.product_sources import sources

pytestmark = pytest.mark.once

DOCS = Path(__file__).parents[2] / "docs"
_TABLE = re.compile(r"(?m)^\| (message|you see) \|.*\n\|[ :|-]+\n((?:\|.*\n)+)")
# Where a message has a value, or a page has added a code of ngrok's.
_VALUE = re.compile(r"[…;]|`?ERR_NGROK_\d+`?|\([^)]*\)|\b\d+\b|\b[MN]\b")


def quotes() -> Iterator[tuple[str, str]]:
    """Yield each page with each message that it quotes."""
    for page in sorted(DOCS.rglob("*.md")):
        for heading, rows in _TABLE.findall(page.read_text("utf-8")):
            for row in rows.splitlines():
                cell = re.split(r" \| ", row.removeprefix("| "))[0]
                quoted = re.findall("`([^`]+)`", cell) if heading == "you see" else [cell.replace("`", "")]
                yield from ((page.relative_to(DOCS).as_posix(), quote) for quote in quoted)


def messages() -> str:
    """Return the strings of the program in lower case; `…` stands for a value."""
    found = [status.phrase for status in HTTPStatus]
    found += [text.value for source in sources() for text in source.texts]
    return "\n".join(found).replace("`", "").lower()


def test_messages_quoted_on_pages_exist_in_the_program() -> None:
    known = messages()
    unknown = [
        f"docs/{page}: {part}"
        for page, quote in quotes()
        for part in (part.strip(" ,;:.") for part in _VALUE.split(quote))
        if part.lower() not in known
    ]
    assert unknown == []


def test_every_page_with_quoted_messages_is_checked() -> None:
    assert len({page for page, _ in quotes()}) >= 8
