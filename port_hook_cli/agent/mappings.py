"""The agent's mappings: the file that contains them, its problems, and how to read it again when it changes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from port_hook_cli.agent.predictor import read_document
from port_hook_cli.engines.agent_jq import AgentJq
from port_hook_cli.errors import PortHookError, SourceError, UsageError
from port_hook_cli.files.user_files import read_input
from port_hook_cli.frozen import frozen
from port_hook_cli.prediction.expressions import correction
from port_hook_cli.prediction.mapping import (
    DEFAULT_MAPPINGS,
    AgentMapping,
    MappingProblem,
    Severity,
    mapping_notes,
    read_mappings,
)
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.remark import Remark, RemarkKind, Say, note, warning
from port_hook_cli.text.safe import printable

_FILE_VARIABLE = "CONTROL_THE_PAYLOAD_CONFIG_PATH"
_DEFAULT_FILE = "control_the_payload_config.json"
_MOST_PROBLEMS = 20
FileVersion: TypeAlias = tuple[int | None, ...]


@frozen(kw_only=True)
class MappingChoice:
    """The mappings that a user chooses: the file `named`, or the agent's own choice if `named` is None.

    `sends` means that the mappings decide what is sent. `say` receives the problems of the file. If the user did not
    choose the file, `say` also receives its name. Each message is reported once.
    """

    named: str | None
    sends: bool
    runtime: Runtime
    say: Say

    def find(self) -> str | None:
        """Return the file to read: the named file, the environment's file, or the current directory's file.

        None means no file. With `sends`, raises UsageError if the file is in the current directory and the user did not
        choose it, because someone else may have written it.
        """
        cwd = self.runtime.cwd
        if named := self.named or self.runtime.environ.get(_FILE_VARIABLE):
            return named
        if not os.path.lexists(cwd / _DEFAULT_FILE):
            return None
        if self.sends:
            raise UsageError(
                f"{_DEFAULT_FILE} in the current directory is not used with --send, because it decides what is sent.",
                hint=f"If you trust the file, pass it: --mapping {_DEFAULT_FILE}.",
            )
        if not (cwd / _DEFAULT_FILE).is_file():  # reading a pipe or a device may never end
            raise SourceError(
                f"{_DEFAULT_FILE} in the current directory is not a regular file.",
                hint="Remove it, or pass a mapping file with --mapping.",
            )
        return _DEFAULT_FILE

    def read(self) -> tuple[AgentMapping, ...]:
        """Return the mappings. Raises StoreError, and UsageError if the agent would not start with these mappings."""
        name = self.find()
        if self.named is None:
            source = f"mappings from {name}" if name else "no mapping file, so the agent's default mappings are used"
            self._say_once(note(printable(source)))
        if name is None:
            return DEFAULT_MAPPINGS
        mappings, problems = _load(name, self.runtime)
        for problem in problems[:_MOST_PROBLEMS]:
            kind = RemarkKind.ERROR if problem.severity is Severity.FATAL else RemarkKind.WARNING
            self._say_once(Remark(kind, printable(f"{problem.place} {problem.message}")))
        if len(problems) > _MOST_PROBLEMS:
            self.say(warning(f"{len(problems) - _MOST_PROBLEMS:,} more problems; --check lists all"))
        _reject_fatal(problems)
        return mappings

    def _say_once(self, remark: Remark) -> None:
        if self.runtime.memory.is_new(remark.line):
            self.say(remark)


def _load(name: str, runtime: Runtime) -> tuple[tuple[AgentMapping, ...], tuple[MappingProblem, ...]]:
    """Return the mappings of a file, and the problems of the file."""
    content = read_input(name, cwd=runtime.cwd, stdin=runtime.stdin)
    return read_mappings(read_document(content, name, hint="The agent does not start with it: correct the JSON."))


def _reject_fatal(problems: Sequence[MappingProblem]) -> None:
    for first in problems:
        if first.severity is Severity.FATAL:
            raise SourceError(
                "The agent does not start with this mapping file: "
                f"{printable(first.place)} {printable(first.message)}.",
                hint="`port-hook port-agent --check FILE` lists all problems.",
            )


class WatchedMappings:
    """A mapping file that a user edits. The constructor raises UsageError if there is no file to watch."""

    def __init__(self, choice: MappingChoice) -> None:
        name = choice.find()
        if name is None:
            raise SourceError(
                "Mapping file not found, so port-hook cannot watch it.", hint="Pass it with --mapping FILE."
            )
        self.name = name
        self._choice = choice
        self._version: FileVersion | None = None

    def has_changed(self) -> bool:
        """Return whether the file has changed since the last call. The first call returns True."""
        before, self._version = self._version, self._find_version()
        return self._version != before

    def read(self) -> tuple[AgentMapping, ...] | None:
        """Return the mappings. If the file cannot be used, report the reason and return None."""
        self._choice.runtime.memory.told.clear()
        try:
            return self._choice.read()
        except PortHookError as problem:  # the file is being edited
            self._choice.say(Remark(RemarkKind.ERROR, problem.message))
            return None

    def _find_version(self) -> FileVersion:
        """Return values that change when the file is saved."""
        try:
            found = (self._choice.runtime.cwd / self.name).stat()
        except OSError as error:  # an editor may replace the file
            return (error.errno,)
        return (found.st_mtime_ns, found.st_size, found.st_ino)


@frozen
class StreamMappings:
    """The mappings of a stream of messages, and their file if it is watched."""

    current: tuple[AgentMapping, ...]
    watched: WatchedMappings | None = None


def stream_mappings(choice: MappingChoice, *, watch: bool) -> StreamMappings:
    """Return the mappings, which may be watched. Raises UsageError.

    Call this function before the event loop runs, because it may read stdin.
    """
    watched = WatchedMappings(choice) if watch else None
    if watched is not None:
        watched.has_changed()  # so that a change while the file is read counts as one
    return StreamMappings(choice.read(), watched)


@frozen
class CheckedMappings:
    """The mappings of a mapping file, and all problems of the file."""

    mappings: tuple[AgentMapping, ...]
    problems: tuple[MappingProblem, ...]

    @property
    def worst(self) -> Severity | None:
        """The severity of the worst problem, or None."""
        found = {problem.severity for problem in self.problems}
        return next((each for each in Severity if each in found), None)


def check_mappings(name: str, runtime: Runtime) -> CheckedMappings:
    """Return the mappings of a file and the problems of the file, without running an expression.

    Raises StoreError and UsageError for a file that cannot be read or is not JSON.
    """
    mappings, problems = _load(name, runtime)
    return CheckedMappings(mappings, (*problems, *_expression_problems(mappings), *mapping_notes(mappings)))


def _expression_problems(mappings: Sequence[AgentMapping]) -> Iterator[MappingProblem]:
    """Yield the expressions that the agent's jq cannot compile."""
    pairs = [pair for mapping in mappings for pair in mapping.expressions]
    with AgentJq({}) as jq:
        for (place, text), error in zip(pairs, jq.compile_errors([text for _, text in pairs]), strict=True):
            if error:
                hint = correction(text)
                message = f"is always null: {error}{f'; {hint}' if hint else ''}"
                yield MappingProblem(place=place, message=message, severity=Severity.ERROR)
