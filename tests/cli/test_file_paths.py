"""Options with a file path: folders and paths without a name are rejected, and their modes do not change."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from port_hook_cli.cli.commands import COMMANDS as CLI_COMMANDS
from port_hook_cli.cli.exit_codes import ExitCode
from tests.conftest import Run
from tests.factories import SECRET
from tests.options import options
from tests.processes import environment

POSIX = pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
COMMANDS = (
    ("listen", "--verify", "off", "--tunnel", "none", "--port", "0", "--stop-after", "0", "--store"),
    ("captures", "--store"),
    ("show", "last", "--store"),
    ("diff", "last", "last", "--store"),
    ("export", "last", "--format", "curl", "--store"),
    ("sign", "last", "--store"),
    ("verify", "last", "--store"),
    ("replay", "last", "--to", "9", "--as-captured", "--store"),
    ("check", "last", "--to", "9", "--store"),
    ("report-run", "last", "--status", "success", "--store"),
    ("runs", "last", "--store"),
    ("port-agent", "last", "--store"),
    ("decrypt", "last", "--store"),
    ("prune", "--keep", "0", "--yes", "--store"),
    ("doctor", "--store"),
    ("sandbox", "--port", "0", "--state"),
)
# Commands with a store that are not in the list, and why.
WITHOUT = {
    "inspect": "serves a damaged store too, until it is stopped",
    "mcp": "would read messages from stdin: see its own test",
}
# Each command runs once with the path of a file first, so that all modules are loaded when the root changes.
IN_A_ROOT = """
import io, os, stat, sys
from pathlib import Path
from port_hook_cli.cli.app import main
from port_hook_cli.runtime import Runtime
from tests.cli.test_file_paths import COMMANDS, an_exit_code

for command in COMMANDS[1:]:
    an_exit_code([*command, "notes.txt"])
    an_exit_code([*command, "."])
os.chroot(sys.argv[1])
os.chdir("/")
os.chmod("/", 0o755)
codes = [an_exit_code([*command, path]) for command in COMMANDS[1:] for path in ("/", "//", "/..", "/.")]
print(oct(stat.S_IMODE(os.stat("/").st_mode)), sorted(set(codes)))
"""


def an_exit_code(arguments: list[str]) -> int:
    """Return the exit code of a command in this process."""
    from port_hook_cli.cli.app import main

    try:
        return int(main(arguments) or 0)
    except SystemExit as end:
        return int(end.code or 0)


def code_for(path: str) -> ExitCode:
    """Return the code for a path that is invalid in itself, or that is a directory."""
    return ExitCode.USAGE if path in {"", "~", "~/captures.db"} else ExitCode.STORE


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_path_without_a_file_name_is_rejected(run: Run, folder: Path) -> None:
    reading = {name for name in CLI_COMMANDS for option in options(name) if {"--store", "--state"} & set(option.opts)}
    assert reading == {command[0] for command in COMMANDS} | WITHOUT.keys(), "add the command to COMMANDS in this file"
    (folder / "sub").mkdir()
    for each in (folder, folder / "sub"):
        each.chmod(0o755)
    for command in COMMANDS:
        for path in ("", ".", "..", "sub", "sub/..", "sub/", "~", "~/captures.db"):
            result = run(*command, path)
            assert (result.code, result.out) == (code_for(path), ""), (command, path)
            assert command[-1] in result.err.splitlines()[0]
            assert "hint: " in result.err
    assert sorted(file.name for file in folder.iterdir()) == ["sub"]
    assert os.name != "posix" or [mode(folder), mode(folder / "sub")] == [0o755, 0o755]


def test_mcp_rejects_an_invalid_store_path_before_a_tool_call(run: Run, folder: Path) -> None:
    (folder / "sub").mkdir()
    for path in ("", ".", "/", "sub"):
        result = run("mcp", "--store", path, stdin=b"{}\n")
        assert (result.code, result.out) == (code_for(path), "")
        assert result.err.startswith("error: ")
        assert "--store" in result.err


@POSIX
def test_device_or_pipe_as_the_store_is_rejected_without_advice_to_remove_it(run: Run, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    for command in COMMANDS[:-2]:
        for path in (os.devnull, str(folder / "pipe")):
            result = run(*command, path, env={"PORT_CLIENT_SECRET": SECRET.reveal()})
            assert (result.code, result.out) == (ExitCode.STORE, "")
            assert result.err.endswith(
                f"error: {path} could not be opened: it is not a regular file.\n"
                "hint: Pass another file with --store (for a sandbox, --state).\n"
            )


@pytest.mark.extended
@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="changing an owner and mounting take root on Linux"
)
def test_root_folder_keeps_its_mode_when_it_is_named_as_a_file(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    root = folder / "root"
    root.mkdir()
    result = subprocess.run(
        [sys.executable, "-c", IN_A_ROOT, str(root)],
        cwd=folder,
        env=environment(folder, PYTHONPATH=str(Path(__file__).parents[2])),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout.splitlines()[-1:] == [f"0o755 [{int(ExitCode.STORE)}]"], result.stderr


@POSIX
@pytest.mark.parametrize("kind", ["text", "database"])
def test_file_of_another_program_keeps_its_mode(run: Run, folder: Path, kind: str) -> None:
    file = folder / ".port-hook" / "mine"
    file.parent.mkdir()
    if kind == "text":
        file.write_text("my notes, which everyone may read")
    else:
        with contextlib.closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("CREATE TABLE mine (a)")
    file.parent.chmod(0o755)
    file.chmod(0o644)
    before = file.read_bytes()
    for command in COMMANDS:
        result = run(*command, str(file), env={"PORT_CLIENT_SECRET": SECRET.reveal()})
        assert result.code in {ExitCode.STORE, ExitCode.FAILED}, command
        assert [mode(file.parent), mode(file), file.read_bytes()] == [0o755, 0o644, before], command


@POSIX
def test_folder_of_a_named_store_keeps_its_mode(run: Run, folder: Path) -> None:
    shared = folder / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    for command in COMMANDS[:-1]:  # the sandbox would continue to run
        run(*command, f"shared/{command[0]}/captures.db")
        run(*command, "shared/mine.db")
    assert mode(shared) == 0o755
    assert mode(shared / "listen") == 0o700
