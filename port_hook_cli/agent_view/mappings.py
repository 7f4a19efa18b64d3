"""The mappings of a session: read from their file, and read again when it changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from port_hook_cli.agent_view.inputs import load_mappings, mapping_file
from port_hook_cli.agent_view.session import AgentSession
from port_hook_cli.errors import PortHookError, UsageError
from port_hook_cli.prediction.mapping import AgentMapping, MappingProblem, Severity
from port_hook_cli.terminal.console import tell
from port_hook_cli.text.safe import printable

_MOST_PROBLEMS = 20
FileVersion: TypeAlias = tuple[int | None, ...]


def session_mappings(session: AgentSession) -> tuple[AgentMapping, ...]:
    """Return the mappings, and print their problems; raises UsageError if the agent does not start with them."""
    name = mapping_file(session.plan, session.runtime)
    line = f"note: mappings from {name}" if name else "note: no mapping file, so the agent's default mappings are used"
    if session.plan.mapping is None and session.runtime.memory.is_new(line):
        tell(printable(line), session.runtime)
    mappings, problems = load_mappings(name, session.runtime)
    for problem in problems[:_MOST_PROBLEMS]:
        text = f"{'error' if problem.severity is Severity.FATAL else 'warning'}: {problem.place} {problem.message}"
        if session.runtime.memory.is_new(text):
            tell(printable(text), session.runtime)
    if len(problems) > _MOST_PROBLEMS:
        tell(f"warning: {len(problems) - _MOST_PROBLEMS:,} more problems; --check lists all", session.runtime)
    _refuse_fatal(problems)
    return mappings


def _refuse_fatal(problems: Sequence[MappingProblem]) -> None:
    for first in problems:
        if first.severity is Severity.FATAL:
            raise UsageError(
                "The agent does not start with this mapping file: "
                f"{printable(first.place)} {printable(first.message)}.",
                hint="`port-hook agent --check FILE` lists all problems.",
            )


class WatchedMappings:
    """A mapping file that a user edits. Raises UsageError if there is none to watch."""

    def __init__(self, session: AgentSession) -> None:
        name = mapping_file(session.plan, session.runtime)
        if name is None:
            raise UsageError("There is no mapping file to watch.", hint="Name it with --mapping FILE.")
        self.name = name
        self._session = session
        self._version: FileVersion | None = None

    def has_changed(self) -> bool:
        """Return whether the file has changed since the last call. The first call returns True."""
        before, self._version = self._version, self._find_version()
        return self._version != before

    def read(self) -> tuple[AgentMapping, ...] | None:
        """Return the mappings. If the file cannot be used, print why and return None."""
        self._session.runtime.memory.told.clear()
        try:
            return session_mappings(self._session)
        except PortHookError as problem:  # the file is being edited
            tell(f"error: {problem.message}", self._session.runtime)
            return None

    def _find_version(self) -> FileVersion:
        """Return values that change when the file is saved."""
        try:
            found = (self._session.runtime.cwd / self.name).stat()
        except OSError as error:  # an editor may replace the file
            return (error.errno,)
        return (found.st_mtime_ns, found.st_size, found.st_ino)


@dataclass(frozen=True, slots=True)
class StreamMappings:
    """The mappings of a stream of messages, and their file if it is watched."""

    current: tuple[AgentMapping, ...]
    watched: WatchedMappings | None


def stream_mappings(session: AgentSession) -> StreamMappings:
    """Return the mappings; raises UsageError. Call it before the event loop runs, because it may read stdin."""
    watched = WatchedMappings(session) if session.plan.watch else None
    if watched is not None:
        watched.has_changed()  # so that a change while the file is read counts as one
    return StreamMappings(session_mappings(session), watched)
