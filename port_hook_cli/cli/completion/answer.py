"""Answers a shell: reads the line that it sends, and writes what completes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TextIO

from port_hook_cli.cli.completion.candidate import Candidate, starting_with
from port_hook_cli.cli.completion.line import COMMAND, IncompleteLine, options_of, read_line
from port_hook_cli.cli.completion.shells import SHELLS, CompletionRequest
from port_hook_cli.cli.completion.values import takes_files, values_of
from port_hook_cli.cli.completion.words import COMMANDS

_MAX_OFFERED = 100
_INSTRUCTION = "complete_"
_OPTION = "-"


def answer(instruction: str, environ: Mapping[str, str], stdout: TextIO) -> int | None:
    """Write the completions that a shell asks for, and return the exit code; None for another instruction.

    If it fails, it offers nothing, because a message would disturb the line that the user is typing.
    """
    shell = SHELLS.get(instruction.removeprefix(_INSTRUCTION)) if instruction.startswith(_INSTRUCTION) else None
    if shell is None:
        return None
    try:
        asked = shell.read(environ)
        line = read_line(asked.words, asked.start)
        before = asked.start[: len(asked.start) - len(line.start)]  # such as `--store=`
        found = [
            candidate._replace(word=before + candidate.word)
            for candidate in islice(candidates(line, environ), _MAX_OFFERED)
        ]
        has_files = takes_files(line)
    except Exception:  # noqa: BLE001 - a traceback would disturb the command line
        asked, found, has_files = CompletionRequest((), ""), [], True
    text, code = shell.write(found, asked, has_files=has_files)
    stdout.write(text)
    stdout.flush()
    return code


def candidates(line: IncompleteLine, environ: Mapping[str, str]) -> Iterator[Candidate]:
    """Yield what completes a line."""
    if line.place == COMMAND:
        offered: Iterator[Candidate] = (Candidate(name, row[0]) for name, row in COMMANDS.items())
    elif line.place == _OPTION:
        offered = _option_names(line)
    else:
        offered = values_of(line, Path.cwd(), environ)
    yield from starting_with(offered, line.start)


def _option_names(line: IncompleteLine) -> Iterator[Candidate]:
    for option in options_of(line.command):
        if option.is_repeatable or option.names[0] not in line.given:
            yield from (Candidate(name, option.help) for name in option.names)
