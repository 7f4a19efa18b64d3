"""Every command that reads captures reports a damaged store, with the exit code for store errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.cli.exit_codes import ExitCode
from tests.conftest import Run
from tests.factories import a_capture, an_invocation

PAGE = 4096


@pytest.fixture
def damaged(folder: Path) -> Path:
    """The path of a store with 200 captures. Most of its pages are overwritten."""
    with open_store(None, folder, create=True) as store:
        store.add([a_capture(an_invocation(id=f"{number:04x}")) for number in range(200)])
    with store.path.open("r+b") as file:
        file.seek(8 * PAGE)
        file.write(b"\xa5" * 30 * PAGE)
    return store.path


def test_damaged_store_is_reported(run: Run, damaged: Path) -> None:
    for command in (
        "captures --limit 0",
        "captures --limit 0 --json",
        "captures nothing",
        "captures --jq false",
        "show 0001",
        "replay --failed --to 9 --as-captured",
        "prune --older-than 1d --yes",
        "prune --older-than 1d --dry-run",
    ):
        result = run(*command.split())
        first, *_ = result.err.splitlines()
        assert (result.code, first.startswith(f"error: {damaged} is damaged: ")) == (ExitCode.STORE, True), result
        assert "Traceback" not in result.err
