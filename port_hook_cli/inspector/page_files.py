"""The inspector's page: its files, in memory, and the URLs that lead to it.

Browsers may cache `/page/VERSION/NAME` indefinitely, so they don't request the files again on a reload. The version
changes with the files and with the token, so a program that used this port earlier cannot have left files for this
version in the browser's cache. The files don't need the token, because browsers request scripts without the header that
contains the token.
"""

from __future__ import annotations

import asyncio
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from functools import cache
from hashlib import sha256
from hmac import new as keyed_hash
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from aiohttp import web

from port_hook_cli.frozen import frozen
from port_hook_cli.inspector.access import SECURITY_HEADERS, AccessRefusal, proof
from port_hook_cli.inspector.door import CodeUse, Door
from port_hook_cli.inspector.records import SCHEMA

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_ENTRY = "index.html"
# The list of modules replaces this comment in the HTML.
_MODULES = b"<!-- modules -->"
_FIRST = ("app.js", "net/start.js")
_IMPORT = re.compile(rb"""from ?"(\.[^"]+)";""")
_VENDOR = "vendor/"
# This pattern matches whole-line comments in the page's own modules, which make up a third of their size.
# tests/page/modules.test.js checks that each match is a comment.
_COMMENTS = re.compile(rb"^[ \t]*(?://.*|/\*\*(?:[^*]|\*(?!/))*\*/[ \t]*)$", re.MULTILINE)
_VERSION_LENGTH = 22
_NONCE = re.compile(r"[0-9a-f]{32,128}")
_KEPT_BY_BROWSERS = {"cache-control": "private, max-age=31536000, immutable"}
_USED_BEFORE = AccessRefusal(
    403,
    "This URL was opened before, so someone else may have read it. The inspector has a new token now.",
    "Open the URL that port-hook printed last.",
)
_USED_UP = AccessRefusal(
    403,
    "This URL has expired. It opens the inspector once, within 60 seconds.",
    "Open the URL that port-hook printed last.",
)


@frozen
class PageFile:
    """A file of the page and its content type."""

    content: bytes = field(repr=False)
    content_type: str


@frozen
class PageFiles:
    """The page's files, by their paths below `/page/VERSION/`. `entry` is the HTML with the URLs of this version."""

    version: str = field(repr=False)
    entry: PageFile
    by_name: Mapping[str, PageFile]


def load_page_files(token: str) -> PageFiles:
    """Return the page's files with the version for this token."""
    found, html, digests = _read()
    version = keyed_hash(token.encode(), digests, "sha256").hexdigest()[:_VERSION_LENGTH]
    entry = html.replace(b'"/page/', f'"/page/{version}/'.encode())
    return PageFiles(version, PageFile(entry, found[_ENTRY].content_type), found)


@cache
def _read() -> tuple[Mapping[str, PageFile], bytes, bytes]:
    """Read the page's files, the HTML without a version, and the digests from the package, once in a process."""
    found = dict(sorted(_files_in(files("port_hook_cli.inspector").joinpath("page"))))
    digests = "".join(f"{name} {sha256(file.content).hexdigest()}\n" for name, file in found.items())
    return found, found[_ENTRY].content.replace(_MODULES, _preloads(found)), digests.encode()


def _preloads(found: Mapping[str, PageFile]) -> bytes:
    """Return the links that make a browser load the modules concurrently."""
    entry = found[_ENTRY].content.decode()
    names = [name for name in sorted(_imported(found)) if f"/page/{name}" not in entry]
    return "\n".join(f'<link rel="modulepreload" href="/page/{name}">' for name in names).encode()


def _imported(found: Mapping[str, PageFile]) -> set[str]:
    """Return the modules that the page needs when it starts. The page loads the other modules when it needs them."""
    known: set[str] = set()
    new = set(_FIRST)
    while new:
        known |= new
        paths = {posixpath.join(posixpath.dirname(name), path.decode()) for name in new for path in _paths(found[name])}
        new = {posixpath.normpath(path) for path in paths} - known
    return known


def _paths(module: PageFile) -> list[bytes]:
    return _IMPORT.findall(module.content)


def _files_in(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, PageFile]]:
    for item in folder.iterdir():
        if item.is_dir():
            yield from _files_in(item, f"{prefix}{item.name}/")
        elif content_type := _TYPES.get(f".{item.name.rpartition('.')[2]}"):
            yield (name := f"{prefix}{item.name}"), PageFile(_served(name, item.read_bytes()), content_type)


def _served(name: str, content: bytes) -> bytes:
    """Return a file without whole-line comments. The numbers of the other lines don't change."""
    if not name.endswith(".js") or name.startswith(_VENDOR):
        return content
    return _COMMENTS.sub(lambda comment: b"\n" * comment[0].count(b"\n"), content)


class PageRoutes:
    """Handlers for the page, its files, and the URLs that lead to it."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self.files = load_page_files(door.token)
        door.on_replaced(self._load)

    def _load(self) -> None:
        self.files = load_page_files(self._door.token)

    async def entry(self, request: web.Request) -> web.StreamResponse:
        """Return the page's HTML."""
        if request.path != self._door.entry:
            raise web.HTTPNotFound
        return _file_response(self.files.entry)

    async def file(self, request: web.Request) -> web.StreamResponse:
        """Return a file of the page, which browsers may cache. Return a 404 for other paths."""
        file = self.files.by_name.get(request.match_info["name"])
        if file is None or request.match_info["version"] != self.files.version:
            raise web.HTTPNotFound
        response = _file_response(file)
        response.headers.update(_KEPT_BY_BROWSERS)
        return response

    async def once(self, request: web.Request) -> web.StreamResponse:
        """Redirect the first request to the page with the token."""
        opening = self._door.open(request.match_info["code"])
        if opening is CodeUse.OPENED:
            return web.Response(status=303, headers={"location": self._door.page})
        return refusal_page(_USED_BEFORE if opening is CodeUse.USED_BEFORE else _USED_UP)

    async def hello(self, request: web.Request) -> web.StreamResponse:
        """Prove to a page that this server knows the token, before the page sends the token."""
        nonce = request.query.get("nonce", "")
        if not _NONCE.fullmatch(nonce):
            raise web.HTTPBadRequest(reason="The nonce is not 32 to 128 hexadecimal digits")
        return await json_response({"schema": SCHEMA, "proof": proof(self._door.token, nonce)})


def _file_response(file: PageFile) -> web.Response:
    return web.Response(body=file.content, headers={"content-type": file.content_type})


def refusal_page(refused: AccessRefusal) -> web.Response:
    """Return the page that explains why a request is rejected."""
    text = f"port-hook's inspector\n\n{refused.message}\n{refused.hint}\n"
    return web.Response(status=refused.status, text=text, headers=dict(SECURITY_HEADERS))


async def json_response(document: Mapping[str, Any]) -> web.Response:
    """Return a JSON response. A thread serializes large documents."""
    text = await asyncio.to_thread(json.dumps, document, allow_nan=False)
    return web.Response(text=text, content_type="application/json")
