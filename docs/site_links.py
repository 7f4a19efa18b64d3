"""A hook of MkDocs for `make site`: links to files outside of docs/, which the site does not have, become text."""

from __future__ import annotations

import re
from typing import Any

# A link that leaves docs/, from a page in one of its folders or from the page at its top.
_OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./\.\./|\.\./(?=examples|README|CONTRIBUTING))[^)]*\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return the page's text with only the text of links to files outside of docs/."""
    return _OUTSIDE.sub(r"\1", markdown)
