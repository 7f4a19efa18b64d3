"""Former names: each gets an error that says what to use instead."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from port_hook_cli.cli.commands import COMMANDS
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.gone import COMMANDS as FORMER_COMMANDS
from port_hook_cli.cli.gone import OPTIONS
from tests.conftest import Run
from tests.options import options

_MOST_WORDS = 25


@cache
def gone() -> list[tuple[str, str]]:
    """Return the former options with their commands."""
    return [
        (command, option)
        for command, former in OPTIONS.items()
        if command in COMMANDS
        for option in former
        if f"--{option}" not in {flag for each in options(command) for flag in (*each.opts, *each.secondary_opts)}
    ]


def test_former_option_is_an_error_with_its_successor(run: Run) -> None:
    for command, option in gone():
        typed = run(command, f"--{option}")
        assert (typed.code, typed.out) == (ExitCode.USAGE, "")
        assert typed.err.startswith(f"error: Unknown option: --{option}.\nhint: ")
        hint = typed.err.splitlines()[1]
        assert len(hint.split()) <= _MOST_WORDS + 1
        assert OPTIONS[command][option] in hint


def test_variable_and_key_of_a_former_option_are_errors(run: Run, folder: Path) -> None:
    file = folder / "port-hook.toml"
    one_of_each = dict(gone())  # one table has the options of all commands, so an option of each command is enough
    for command, option in one_of_each.items():
        variable = f"PORT_HOOK_{command}_{option}".replace("-", "_").upper()
        found = run(command, env={variable: "1"})
        assert found.code == ExitCode.SETTINGS
        assert found.err.startswith(f"error: {variable} has no effect: {command} has no option --{option}.\nhint: ")
        file.write_text(f"[{command}]\n{option} = 1\n")
        if command != "init":  # `init` doesn't read the file
            assert f"{command} has no option {option}" in run(command).err
        file.unlink()


@pytest.mark.parametrize(
    ("command", "option", "by_variable", "by_key"),
    [
        ("listen", "strict", "Set PORT_HOOK_LISTEN_VERIFY=strict.", 'Write verify = "strict" in [listen].'),
        ("listen", "handler", "Set PORT_HOOK_LISTEN_FORWARD_TO=8000.", "Write handler = 8000 at the top of the file."),
        ("sandbox", "strict-runs", "Set PORT_HOOK_SANDBOX_STRICT=1.", "Write strict = true in [sandbox]."),
        ("replay", "api-timeout", "Set PORT_HOOK_API_TIMEOUT to", "Set PORT_HOOK_API_TIMEOUT to"),
    ],
)
def test_former_variable_and_key_name_their_successors(
    command: str, option: str, by_variable: str, by_key: str, run: Run, folder: Path
) -> None:
    if (command, option) not in gone():
        pytest.skip("still an option")
    variable = f"PORT_HOOK_{command}_{option}".replace("-", "_").upper()
    assert f"hint: {by_variable}" in run(command, env={variable: "1"}).err
    (folder / "port-hook.toml").write_text(f"[{command}]\n{option} = 1\n")
    assert f"hint: {by_key}" in run(command).err


def test_former_command_is_an_error_with_its_successor(run: Run) -> None:
    for old, new in FORMER_COMMANDS.items():
        if old not in COMMANDS:
            assert run(old).err == f"error: Unknown command: {old}.\nhint: Run `port-hook {new}`.\n"
