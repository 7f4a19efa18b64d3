"""Every command with every option in an empty home folder and without a network: a message, never a traceback."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from port_hook_cli.cli.commands import COMMANDS
from port_hook_cli.cli.exit_codes import ExitCode
from tests.conftest import Result, Run
from tests.options import command, options

RUN_ID = "r_QOz6WoOB1Q2lmhZZ"
ARGUMENTS = {
    "captures": ("create_vm",),
    "init": ("8000",),
    "login": ("staging",),
    "logout": ("staging",),
    "port-agent": ("payload.json",),
    "check": ("payload.json",),
    "decrypt": ("payload.json",),
    "diff": ("payload.json", "other.json"),
    "encrypt": ("value",),
    "export": ("missing",),
    "render": ("{{ .a }}",),
    "replay": ("payload.json",),
    "report-run": (RUN_ID,),
    "restore": ("create_vm",),
    "sandbox": ("missing",),
    "runs": (RUN_ID,),
    "show": ("last",),
    "sign": ("payload.json",),
    "trigger": ("action.json",),
    "verify": ("payload.json",),
}
"""Command -> arguments with which its options are read. Other commands do not need arguments."""

REQUIRED = {"export": ("--format", "curl"), "render": ("--data", "payload.json")}
ABSURD = (
    "",
    "-1",
    "nan",
    "9" * 5000,
    f"{'9' * 40}d",
    f"{'9' * 40}GiB",
    ".",
    "missing/file",
    "\udcff\x1b[2J\u202e\n",
    "http://[",
    "[" * 3000,
    "@missing",
)
SENDS_AS_OFTEN_AS_TOLD = ("replay", "--times")
MOST_WORDS = 25  # of a hint
SECRET = {"PORT_CLIENT_SECRET": "s" * 64}
EXPECTED = set(ExitCode) - {ExitCode.BUG, ExitCode.INTERRUPTED}


@pytest.fixture
def busy() -> Iterator[int]:
    """A port in use, so that a command that would serve cannot."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


@pytest.fixture
def bounds(busy: int) -> dict[str, tuple[str, ...]]:
    """The options that limit a command to this machine, and prevent it from waiting."""
    return {
        "check": ("--to", "http://127.0.0.1:1"),
        "inspect": ("--port", str(busy)),
        # An address of no machine, because the search for the owner of a busy port takes longer than the rest.
        "listen": ("--tunnel", "none", "--host", "192.0.2.1", "--port", str(busy)),
        "login": ("--api-url", "http://127.0.0.1:1"),
        "replay": ("--to", "http://127.0.0.1:1"),
        "sandbox": ("--port", str(busy)),
        "trigger": ("--to", "http://127.0.0.1:1"),
    }


@pytest.fixture
def files(folder: Path) -> None:
    (folder / "payload.json").write_text('{"a": 1}')
    (folder / "other.json").write_text('{"a": 2}')
    (folder / "action.json").write_text(
        '{"identifier": "a", "trigger": {"type": "self-service", "operation": "CREATE"},'
        ' "invocationMethod": {"type": "WEBHOOK", "url": "http://127.0.0.1:1/"}}'
    )


def unhelpful(results: Iterable[tuple[tuple[str, ...], Result]]) -> list[tuple[tuple[str, ...], int, str]]:
    """Return the command lines with an unexplained failure, an undocumented exit code or a bad hint."""
    return [
        (words, result.code, result.err[:400])
        for words, result in results
        if result.code not in EXPECTED
        or "Traceback" in result.err
        or (result.code and not (result.err or result.out))
        or has_bad_hints(result.err)
    ]


def has_bad_hints(text: str) -> bool:
    """Return whether a hint is too long, or a sentence of an error is printed twice."""
    lines = [line for line in text.splitlines() if line.startswith(("error: ", "hint: "))]
    sentences = [each for line in lines for each in line.partition(": ")[2].split(". ")]
    hints = [line for line in lines if line.startswith("hint: ")]
    return len(set(sentences)) < len(sentences) or any(len(line.split()) > MOST_WORDS + 1 for line in hints)


def test_first_use_without_options_is_helpful(run: Run, bounds: dict[str, tuple[str, ...]]) -> None:
    lines = ((name, *(bounds[name] if name == "sandbox" else ())) for name in COMMANDS)  # a sandbox would serve
    assert unhelpful((words, run(*words)) for words in lines) == []


def test_first_use_with_a_missing_option_value_is_helpful(run: Run) -> None:
    for name in COMMANDS:
        for option in options(name):
            if not option.is_flag:
                result = run(name, option.opts[0])
                assert (result.code, result.out) == (ExitCode.USAGE, "")
                assert f"{option.opts[0]} needs a value." in result.err
                assert "hint: " in result.err


# Each option gets some of the values, and the next option others. `make test-all` tries all values with each.
@pytest.mark.parametrize("one_in", [8, pytest.param(1, marks=pytest.mark.extended)])
@pytest.mark.parametrize("name", COMMANDS)
def test_first_use_with_an_absurd_value_is_helpful(
    name: str, one_in: int, run: Run, files: None, bounds: dict[str, tuple[str, ...]]
) -> None:
    before = (name, *ARGUMENTS.get(name, ()), *REQUIRED.get(name, ()), *bounds.get(name, ()))
    lines = (
        (*before, option.opts[0], *value)
        for number, option in enumerate(options(name))
        if (name, option.opts[0]) != SENDS_AS_OFTEN_AS_TOLD
        for value in ([()] if option.is_flag else [(value,) for value in ABSURD[number % one_in :: one_in]])
    )
    assert unhelpful((words, run(*words, env=SECRET)) for words in lines) == []


@pytest.mark.parametrize("one_in", [3, pytest.param(1, marks=pytest.mark.extended)])
def test_first_use_with_an_absurd_argument_is_helpful(
    one_in: int, run: Run, files: None, bounds: dict[str, tuple[str, ...]]
) -> None:
    lines = (
        (name, *REQUIRED.get(name, ()), *bounds.get(name, ()), "--", value)
        for number, name in enumerate(ARGUMENTS)
        for value in ABSURD[number % one_in :: one_in]
    )
    assert unhelpful((words, run(*words, env=SECRET)) for words in lines) == []
    taking = {
        name for name in COMMANDS for parameter in command(name).params if parameter.param_type_name == "argument"
    }
    assert taking - {"listen"} == ARGUMENTS.keys()  # `listen` would serve


def test_error_about_a_missing_secret_has_one_hint(run: Run, files: None) -> None:
    error = "error: No client secret is set.\nhint: Run `port-hook login`, or set PORT_CLIENT_SECRET"
    for line, end in (
        ("sign payload.json", "."),
        ("listen", ", or only look: `listen --verify off`."),
    ):
        assert run(*line.split()).err.endswith(f"{error} (`port-hook help settings`){end}\n")


def test_missing_file_is_reported_before_missing_credentials(run: Run, folder: Path) -> None:
    (folder / "actions").mkdir()
    login = "in Port, run `port-hook login`.\n"
    for line, message in (
        ("trigger create_vm", f"No file create_vm here.\nhint: To use create_vm {login}"),
        ("trigger actions", f"actions is not a file.\nhint: Write actions/ for the directory. To use actions {login}"),
        ("check nofile", f"No file nofile here.\nhint: To use nofile {login}"),
        (f"replay {RUN_ID}", f"File or capture not found: {RUN_ID}.\nhint: To read the run from Port, run `port-"),
        ("replay nofile", "File not found: nofile. Capture store not found: "),
    ):
        assert run(*line.split(), "--to", "1").err.startswith(f"error: {message}")
