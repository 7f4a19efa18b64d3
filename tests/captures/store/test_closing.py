"""What closing a store does to the captures over its limit."""

from __future__ import annotations

from pathlib import Path

from port_hook_cli.captures.store.capture_store import open_store
from tests.factories import an_exchange, an_invocation


def ids(folder: Path) -> list[str]:
    with open_store(None, folder) as store:
        return sorted(exchange.invocation.id for exchange in store.select())


def test_close_drops_the_oldest_captures_over_the_limit(folder: Path) -> None:
    with open_store(None, folder, create=True, max_captures=5) as store:
        for number in range(20):
            store.add([an_exchange(an_invocation(id=f"{number:04}"))])
    assert ids(folder) == ["0015", "0016", "0017", "0018", "0019"]


def test_close_drops_nothing_when_the_store_added_nothing(folder: Path) -> None:
    with open_store(None, folder, create=True) as store:
        store.add([an_exchange(an_invocation(id=f"{number:04}")) for number in range(20)])
    with open_store(None, folder, create=True, max_captures=5) as store:
        assert store.get("last").invocation.id == "0019"
    assert len(ids(folder)) == 20
