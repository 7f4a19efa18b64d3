"""Check a built site: every link has a target, and no page loads anything from elsewhere. `check_site.py FOLDER`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a browser loads by itself; a link is followed by the reader.
_LOADED = {
    "script": "src",
    "img": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
    "audio": "src",
    "video": "src",
}


class Page(HTMLParser):
    """A page's links, the files that it loads, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what the tag refers to."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        is_only_named = tag == "link" and values.get("rel") in {"canonical", "next", "prev"}
        if tag in _LOADED and _LOADED[tag] in values and not is_only_named:
            self.loaded.append(values[_LOADED[tag]])


def faults(site: Path) -> Iterator[str]:
    """Yield what is wrong with the site in this folder, one line each."""
    pages = {path.resolve(): Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    if not pages:
        yield f"{site}: no pages"
    for path, page in pages.items():
        name = path.relative_to(site.resolve())
        for url in page.loaded:
            if urlsplit(url).netloc:
                yield f"{name}: loads {url}"
            elif not _target(path, url, site).exists():
                yield f"{name}: loads {url}, which does not exist"
        for link in page.links:
            if fault := _fault(path, link, pages, site):
                yield f"{name}: {fault}"


def _fault(path: Path, link: str, pages: dict[Path, Page], site: Path) -> str:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return ""
    target = _target(path, link, site)
    if target not in pages:
        return "" if target.exists() else f"{link} does not exist"
    anchor = unquote(parts.fragment)
    return f"{link} has no such anchor" if anchor and anchor not in pages[target].anchors else ""


def _target(path: Path, link: str, site: Path) -> Path:
    """Return the file that a link of the page at `path` names; a path that begins with a slash begins at the site."""
    name = unquote(urlsplit(link).path)
    folder = site if name.startswith("/") else path.parent
    found = (folder / name.lstrip("/")).resolve() if name else path
    return found / "index.html" if found.is_dir() else found


def main(site: Path) -> int:
    """Print what is wrong; return 1 if there is anything."""
    found = list(faults(site))
    print("\n".join(found) or "the site is complete")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
