"""The address of a store's inspector, kept in the home folder so that an open page survives a restart."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from port_hook_cli.files.own_files import check_own_folder, make_own_folder, replace_own_file

FOLDER = Path(".port-hook", "inspector")
_MAX_BYTES = 1_000
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_PORTS = range(1024, 65536)
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class InspectorAddress:
    """The token and the port of an inspector."""

    token: str = field(repr=False)
    port: int


def recall(home: Path, store: Path) -> InspectorAddress | None:
    """Return the address that the store's last inspector had, or None if there is none that can be trusted."""
    file = _file(home, store)
    try:
        if not _is_private(file.parent.lstat(), is_folder=True):
            return None
        check_own_folder(home, FOLDER)
        # Without O_NONBLOCK, opening a pipe in its place would wait for a writer.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with os.fdopen(os.open(file, flags), "rb") as opened:
            if not _is_private(os.fstat(opened.fileno())):
                return None
            return _read(opened.read(_MAX_BYTES + 1))
    except (OSError, ValueError, RecursionError):
        return None


def remember(home: Path, store: Path, address: InspectorAddress) -> None:
    """Keep the address for the next inspector of the store; best effort, as everything works without it."""
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
    """Return whether it is a folder, or a file without other hard links, that only this user can read and write."""
    if not (stat.S_ISDIR(found.st_mode) if is_folder else stat.S_ISREG(found.st_mode) and found.st_nlink == 1):
        return False
    return sys.platform == "win32" or (found.st_uid == os.geteuid() and not found.st_mode & _OTHERS)


def _read(content: bytes) -> InspectorAddress | None:
    document = json.loads(content) if len(content) <= _MAX_BYTES else None
    if not isinstance(document, dict):
        return None
    token, port = document.get("token"), document.get("port")
    if not (isinstance(token, str) and _TOKEN.fullmatch(token)):
        return None
    return InspectorAddress(token, port) if type(port) is int and port in _PORTS else None
