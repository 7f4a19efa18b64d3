"""The values that completion offers. They come from the capture store and files in the current directory, not Port."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from port_hook_cli.captures.latest import LAST, LAST_REPLAY
from port_hook_cli.cli.completion.line import (
    Candidate,
    IncompleteLine,
    arguments_of,
    is_word,
    options_of,
    plain_description,
)

if TYPE_CHECKING:
    from port_hook_cli.captures.store.recent import RecentCapture


_MAX_FILES = 50
_FILES = ("FILE", "PATH", "CAPTURE", "SOURCE", "TEMPLATE", "PAYLOAD", "ID...")
_NAMES_OR_FILES = (("trigger", "action"), ("agent", "source"))
_NAMED_FILE = "NAME=FILE"
_LATEST = (Candidate(LAST, "the latest received request"), Candidate(LAST_REPLAY, "the latest replay"))
_LAST_RUN = Candidate(LAST, "the run of the latest verified request")


class Surroundings:
    """The sources of values: the current directory, and the capture store of the command line."""

    def __init__(self, line: IncompleteLine, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._start = line.start
        names = (f"PORT_HOOK_{line.command.upper().replace('-', '_')}_STORE", "PORT_HOOK_STORE")
        self._store = line.given.get("--store") or next((environ[name] for name in names if environ.get(name)), None)

    def captures(self) -> Iterator[Candidate]:
        """Yield the IDs of the latest captures."""
        yield from _LATEST
        for capture in self._recent():
            if is_word(capture.id):
                yield Candidate(capture.id, _describe(capture))

    def captures_and_files(self) -> Iterator[Candidate]:
        """Yield captures. If a name was begun, yield files too, because the shell then doesn't offer them."""
        yield from self.captures()
        yield from self.files()

    def runs(self) -> Iterator[Candidate]:
        """Yield the run IDs of the latest captures."""
        for capture in self._recent():
            if is_word(capture.run_id):
                yield Candidate(str(capture.run_id), _describe(capture))

    def runs_to_report(self) -> Iterator[Candidate]:
        """Yield the values that `report-run` accepts: `last` and run IDs."""
        yield _LAST_RUN
        yield from self.runs()

    def sources(self) -> Iterator[Candidate]:
        """Yield the values that `replay` accepts: captures, run IDs and files."""
        yield from self.captures()
        yield from self.runs()
        yield from self.files()

    def check_sources(self) -> Iterator[Candidate]:
        """Yield the values that `check` accepts: captures, actions, workflow nodes and files."""
        yield from self.captures()
        yield from self.definitions()

    def captured_actions(self) -> Iterator[Candidate]:
        """Yield the identifiers of the actions in the latest captures."""
        for capture in self._recent():
            if is_word(capture.action):
                yield Candidate(str(capture.action), "captured here")

    def names(self) -> Iterator[Candidate]:
        """Yield the actions and workflow nodes (WORKFLOW#NODE) in the files and captures of the current directory."""
        from port_hook_cli.cli.completion.definitions import find_definitions

        for found in find_definitions(self._folder):
            yield from (Candidate(name, f"in {found.file}") for name in found.names)
        yield from self.captured_actions()

    def rules(self) -> Iterator[Candidate]:
        """Yield the names of `names` as the first half of `NAME=URL`."""
        for name, description in self.names():
            yield Candidate(f"{name}=", description)

    def definitions(self) -> Iterator[Candidate]:
        """Yield the values that `trigger` accepts: files with actions and workflows, and the names in these files."""
        from port_hook_cli.cli.completion.definitions import find_definitions

        for found in find_definitions(self._folder):
            name = f"{found.file}#{found.identifier}" if found.has_others else found.file
            yield Candidate(name, f"{found.kind} {found.identifier}")
        yield from self.names()
        yield from self.files()

    def run_files(self) -> Iterator[Candidate]:
        """Yield the values of `--with` after its name: files, and `last` for outputs."""
        name, equals, start = self._start.partition("=")
        if name == "outputs":
            yield Candidate(f"{name}={LAST}", "the outputs of the latest run")
        if start:
            yield from self._files(start, name + equals)

    def input_files(self) -> Iterator[Candidate]:
        """If `@` was typed, yield the files of the current directory with inputs."""
        if self._start.startswith("@"):
            yield from self._files(self._start[1:], "@")

    def _recent(self) -> list[RecentCapture]:
        from port_hook_cli.captures.store.recent import recent_captures

        return recent_captures(None if self._store is None else Path(self._store), self._folder)

    def files(self) -> Iterator[Candidate]:
        """If a name was begun, yield the matching files of the current directory."""
        if self._start:
            yield from self._files(self._start)

    def _files(self, start: str, before: str = "") -> Iterator[Candidate]:
        if "/" in start:
            return
        with os.scandir(self._folder) as entries:
            found = sorted(entry.name for entry in entries if entry.name.startswith(start) and entry.is_file())
        yield from (Candidate(before + name) for name in found[:_MAX_FILES] if is_word(name) and not name.endswith("="))


def _describe(capture: RecentCapture) -> str:
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(capture.received_at))
    return plain_description(f"{moment} {capture.action or capture.method} {capture.status}")


def values_of(line: IncompleteLine, folder: Path, environ: Mapping[str, str]) -> Iterator[Candidate]:
    """Yield the values of the option or argument at the end of a line."""
    option = next((each for each in options_of(line.command) if each.names[0] == line.place), None)
    argument = next((each for each in arguments_of(line.command) if each.name == line.place), None)
    place = option or argument
    if place and place.completes:
        yield from getattr(Surroundings(line, folder, environ), place.completes)()
    if option:
        yield from map(Candidate, option.choices)


def takes_files(line: IncompleteLine) -> bool:
    """Return whether the next word may be the name of a file."""
    places = [(option.names[0], option.value) for option in options_of(line.command)]
    if line.command:
        places += [(argument.name, argument.value) for argument in arguments_of(line.command)]
    value = dict(places).get(line.place, "")
    if value == _NAMED_FILE:
        return "=" in line.start
    return (line.command, line.place) in _NAMES_OR_FILES or any(mark in value for mark in _FILES)
