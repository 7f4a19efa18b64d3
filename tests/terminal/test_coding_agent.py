from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.cli.app import main
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.errors import UsageError
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.coding_agent import VARIABLES, coding_agent
from port_hook_cli.terminal.console import shows_progress
from port_hook_cli.terminal.programs import edit
from tests.factories import a_capture, an_invocation
from tests.stores import keep
from tests.terminal_streams import Keyboard, Screen


def test_agent_is_recognized_by_its_variable() -> None:
    rows: list[tuple[Any, Any]] = [
        *(({variable: "1"}, VARIABLES[variable]) for variable in ("CLAUDECODE", "CODEX_CI")),
        ({"AI_AGENT": "claude-code/2.1.227", "CODEX_CI": "1"}, "claude-code/2.1.227"),
        ({"AI_AGENT": "an agent\x1b[2J"}, "unknown"),
        ({"AGENT": "amp", "CLAUDECODE": "1"}, "amp"),
    ]
    for environ, name in rows:
        assert coding_agent(environ) == name


def test_person_is_not_recognized_as_an_agent() -> None:
    rows: list[Any] = [
        {},
        {"CLAUDECODE": ""},
        {"CLAUDECODE": "0", "AI_AGENT": "false"},
        {"AGENT": "execution"},
        {"CURSOR_TRACE_ID": "1", "REPL_ID": "1", "TERM_PROGRAM": "kiro"},
    ]
    for environ in rows:
        assert coding_agent(environ) is None


def on_a_terminal(runtime: Callable[..., Runtime], *args: str) -> tuple[int, str]:
    """Run port-hook on a terminal, as a coding agent without input. Return the exit code and stderr."""
    stderr = Screen()
    world = replace(runtime(env={"CLAUDECODE": "1"}), stdin=Keyboard(b"y\n"), stderr=stderr)
    return main(args, world), re.sub(r"\x1b\[[\d;]*m", "", stderr.getvalue())


def test_prompt_is_an_error_with_the_option_for_an_agent(runtime: Callable[..., Runtime], folder: Path) -> None:
    keep(folder, a_capture(an_invocation()))
    assert on_a_terminal(runtime, "prune", "--keep", "0") == (
        ExitCode.USAGE,
        (
            "error: This would delete 1 capture. port-hook cannot ask for confirmation\n"
            "  because this is not a terminal.\nhint: Pass --yes.\n"
        ),
    )


def test_login_asks_an_agent_for_an_option(runtime: Callable[..., Runtime]) -> None:
    code, shown = on_a_terminal(runtime, "login")
    assert code == ExitCode.SETTINGS
    assert shown.startswith("error: The client ID is missing.\nhint: Pass --client-id")


def test_init_uses_the_defaults_for_an_agent(runtime: Callable[..., Runtime], folder: Path) -> None:
    assert on_a_terminal(runtime, "init") == (ExitCode.OK, "")
    assert (folder / "port-hook.toml").exists()


def test_editor_is_not_opened_for_an_agent() -> None:
    with pytest.raises(UsageError, match="does not open an editor") as error:
        edit("{}", str, environ={"EDITOR": "false", "GEMINI_CLI": "1"})
    assert error.value.hint == "Change the request with --set."


def test_progress_is_not_shown_to_an_agent(runtime: Callable[..., Runtime]) -> None:
    world = replace(runtime(), stderr=Screen())
    assert shows_progress(world)
    assert not shows_progress(replace(world, environ={"OPENCODE": "1"}))
