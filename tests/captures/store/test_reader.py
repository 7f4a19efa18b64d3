from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.captures.store.reader import open_reader
from port_hook_cli.errors import StoreError
from tests.factories import a_capture, an_invocation


@pytest.mark.parametrize("show_only", [False, True])
def test_reader_does_not_create_a_store_and_finds_captures_saved_while_it_is_open(
    folder: Path, *, show_only: bool
) -> None:
    with pytest.raises(StoreError, match="Capture store not found:") as caught:
        open_reader(None, folder, show_only=show_only)
    assert "port-hook listen" in caught.value.hint
    assert not list(folder.iterdir())
    with ExitStack() as stack:
        store = stack.enter_context(open_store(None, folder, create=True))
        store.add([a_capture(an_invocation(id="aaaa"))])
        reader = stack.enter_context(open_reader(None, folder, show_only=show_only))
        assert reader.get("last").invocation.id == "aaaa"
        store.add([a_capture(an_invocation(id="bbbb"))])
        assert reader.get("last").invocation.id == "bbbb"
        assert [capture.id for capture in reader.listed()] == ["bbbb", "aaaa"]
