"""The messages of the error boundary: usage errors as a sentence and a hint, and the crash report.

This module is imported only after a failure.
"""

from __future__ import annotations

import errno
import os
import re
import tempfile
import traceback
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TextIO

from port_hook_cli import __version__
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.errors import StoreError, UsageError
from port_hook_cli.text.safe import brief
from port_hook_cli.text.secret import Masker

_NOT_A = re.compile(r" is not a valid (int|float)(?: range)?\.$")
_RANGE = re.compile(r"not in the range (?:(?P<least>[^<>x]+)<=)?x(?:(?P<side>[<>])=(?P<limit>\S+))?\.$")
_KINDS = {"int": "a whole number", "float": "a number"}
_REWORDED = (
    (re.compile(r"^Got unexpected extra argument\(s\) \((.*)\)$", re.DOTALL), r"Unexpected argument: \1."),
    (re.compile(r"^Option '(-[^']*)' requires an argument\.$"), r"\1 needs a value."),
    (re.compile(r"^Option '(-[^']*)' does not take a value\.$"), r"\1 does not take a value."),
)


_NO_COMMAND = re.compile(r"^No such command '(.*)'\.$", re.DOTALL)
_EXTRA = _REWORDED[0][0]
_VALUE = re.compile(r"^'([^']*)' is not")
_LONGEST = 200
_FEWEST_WITH_COMMAND = 2  # the name of the command, and an argument
_EXAMPLES = {"show": "port-hook show last", "replay": "port-hook replay last", "sign": "port-hook sign payload.json"}


def usage_problem(wrong: Any, words: Sequence[str]) -> UsageError:
    """Return typer's error about a command line in port-hook's words, with a hint about what to do instead.

    `words` are the words of the command line.
    """
    path = wrong.ctx.command_path if getattr(wrong, "ctx", None) else "port-hook"
    usage = f"Run `{path} --help` for usage."
    hint = _hint(wrong, path.removeprefix("port-hook").strip(), words)
    is_whole = hint and not hint.startswith(("Did you mean", "Example:"))
    return UsageError(_message(wrong), hint=hint if is_whole else f"{hint} {usage}".strip())


def _hint(wrong: Any, command: str, words: Sequence[str]) -> str:
    """Return the hint for an invalid command line, or "" if there is no hint."""
    from port_hook_cli.cli import habits

    message = str(wrong.message)
    parameters = wrong.ctx.command.params if getattr(wrong, "ctx", None) else ()
    options = [name for each in parameters if each.param_type_name == "option" for name in each.opts]
    if _is_unknown_option(wrong):
        return _option_hint(wrong.option_name, command, options, words, parameters)
    if found := _NO_COMMAND.match(message):
        from port_hook_cli.cli.completion.words import COMMANDS

        return habits.hint_for_command(found[1], COMMANDS)
    if found := _EXTRA.match(message):
        hint = habits.hint_for_argument(found[1].partition(" ")[0], options)
        takes_none = command and all(each.param_type_name == "option" for each in parameters)
        return hint or (f"Leave it out. `port-hook {command}` doesn't take arguments." if takes_none else "")
    if hasattr(wrong, "param_type"):
        return f"Example: `{_EXAMPLES[command]}`." if command in _EXAMPLES else ""
    if (parameter := getattr(wrong, "param", None)) and (found := _VALUE.match(message)):
        return habits.hint_for_value(command, parameter.opts[0], found[1])
    return ""


def _option_hint(
    typed: str, command: str, options: Sequence[str], words: Sequence[str], parameters: Sequence[Any]
) -> str:
    from port_hook_cli.cli import habits

    if not command:
        from port_hook_cli.cli.completion.words import COMMANDS

        known = {name: [flag for option in row[2] for flag in option[0]] for name, row in COMMANDS.items()}
        return habits.hint_for_root_option(typed, words, known) or habits.hint_for_option("", typed, options)
    if typed == "--profile":
        return f"Put it before the command: `port-hook --profile NAME {command}`."
    if hint := habits.hint_for_option(command, typed, options):
        return hint
    takes_command = any(parameter.name == "command_to_run" for parameter in parameters)
    has_command = len([word for word in words if not word.startswith("-")]) > _FEWEST_WITH_COMMAND
    return "Put a command to run, with its options, after `--`." if takes_command and has_command else ""


