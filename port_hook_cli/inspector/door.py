"""The token of a running inspector, and the addresses that open its page once."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from enum import Enum

from port_hook_cli.inspector.access import entry_path

ONCE = "/once/"
CODE_LIFETIME_S = 60.0


class CodeUse(Enum):
    """The result of using a one-time code."""

    OPENED = "opened"
    USED_BEFORE = "used before"
    UNKNOWN = "unknown"


class Door:
    """Holds the token, and one-time codes to exchange for it.

    Every user of the machine can read the arguments of a program, such as a browser. So the address that a browser is
    started with has a code instead of the token. Two requests with the same code mean that someone else has read the
    code, and may have used it first. Then the token is replaced, however late the second request is: a browser that
    asks for a profile may need more than a minute.
    """

    def __init__(self, token: str, now: Callable[[], float] = time.monotonic) -> None:
        self._token = token
        self._now = now
        self._codes: dict[str, float] = {}  # unused ones, and when each expires
        self._used: set[str] = set()  # with this token
        self._on_replaced: list[Callable[[], None]] = []

    @property
    def token(self) -> str:
        """The token that is valid now."""
        return self._token

    @property
    def entry(self) -> str:
        """The path of the page."""
        return entry_path(self._token)

    @property
    def page(self) -> str:
        """The path of the page, with the token in the fragment, which browsers send to no server."""
        return f"{self.entry}#token={self._token}"

    def once(self) -> str:
        """Return a path that opens the page once, within 60 seconds."""
        self._expire()
        code = secrets.token_urlsafe(16)
        self._codes[code] = self._now() + CODE_LIFETIME_S
        return f"{ONCE}{code}"

    def open(self, code: str) -> CodeUse:
        """Use a code. The second use replaces the token."""
        if code in self._used:
            self._replace()
            return CodeUse.USED_BEFORE
        self._expire()
        if self._codes.pop(code, None) is None:
            return CodeUse.UNKNOWN
        self._used.add(code)
        return CodeUse.OPENED

    def on_replaced(self, tell: Callable[[], None]) -> None:
        """Call `tell` each time after the token is replaced."""
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
