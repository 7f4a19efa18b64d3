"""The files of the inspector's page, in memory.

Each has two addresses. Browsers never keep `/page/NAME`. They may keep `/page/VERSION/NAME`, which the page itself
uses, indefinitely, so a reload asks for no file. The version depends on the files and on the token: it changes with
either, and a program that had this port before cannot have left files in the browser's cache for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import new as keyed_hash
from importlib.resources import files
from importlib.resources.abc import Traversable

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_ENTRY = "index.html"
_VERSION_LENGTH = 22
_FIRST_ROWS = re.compile(rb'<link rel="preload" as="fetch"[^>]*>\n')


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of the page and its content type."""

    content: bytes = field(repr=False)
    content_type: str


@dataclass(frozen=True, slots=True)
class PageFiles:
    """All files of the page, by their paths below `/page/`. `entry` is the HTML, with addresses of this version.

    The browser asks for the first rows of the whole list as soon as it has `entry`. `filtered_entry` is for addresses
    with a filter: there the page asks for other rows.
    """

    version: str = field(repr=False)
    entry: PageFile
    filtered_entry: PageFile
    by_name: Mapping[str, PageFile]


def load_page_files(token: str) -> PageFiles:
    """Read the page's files from the package."""
    found = dict(sorted(_files_in(files("port_hook_cli.inspector").joinpath("page"))))
    version = _version(found, token)
    entry = found[_ENTRY].content.replace(b'"/page/', f'"/page/{version}/'.encode())
    content_type = found[_ENTRY].content_type
    filtered_entry = PageFile(_FIRST_ROWS.sub(b"", entry), content_type)
    return PageFiles(version, PageFile(entry, content_type), filtered_entry, found)


def _files_in(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, PageFile]]:
    for item in folder.iterdir():
        if item.is_dir():
            yield from _files_in(item, f"{prefix}{item.name}/")
        elif content_type := _TYPES.get(f".{item.name.rpartition('.')[2]}"):
            yield f"{prefix}{item.name}", PageFile(item.read_bytes(), content_type)


def _version(found: Mapping[str, PageFile], token: str) -> str:
    digests = "".join(f"{name} {sha256(file.content).hexdigest()}\n" for name, file in found.items())
    return keyed_hash(token.encode(), digests.encode(), "sha256").hexdigest()[:_VERSION_LENGTH]
