"""The store as its readers and writers see it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from port_hook_cli.core.models import Exchange, Status


def store_path(option: Path | None, cwd: Path) -> Path:
    """Return the store's file: the option's, or the default under `cwd`."""
    return cwd / ".port-hook" / "captures.db" if option is None else cwd / option


class CaptureStore:
    """An open store."""

    def add(self, exchanges: Sequence[Exchange]) -> None:
        """Save exchanges in one transaction; raises StoreError when none of them was."""
        raise NotImplementedError

    def complete(self, exchanges: Sequence[Exchange]) -> None:
        """Fill in delivery and answer of exchanges that were added, in one transaction; raises StoreError."""
        raise NotImplementedError

    def get(self, name: str) -> Exchange:
        """Return one capture by id, unique prefix of an id, or `last`; raises StoreError."""
        raise NotImplementedError

    def find(
        self,
        *,
        action: str | None = None,
        status: Status | None = None,
        run_id: str | None = None,
        since_s: float | None = None,
        with_run: bool = False,
        limit: int | None = None,
    ) -> Iterator[Exchange]:
        """Yield captures, newest first. `since_s` is seconds since the epoch."""
        raise NotImplementedError

    def seen(self, signature: str, since_s: float) -> bool:
        """Whether a request with this signature header was captured at `since_s` (epoch seconds) or later."""
        raise NotImplementedError

    def close(self) -> None:
        """Drop what is over the limit and close the file."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_store(
    option: Path | None,
    cwd: Path,
    *,
    create: bool = False,
    max_captures: int = 10_000,
    keep_secrets: bool = False,
) -> CaptureStore:
    """Open the store; raises StoreError when it is missing (and `create` is not set), newer, damaged or foreign."""
    raise NotImplementedError
