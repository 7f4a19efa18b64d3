"""The files of the inspector's page, in memory.

Browsers may cache `/page/VERSION/NAME` indefinitely, so a reload does not request the files. The version changes with
the files and with the token, so a program that used this port earlier cannot have left files for it in the browser's
cache. The files can be read without the token, because browsers do not send the header with it when they request
scripts.
"""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of the page and its content type."""

    content: bytes = field(repr=False)
    content_type: str


@dataclass(frozen=True, slots=True)
class PageFiles:
    """The page's files, by their paths below `/page/VERSION/`. `entry` is the HTML, with addresses of this version."""

    version: str = field(repr=False)
    entry: PageFile
    by_name: Mapping[str, PageFile]


def load_page_files(token: str) -> PageFiles:
    """Read the page's files from the package."""
    found = dict(sorted(_files_in(files("port_hook_cli.inspector").joinpath("page"))))
    version = _version(found, token)
    entry = found[_ENTRY].content.replace(b'"/page/', f'"/page/{version}/'.encode())
    return PageFiles(version, PageFile(entry, found[_ENTRY].content_type), found)


def _files_in(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, PageFile]]:
    for item in folder.iterdir():
        if item.is_dir():
            yield from _files_in(item, f"{prefix}{item.name}/")
        elif content_type := _TYPES.get(f".{item.name.rpartition('.')[2]}"):
            yield f"{prefix}{item.name}", PageFile(item.read_bytes(), content_type)


def _version(found: Mapping[str, PageFile], token: str) -> str:
    digests = "".join(f"{name} {sha256(file.content).hexdigest()}\n" for name, file in found.items())
    return keyed_hash(token.encode(), digests.encode(), "sha256").hexdigest()[:_VERSION_LENGTH]
