"""Reads a shell's request for completions, and writes the completions."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TextIO

from port_hook_cli.cli.completion.line import COMMAND, Candidate, IncompleteLine, options_of, read_line, starting_with
from port_hook_cli.cli.completion.values import takes_files, values_of
from port_hook_cli.cli.completion.words import COMMANDS

_LINE = "_TYPER_COMPLETE_ARGS"
# Bash also splits words at these characters.
_BREAKS = re.compile(r"[=:]+")


class CompletionRequest(NamedTuple):
    """A shell's request: the complete words, the start of the next word, and the part that the shell adds itself.

    `kept` is the part of `start` that the shell doesn't replace. With `only_whether`, the shell needs only the exit
    code.
    """

    words: tuple[str, ...]
    start: str
    kept: str = ""
    only_whether: bool = False


class Shell(NamedTuple):
    """The functions that read a shell's request, and write the text and the exit code that the shell expects."""

    read: Callable[[Mapping[str, str]], CompletionRequest]
    write: Callable[..., tuple[str, int]]


def _split(text: str) -> list[str]:
    """Return the words of a line whose last quotation may still be open."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    try:
        words += lexer
    except ValueError:
        words.append(lexer.token or "")
    return words


def _read_line(environ: Mapping[str, str]) -> CompletionRequest:
    text = environ.get(_LINE, "")
    words = _split(text)
    if len(words) > 1 and not text.endswith(" "):
        return CompletionRequest(tuple(words[1:-1]), words[-1])
    return CompletionRequest(tuple(words[1:]), "")


def _read_fish(environ: Mapping[str, str]) -> CompletionRequest:
    only_whether = environ.get("_TYPER_COMPLETE_FISH_ACTION") == "is-args"
    return _read_line(environ)._replace(only_whether=only_whether)


def _read_powershell(environ: Mapping[str, str]) -> CompletionRequest:
    words, start = _split(environ.get(_LINE, "")), environ.get("_TYPER_COMPLETE_WORD_TO_COMPLETE", "")
    return CompletionRequest(tuple(words[1:-1] if start else words[1:]), start)


def _read_bash(environ: Mapping[str, str]) -> CompletionRequest:
    words, number = _split(environ["COMP_WORDS"]), int(environ["COMP_CWORD"])
    typed = words[1:number]
    last = words[number] if number < len(words) else ""
    *whole, start = _joined([*typed, last])
    kept = start if _BREAKS.fullmatch(last) else start[: len(start) - len(last)]
    return CompletionRequest(tuple(whole), start, kept)


def _joined(words: Sequence[str]) -> list[str]:
    """Return words with the parts joined that bash has split at `=` and `:`."""
    joined: list[str] = []
    glues = False
    for word in words:
        is_break = _BREAKS.fullmatch(word) is not None
        if joined and (is_break or glues):
            joined[-1] += word
        else:
            joined.append(word)
        glues = is_break
    return joined


def _write_bash(found: Sequence[Candidate], asked: CompletionRequest, **_: object) -> tuple[str, int]:
    words = [candidate.word[len(asked.kept) :] for candidate in found]
    if len(words) == 1 and words[0].endswith("="):
        words.append(f"{words[0]}http")  # with two candidates, bash doesn't add a space after their common part
    return "".join(f"{word}\n" for word in words), 0


def _write_zsh(found: Sequence[Candidate], asked: CompletionRequest, *, has_files: bool) -> tuple[str, int]:
    """Return code that zsh evaluates. All variable parts of the code are in single quotes."""
    parts = []
    for suffix in ("", " -S ''"):  # no space follows `=`
        rows = [candidate for candidate in found if candidate.word.endswith("=") is bool(suffix)]
        if rows:
            quoted = " ".join(map(_zsh_row, rows))
            parts.append(f"local -a port_hook_values; port_hook_values=({quoted});")
            parts.append(f"_describe -V value port_hook_values{suffix};")
    if has_files or not found:
        if "=" in asked.start:
            parts.append("compset -P '*=';")  # the file's name begins after `--store=` or `entity=`
        parts.append("_files;")
    return "\n".join([*parts, ""]), 0


def _zsh_row(candidate: Candidate) -> str:
    word = candidate.word.replace("\\", r"\\").replace(":", r"\:")
    return shlex.quote(f"{word}:{candidate.description}" if candidate.description else word)


def _write_fish(found: Sequence[Candidate], asked: CompletionRequest, **_: object) -> tuple[str, int]:
    if asked.only_whether:
        return "", int(not found)
    # Fish preserves the start of an option with its value (`--to=`) only if the candidate contains it.
    return "".join(f"{word}\t{description}\n" for word, description in found), 0


def _write_powershell(found: Sequence[Candidate], _: CompletionRequest, **__: object) -> tuple[str, int]:
    return "".join(f"{word}:::{description or ' '}\n" for word, description in found), 0


SHELLS = {
    "bash": Shell(_read_bash, _write_bash),
    "zsh": Shell(_read_line, _write_zsh),
    "fish": Shell(_read_fish, _write_fish),
    "powershell": Shell(_read_powershell, _write_powershell),
    "pwsh": Shell(_read_powershell, _write_powershell),
}
"""How each shell asks for completions, and the output that it expects."""


_MAX_OFFERED = 100
_INSTRUCTION = "complete_"
_OPTION = "-"


def complete(instruction: str, environ: Mapping[str, str], stdout: TextIO) -> int | None:
    """Write the completions that a shell asks for. Return the exit code, or None for another instruction.

    After an error, nothing is written, because a message would disturb the line that the user is typing.
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
    """Yield the completions of a line."""
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
