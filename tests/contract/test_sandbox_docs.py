"""docs/reference/sandbox.md says what the sandbox's code does."""

from __future__ import annotations

import re
from pathlib import Path

from port_hook_cli.sandbox.routes import ROUTES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "sandbox.md").read_text("utf-8")


def test_route_table_matches_the_code() -> None:
    rows = re.findall(r"(?m)^\| ([A-Z]+) \| `(/v1/[^`]*)` \|", PAGE)
    assert rows == [(route.method, route.path) for route in ROUTES]


def test_error_table_lists_every_slug() -> None:
    import port_hook_cli.sandbox as package

    sources = "".join(file.read_text("utf-8") for file in Path(package.__file__).parent.rglob("*.py"))
    slugs = set(re.findall(r'Rejected\((\d{3}), "([a-z_]+)"', sources))
    listed = {
        (status, slug)
        for status, cell in re.findall(r"(?m)^\| (\d{3}) \| ([^|]*) \|", PAGE)
        for slug in re.findall("`([a-z_]+)`", cell)
    }
    assert listed == slugs
