"""A hook of MkDocs for `make site`: links to files outside of docs/, which the site does not have, become text."""

from __future__ import annotations

import posixpath
import re
from typing import Any

_RELATIVE = re.compile(r"\[([^\]]+)\]\((\.\./[^)]*)\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Return the page's text with only the text of links to files outside of docs/."""
    folder = posixpath.dirname(page.file.src_uri)

    def shown(link: re.Match[str]) -> str:
        is_outside = posixpath.normpath(posixpath.join(folder, link[2])).startswith("../")
        return link[1] if is_outside else link[0]

    return _RELATIVE.sub(shown, markdown)
