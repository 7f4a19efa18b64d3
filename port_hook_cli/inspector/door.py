"""The token of a running inspector, and the one-time URLs of its page."""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import field
from enum import Enum
from hashlib import sha256
from pathlib import Path

from port_hook_cli.files.own_files import check_own_folder, make_own_folder, replace_own_file
from port_hook_cli.frozen import frozen
from port_hook_cli.inspector.access import entry_path

ONCE = "/once/"
CODE_LIFETIME_S = 60.0


class CodeUse(Enum):
    """The result of using a one-time code."""

    OPENED = "opened"
    USED_BEFORE = "used before"
    UNKNOWN = "unknown"


class Door:
    """Holds the token, and the one-time codes that replace the token in a URL.

    Every user of the machine can read the arguments of a program, such as a browser. So the URL in a browser's
    arguments contains a code instead of the token. A second request with the same code means that someone else has read
    the code and may have used it first. The door then replaces the token, however late the second request is, because a
    browser that asks for a profile may need more than a minute.
    """

    def __init__(self, token: str, now: Callable[[], float] = time.monotonic) -> None:
        self._token = token
        self._now = now
        self._codes: dict[str, float] = {}  # unused codes, and when each code expires
        self._used: set[str] = set()  # used codes of this token
        self._on_replaced: list[Callable[[], None]] = []

    @property
    def token(self) -> str:
        """The current token."""
        return self._token

    @property
    def entry(self) -> str:
        """The path of the page."""
        return entry_path(self._token)

    @property
    def page(self) -> str:
        """The path of the page with the token in the fragment, which browsers never send to a server."""
        return f"{self.entry}#token={self._token}"

    def once(self) -> str:
        """Return a path that opens the page once, within 60 seconds."""
        self._expire()
        code = secrets.token_urlsafe(16)
        self._codes[code] = self._now() + CODE_LIFETIME_S
        return f"{ONCE}{code}"

    def open(self, code: str) -> CodeUse:
        """Use a one-time code, and return the result. The second use of a code replaces the token."""
        if code in self._used:
            self._replace()
            return CodeUse.USED_BEFORE
        self._expire()
        if self._codes.pop(code, None) is None:
            return CodeUse.UNKNOWN
        self._used.add(code)
        return CodeUse.OPENED

    def on_replaced(self, tell: Callable[[], None]) -> None:
        """Call `tell` each time the token has been replaced."""
        self._on_replaced.append(tell)

    def _replace(self) -> None:
        self._token = secrets.token_urlsafe(32)
        self._codes.clear()
        self._used.clear()
        for tell in self._on_replaced:
            tell()

    def _expire(self) -> None:
        now = self._now()
        self._codes = {code: end for code, end in self._codes.items() if end > now}


FOLDER = Path(".port-hook", "inspector")
_MAX_BYTES = 1_000
_WRITTEN = r"[A-Za-z0-9_-]{43}"
_PORTS = range(1024, 65536)
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@frozen
class InspectorAddress:
    """The token and the port of an inspector."""

    token: str = field(repr=False)
    port: int


def recall(home: Path, store: Path) -> InspectorAddress | None:
    """Return the address of the store's last inspector, or None if no trusted address is saved."""
    file = _file(home, store)
    try:
        if not _is_private(file.parent.lstat(), is_folder=True):
            return None
        check_own_folder(home, FOLDER)
        # Without O_NONBLOCK, opening a pipe at this path would wait for a writer.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with os.fdopen(os.open(file, flags), "rb") as opened:
            if not _is_private(os.fstat(opened.fileno())):
                return None
            return _read(opened.read(_MAX_BYTES + 1))
    except (OSError, ValueError, RecursionError):
        return None


def remember(home: Path, store: Path, address: InspectorAddress) -> None:
    """Save the address for the store's next inspector, if possible.

    The inspector also works without a saved address.
    """
    file = _file(home, store)
    with suppress(OSError):
        make_own_folder(home, FOLDER)
        if not _is_private(file.parent.lstat(), is_folder=True):
            return
        content = json.dumps({"token": address.token, "port": address.port}).encode()
        replace_own_file(file, content, fresh=file.with_suffix(".new"), syncs=False)


def _file(home: Path, store: Path) -> Path:
    name = sha256(os.path.realpath(store).encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return home / FOLDER / f"{name}.json"


def _is_private(found: os.stat_result, *, is_folder: bool = False) -> bool:
    """Return whether a directory, or a file without other hard links, can be read and written only by this user."""
    if not (stat.S_ISDIR(found.st_mode) if is_folder else stat.S_ISREG(found.st_mode) and found.st_nlink == 1):
        return False
    return sys.platform == "win32" or (found.st_uid == os.geteuid() and not found.st_mode & _OTHERS)


def _read(content: bytes) -> InspectorAddress | None:
    document = json.loads(content) if len(content) <= _MAX_BYTES else None
    if not isinstance(document, dict):
        return None
    token, port = document.get("token"), document.get("port")
    if not (isinstance(token, str) and re.fullmatch(_WRITTEN, token)):
        return None
    return InspectorAddress(token, port) if type(port) is int and port in _PORTS else None
