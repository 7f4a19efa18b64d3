"""The shell blocks of the pages, and the blocks that a test types like a new user."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def blocks(page: str, heading: str = "") -> list[str]:
    """Return the shell blocks of a page, or of one of its sections."""
    text = (ROOT / page).read_text("utf-8")
    if heading:
        text = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


# tests/process/test_readme_commands.py types these, and no other test runs their command lines.
TYPED = {
    "README.md": blocks("README.md", "Use it without Port"),
    "docs/start/sandbox.md": blocks("docs/start/sandbox.md"),
    "examples/README.md": blocks("examples/README.md")[:1],
}
