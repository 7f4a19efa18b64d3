"""Color JSON by changing styles, but no characters.

This module is pure, and is imported only if color is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from port_hook_cli.text.styled import JSON, Span, Styled

MAX_HIGHLIGHTED = 64 * 1024
"""The maximum number of characters to highlight in one output. The rest is shown without color."""

# Safe text may contain `\x1b` as an escape in a string. The end of the text may cut off a string or a word.
_TOKEN = re.compile(
    r"""(?P<key>"(?:[^"\\]|\\.)*+"(?=\s*:))"""
    r"""|(?P<string>"(?:[^"\\]|\\.)*+(?:"|\\?\Z))"""
    r"""|(?P<number>-?\d[\d.eE+-]*)"""
    r"""|(?P<word>\b(?:true|false|null)\b)"""
    r"""|(?P<mark>[\s{}\[\],:]+)"""
    r"""|(?P<end>(?:[a-z]{1,4}…?|…)\Z)"""
)
_STYLES = {"key": "cyan", "string": "green", "number": "yellow", "word": "magenta"}


def highlighted(lines: Iterable[Styled]) -> Iterator[Styled]:
    """Yield the lines with their JSON (the spans with the style `json`) in color."""
    left = MAX_HIGHLIGHTED
    for line in lines:
        if not any(JSON in span.style for span in line.spans):
            yield line
            continue
        is_within = left > 0
        left -= sum(len(span.text) for span in line.spans)
        yield line.replaced(part for span in line.spans for part in _parts(span, is_within=is_within))


def _parts(span: Span, *, is_within: bool) -> Iterable[Span]:
    if JSON not in span.style:
        return (span,)
    base = span.style.replace(JSON, "").strip()
    found = json_spans(span.text, base) if is_within else []
    return found or (span._replace(style=base),)


def json_spans(text: str, base: str = "") -> list[Span]:
    """Return the parts of JSON text with their styles. Text between values has the style `base`.

    The list is empty if the text is not JSON.
    """
    spans, position = [], 0
    for token in _TOKEN.finditer(text, 0, MAX_HIGHLIGHTED):
        if token.start() != position:
            return []
        position = token.end()
        spans.append(Span(token.group(), _STYLES.get(token.lastgroup or "", base)))
    if position < min(len(text), MAX_HIGHLIGHTED):
        return []
    return [*spans, Span(text[position:], base)] if position < len(text) else spans
