"""Keyrings for tests, chosen with PYTHON_KEYRING_BACKEND.

They leave out encryption and locking: `InFile` saves everything in the file KEYRING_FILE.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked


class InFile(KeyringBackend):
    """A keyring that saves texts in a file."""

    priority = 1
    name = "a keyring for tests"

    def get_password(self, service: str, username: str) -> str | None:
        return _entries().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        _write({**_entries(), f"{service}/{username}": password})

    def delete_password(self, service: str, username: str) -> None:
        _write({name: text for name, text in _entries().items() if name != f"{service}/{username}"})


class Hanging(KeyringBackend):
    """A keyring that waits to be unlocked, in vain."""

    priority = 1

    def get_password(self, service: str, username: str) -> str | None:
        threading.Event().wait()
        return None

    def set_password(self, service: str, username: str, password: str) -> None:
        threading.Event().wait()


class Locked(KeyringBackend):
    """A locked keyring, whose error message contains the secret."""

    priority = 1

    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked("locked")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise KeyringLocked(password)


class Forgetful(InFile):
    """A keyring that accepts everything but does not save it."""

    def set_password(self, service: str, username: str, password: str) -> None: ...


def _entries() -> dict[str, str]:
    file = Path(os.environ["KEYRING_FILE"])
    entries: dict[str, str] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    return entries


def _write(entries: dict[str, str]) -> None:
    Path(os.environ["KEYRING_FILE"]).write_text(json.dumps(entries), "utf-8")


class Deadly(InFile):
    """A keyring that saves a text, and then kills the process."""

    def set_password(self, service: str, username: str, password: str) -> None:
        super().set_password(service, username, password)
        os.kill(os.getpid(), signal.SIGKILL)
