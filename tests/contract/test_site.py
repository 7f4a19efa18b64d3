"""The site of the documentation: what `make site` checks, and that each page is in the navigation."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def checked(site: Path, pages: dict[str, str]) -> tuple[int, str]:
    """Write the pages of a site; return the exit code and the output of the check."""
    for name, text in pages.items():
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text(text, encoding="utf-8")
    script = [sys.executable, str(ROOT / "docs" / "check_site.py"), str(site)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_site_without_broken_links_is_complete(tmp_path: Path) -> None:
    pages = {
        "index.html": '<a href="send/a.html#one">A</a> <a href="https://port.io">Port</a> <img src="x.svg">',
        "send/a.html": '<h2 id="one">One</h2> <a href="../index.html">up</a> <a href="/#">top</a>',
        "x.svg": "",
    }
    assert checked(tmp_path, pages) == (0, "the site is complete\n")


def test_faults_of_a_site_are_reported(tmp_path: Path) -> None:
    faults = {
        ('<a href="b.html">B</a>', "b.html does not exist"),
        ('<a href="index.html#two">B</a>', "index.html#two has no such anchor"),
        ('<a href="#two">B</a>', "#two has no such anchor"),
        ('<script src="https://cdn.example.com/x.js"></script>', "loads https://cdn.example.com/x.js"),
        ('<link rel="stylesheet" href="//fonts.example.com/x.css">', "loads //fonts.example.com/x.css"),
        ('<img src="x.png">', "loads x.png, which does not exist"),
    }
    code, out = checked(tmp_path, {"index.html": "".join(text for text, _ in faults)})
    assert (code, set(out.splitlines())) == (1, {f"index.html: {fault}" for _, fault in faults})


def test_folder_without_pages_is_not_a_site(tmp_path: Path) -> None:
    assert checked(tmp_path, {})[0] == 1


def listed(nav: Any) -> Iterator[str]:
    """Yield the pages of the navigation, or of a part of it."""
    if isinstance(nav, str):
        yield nav
    else:
        for part in nav.values() if isinstance(nav, dict) else nav:
            yield from listed(part)


def test_navigation_has_every_page_once() -> None:
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")]
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    assert sorted(listed(settings["nav"])) == sorted(pages)
    assert settings["theme"]["font"] is False


def test_first_page_lists_every_other_page_in_the_order_of_the_navigation() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    lines = re.findall(r"(?m)^- \[[^\]]+\]\(([^)#]+)\)", (ROOT / "docs" / "index.md").read_text("utf-8"))
    assert ["index.md", *lines] == list(listed(settings["nav"])), "add a line to docs/index.md, or a page to mkdocs.yml"


@pytest.mark.parametrize(
    ("page", "text", "shown"),
    [
        ("index.md", "[a](send/a.md#one), [b](../README.md)", "[a](send/a.md#one), b"),
        ("send/a.md", "[b](../debug/b.md), [c](../../examples/c.py)", "[b](../debug/b.md), c"),
        ("contributing/decisions/1.md", "[a](../../send/a.md), [b](../../../README.md)", "[a](../../send/a.md), b"),
        ("send/a.md", "[b](#b), [port](https://port.io/../../../b)", "[b](#b), [port](https://port.io/../../../b)"),
    ],
)
def test_links_to_files_outside_of_the_site_become_text(page: str, text: str, shown: str) -> None:
    rewrite = runpy.run_path(str(ROOT / "docs" / "site_links.py"))["on_page_markdown"]
    assert rewrite(text, page=SimpleNamespace(file=SimpleNamespace(src_uri=page))) == shown


PROSE = sorted((ROOT / "docs").rglob("*.md"))


def test_pages_end_with_what_to_read_next() -> None:
    for page in PROSE:
        prose = re.sub(r"(?m)^\[[\w-]+\]: \S+$", "", page.read_text("utf-8")).rstrip()
        is_next = re.fullmatch(r"\*\*Next:\*\* .*\[[^]]+\]\(\S+\).*", prose.splitlines()[-1])
        assert page.name == "index.md" or is_next, f"{page}: {prose.splitlines()[-1]}"


def test_pages_outside_the_reference_have_at_most_150_lines() -> None:
    lines = {page: len(page.read_text("utf-8").splitlines()) for page in PROSE if page.parent.name != "reference"}
    assert {page: count for page, count in lines.items() if count > 150} == {}
