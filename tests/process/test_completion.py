"""The completion that Typer installs in shells, as a shell asks for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from port_hook_cli.captures.store import open_store
from tests.factories import an_exchange, an_invocation
from tests.processes import environment


def completions(folder: Path, line: str, shell: str = "bash") -> list[str]:
    """Return what is offered at the end of `line`."""
    words = line.split(" ")
    asked = {
        "_PORT_HOOK_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    script = "import sys; sys.argv[0] = 'port-hook'; from port_hook_cli.cli.app import main; sys.exit(main())"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=folder, env=environment(folder, **asked), capture_output=True, check=False)
    assert done.stderr == b""
    return done.stdout.decode().split()


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_completion_of_show_offers_only_ids_that_a_shell_reads_as_a_word(shell: str, tmp_path: Path) -> None:
    invocation = an_invocation()
    with open_store(None, tmp_path, create=True) as store:
        store.add([an_exchange(invocation), an_exchange(an_invocation(id="$(touch x)"))])
    assert set(completions(tmp_path, "port-hook show ", shell)) == {"last", invocation.id}
    assert completions(tmp_path, f"port-hook show {invocation.id[:2]}", shell) == [invocation.id]


def test_completion_without_a_store_offers_last_and_prints_nothing_else(tmp_path: Path) -> None:
    assert completions(tmp_path, "port-hook show ") == ["last"]
    assert not (tmp_path / ".port-hook").exists()


def test_completion_of_tunnels_and_export_formats_offers_their_names(tmp_path: Path) -> None:
    assert {"auto", "none", "ngrok", "cloudflared"} <= set(completions(tmp_path, "port-hook listen --tunnel "))
    assert completions(tmp_path, "port-hook export last --format po") == ["postman"]
