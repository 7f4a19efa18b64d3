"""The capture store for the commands that read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from port_hook_cli.runtime import Runtime
from port_hook_cli.text.remark import Say, note
from port_hook_cli.text.safe import brief, printable

if TYPE_CHECKING:
    from port_hook_cli.captures.store.body_filter import JqBodyFilter
    from port_hook_cli.captures.store.capture_store import CaptureStore


def open_captures(option: Path | None, runtime: Runtime, say: Say, *, show_only: bool = False) -> CaptureStore:
    """Open the store. `say` gets notes about its files. Raises StoreError.

    With `show_only` the captures are only displayed, so they may belong to another user.
    """
    from port_hook_cli.captures.store.capture_store import open_store

    store = open_store(option, runtime.cwd, show_only=show_only)
    for warning in store.warnings:
        say(note(printable(warning)))
    return store


@contextmanager
def open_body_filter(expression: str | None, say: Say, *, name: str) -> Iterator[JqBodyFilter | None]:
    """Yield the filter for a jq expression; afterward, `say` gets how often it failed.

    Messages call the expression `name`.
    """
    if expression is None:
        yield None
        return
    from port_hook_cli.captures.store.body_filter import JqBodyFilter

    with JqBodyFilter(expression) as bodies:
        yield bodies
    if bodies.failures:
        count = f"{bodies.failures} captures" if bodies.failures > 1 else "1 capture"
        text = f"{name} failed for {count}, for example with: {brief(bodies.failure)}"
        say(note(text))


class LateStore:
    """A store that is opened when it is first needed, by `opening`, and closed once."""

    def __init__(self, opening: Callable[[], CaptureStore]) -> None:
        self._opening = opening
        self._store: CaptureStore | None = None

    @property
    def is_open(self) -> bool:
        """Whether the store was needed so far."""
        return self._store is not None

    def open(self) -> CaptureStore:
        """Return the open store; raises StoreError."""
        if self._store is None:
            self._store = self._opening()
        return self._store

    def close(self) -> None:
        """Close the store if it was opened."""
        if self._store is not None:
            self._store.close()
