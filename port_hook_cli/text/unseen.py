"""Characters that are invisible, or that change how the text around them looks."""

from __future__ import annotations

import re

UNSEEN = (
    "\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff\ud800-\udfff"
)
"""A character class for `re`, without the C0 controls: C1 controls, line separators, direction marks and overrides,
zero-width characters, blank letters, tags, and lone surrogates, which no stream can encode.

U+FE0E and U+FE0F are not in it: they choose between two visible forms, and are part of ordinary emoji.
"""


def is_visible(text: str) -> bool:
    """Return whether `text` is one line of visible characters."""
    return text.isprintable() and (text.isascii() or not re.search(f"[{UNSEEN}]", text))
