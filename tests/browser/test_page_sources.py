"""The page's files cannot turn text into markup or code, load nothing external, and are unchanged and small."""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from pathlib import Path

import port_hook_cli.inspector
from port_hook_cli.inspector.page_files import PageFiles, load_page_files

PAGE = Path(port_hook_cli.inspector.__file__).parent / "page"
VENDOR = PAGE / "vendor"

# Received text must never become markup or code.
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|\beval\b|new\s+Function|document\.write|srcdoc"
    r"|createContextualFragment|DOMParser|setHTMLUnsafe|setTimeout\(\s*[\"'`]|setInterval\(\s*[\"'`]"
    r"|\bimport\((?!\"\.[\w./]+\"\))"  # a module of the page itself
)
# Attributes of HTML, not of the templates, where `onClick=${…}` is a function.
INLINE = re.compile(r"\s(on[a-z]+|style)\s*=\s*[\"']", re.IGNORECASE)
ELSEWHERE = re.compile(r"(?:https?:)?//[a-z0-9]", re.IGNORECASE)

# Copied from npm without other changes than those in vendor/README.txt.
VENDORED = {
    "preact.js": "225d7a773766e6fb2cfcc45274fe41d2059f5782f3f2c4569aa5132a2d3a2902",
    "hooks.js": "5c65ab263688d0805862fd0807c779af02c2799c44fda0873dfcb870d0da70a0",
    "htm.js": "ab33dd3f38059b9be4d5f5350128eefb2356639c4e0bbe9d9e8b3ba75847e9e4",
}
MAX_BYTES = 150_000
MAX_COMPRESSED = 60_000


SOURCES = [path for path in sorted(PAGE.rglob("*")) if path.is_file() and VENDOR not in path.parents]


def test_page_has_no_way_to_turn_text_into_markup_or_code_and_loads_nothing_from_elsewhere() -> None:
    for path in SOURCES:
        text = path.read_text("utf-8")
        assert FORBIDDEN.findall(text) == [], path
        assert INLINE.findall(text) == [], path
        own = re.sub(r"(?m)^\s*//.*$|/\^https\?:\\/\\/\S*|xmlns=\"[^\"]*\"", "", text)
        assert ELSEWHERE.findall(own) == [], path


def test_ways_to_turn_text_into_markup_or_code_and_external_urls_are_found() -> None:
    for text in (
        '<p onclick="x()">',
        "<p style='a'>",
        "a.innerHTML = b",
        "eval(a)",
        "new Function('a')",
        'setTimeout("a")',
    ):
        assert FORBIDDEN.search(text) or INLINE.search(text), text
    for text in ('"https://example.com/a.js"', 'src="//example.com"'):
        assert ELSEWHERE.search(text), text


def test_vendored_scripts_are_on_the_list() -> None:
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.glob("*.js")}
    assert found == VENDORED


def test_every_file_in_the_page_exists() -> None:
    for path in SOURCES:
        for name in re.findall(r'from "(\.[^"]+)"', path.read_text("utf-8")):
            assert (path.parent / name).is_file(), f"{path.name} imports {name}"
    for name in re.findall(r'(?:src|href)="/page/([^"]+)"', (PAGE / "index.html").read_text("utf-8")):
        assert (PAGE / name).is_file(), name


def test_page_loads_its_first_modules_concurrently() -> None:
    """The browser requests a module without a link in the HTML only after the module that imports it."""
    named = first_modules(load_page_files("token"))
    later = {path.relative_to(PAGE).as_posix() for path in PAGE.rglob("*.js")} - named - {"net/types.js"}
    shown = {name for name in named if name.startswith(("run/", "check/", "trigger/"))}
    assert named >= {"app.js", "net/start.js", "ui/ui.js", "vendor/preact.js", "list/row.js", "capture/summary.js"}
    assert shown == {"check/state.js"}
    assert later >= {"run/run.js", "check/check.js", "trigger/form.js", "capture/editor.js", "capture/diff.js"}


def first_modules(loaded: PageFiles) -> set[str]:
    """Return the modules in the HTML."""
    html = loaded.entry.content.decode()
    return set(re.findall(rf'(?:src|rel="modulepreload" href)="/page/{loaded.version}/([^"]+\.js)"', html))


def test_page_adds_less_than_150_kb_to_the_wheel() -> None:
    """A wheel is compressed with deflate, file by file."""
    size = sum(len(zlib.compress(path.read_bytes())) for path in PAGE.rglob("*") if path.is_file())
    assert size < MAX_BYTES


def test_page_is_less_than_60_kb_compressed_when_it_opens() -> None:
    """Return what a browser loads to show captures, as one gzip stream. It loads other parts when it shows them."""
    loaded = load_page_files("token")
    names = sorted(first_modules(loaded) | {name for name in loaded.by_name if name.endswith((".css", ".svg"))})
    contents = [loaded.entry.content, *(loaded.by_name[name].content for name in names)]
    assert len(gzip.compress(b"".join(contents))) < MAX_COMPRESSED


def test_modules_are_served_without_comments_and_with_the_same_lines() -> None:
    loaded = load_page_files("token").by_name
    for path in PAGE.rglob("*.js"):
        served, source = loaded[path.relative_to(PAGE).as_posix()].content, path.read_bytes()
        if VENDOR in path.parents:
            assert served == source
            continue
        lines = list(zip(served.splitlines(), source.splitlines(), strict=True))
        assert all(line in {b"", full} for line, full in lines)
        assert not any(line.lstrip().startswith(b"//") for line, _ in lines)