def _is_unknown_option(wrong: Any) -> bool:
    return hasattr(wrong, "option_name") and str(wrong.message).startswith("No such option")


def _message(wrong: Any) -> str:
    if _is_unknown_option(wrong):
        return f"Unknown option: {brief(wrong.option_name, _LONGEST)}."
    if found := _NO_COMMAND.match(str(wrong.message)):
        return f"Unknown command: {brief(found[1], _LONGEST)}."
    if hasattr(wrong, "param_hint"):
        return _about_parameter(wrong)
    message = str(wrong.message)
    for pattern, words in _REWORDED:
        message = pattern.sub(words, message)
    return message


def _about_parameter(wrong: Any) -> str:
    name = wrong.param_hint or (_name(wrong.param) if wrong.param else "")
    if hasattr(wrong, "param_type"):  # the parameter is missing
        kind = wrong.param.param_type_name if wrong.param else "argument"
        return f"Missing {kind} {name}."
    return f"Invalid value for {name}: {plain_words(wrong.message)}" if name else plain_words(wrong.message)


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "option":
        return str(max(parameter.opts, key=len))
    return str(parameter.metavar or parameter.name).removesuffix("...")


def plain_words(message: str) -> str:
    """Return typer's error about a value without the names of typer's types."""
    message = _NOT_A.sub(lambda found: f" is not {_KINDS[found[1]]}.", message)
    return _RANGE.sub(_range_words, message)


def _range_words(found: re.Match[str]) -> str:
    if found["least"]:
        return f"not from {found['least']} to {found['limit']}."
    return f"not {found['limit']} or {'more' if found['side'] == '>' else 'less'}."


# Errors of a file or its disk. A user can fix them, even if the code did not expect them.
_OF_A_FILE = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG}
    | {errno.ENOENT, errno.ENOSPC, errno.EDQUOT, errno.EIO}
)


def file_problem(bug: Exception) -> StoreError | None:
    """Return the error for a file that cannot be read or written, or None for any other exception."""
    if not isinstance(bug, OSError) or bug.errno not in _OF_A_FILE or not isinstance(bug.filename, str):
        return None
    return StoreError(
        f"{bug.filename} cannot be read or written: {bug.strerror}.",
        hint="Check the permissions of the file and its directory, and the disk.",
    )


_SECRET_WORDS = ("SECRET", "TOKEN", "PASSWORD", "KEY")


def report_crash(bug: Exception, *, environ: Mapping[str, str], secrets: Collection[str], stderr: TextIO) -> ExitCode:
    """Write a crash report (mode 0600), print its path, and return the exit code for a bug.

    `secrets` and the values of variables that look like secrets are masked in the report. If `PORT_HOOK_DEBUG` is set,
    the exception is raised again instead.
    """
    if environ.get("PORT_HOOK_DEBUG"):
        raise bug
    handle, path = tempfile.mkstemp(prefix="port-hook-crash-", suffix=".md")
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(Masker([*secrets, *_secrets_of(environ)]).text(_describe(bug)))
    print(
        f"error: port-hook crashed because of a bug ({type(bug).__name__}). Your input did not cause it.\n"
        f"hint: The details are in {path}. Please attach that file to an issue.",
        file=stderr,
    )
    return ExitCode.BUG


def _describe(bug: Exception) -> str:
    import platform

    trace = "".join(traceback.format_exception(bug))
    return (
        f"# port-hook {__version__} crashed\n\n"
        f"Python {platform.python_version()} on {platform.platform()}\n\n```\n{trace}```\n"
    )


def _secrets_of(environ: Mapping[str, str]) -> Iterator[str]:
    return (value for name, value in environ.items() if any(word in name.upper() for word in _SECRET_WORDS))
