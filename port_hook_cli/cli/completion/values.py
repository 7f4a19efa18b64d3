"""The values that completion offers: from the capture store and the files of this folder, never from Port."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

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
_LAST = Candidate("last", "the newest capture")
_LAST_RUN = Candidate("last", "the run of the newest capture")


class Surroundings:
    """Where values come from: the folder, and the capture store that the line names."""

    def __init__(self, line: IncompleteLine, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._start = line.start
        names = (f"PORT_HOOK_{line.command.upper().replace('-', '_')}_STORE", "PORT_HOOK_STORE")
        self._store = line.given.get("--store") or next((environ[name] for name in names if environ.get(name)), None)

    def captures(self) -> Iterator[Candidate]:
        """Yield the ids of the newest captures."""
        yield _LAST
        for capture in self._recent():
            if is_word(capture.id):
                yield Candidate(capture.id, _describe(capture))

    def captures_and_files(self) -> Iterator[Candidate]:
        """Yield captures, and files of this folder if a name was begun, because then the shell does not offer files."""
        yield from self.captures()
        yield from self.files()

    def runs(self) -> Iterator[Candidate]:
        """Yield the ids of the runs of the newest captures."""
        for capture in self._recent():
            if is_word(capture.run_id):
                yield Candidate(str(capture.run_id), _describe(capture))

    def runs_to_report(self) -> Iterator[Candidate]:
        """Yield what `report-run` accepts: `last` and run ids."""
        yield _LAST_RUN
        yield from self.runs()

    def sources(self) -> Iterator[Candidate]:
        """Yield what `replay` accepts: captures, run ids and files."""
        yield from self.captures()
        yield from self.runs()
        yield from self.files()

    def captured_actions(self) -> Iterator[Candidate]:
        """Yield the identifiers of the actions of the newest captures."""
        for capture in self._recent():
            if is_word(capture.action):
                yield Candidate(str(capture.action), "captured here")

    def names(self) -> Iterator[Candidate]:
        """Yield the actions, and the workflow nodes (WORKFLOW#NODE), of the files and captures here."""
        for found in definitions_in(self._folder):
            yield from (Candidate(name, f"in {found.file}") for name in found.names)
        yield from self.captured_actions()

    def rules(self) -> Iterator[Candidate]:
        """Yield the names as the first half of `NAME=URL`."""
        for name, description in self.names():
            yield Candidate(f"{name}=", description)

    def definitions(self) -> Iterator[Candidate]:
        """Yield what `trigger` accepts: files of actions and workflows, and the names in them."""
        for found in definitions_in(self._folder):
            name = f"{found.file}#{found.identifier}" if found.has_others else found.file
            yield Candidate(name, f"{found.kind} {found.identifier}")
        yield from self.names()
        yield from self.files()

    def _recent(self) -> list[RecentCapture]:
        from port_hook_cli.captures.store.recent import recent_captures

        return recent_captures(None if self._store is None else Path(self._store), self._folder)

    def files(self) -> Iterator[Candidate]:
        """Yield the files of this folder whose names begin as typed, if anything is typed."""
        if not self._start or "/" in self._start:
            return
        with os.scandir(self._folder) as entries:
            found = sorted(entry.name for entry in entries if entry.name.startswith(self._start) and entry.is_file())
        yield from (Candidate(name) for name in found[:_MAX_FILES] if is_word(name) and not name.endswith("="))


def _describe(capture: RecentCapture) -> str:
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(capture.received_at))
    return plain_description(f"{moment} {capture.action or capture.method} {capture.status}")


def values_of(line: IncompleteLine, folder: Path, environ: Mapping[str, str]) -> Iterator[Candidate]:
    """Yield the values of the option or argument that a line ends in."""
    option = next((each for each in options_of(line.command) if each.names[0] == line.place), None)
    argument = next((each for each in arguments_of(line.command) if each.name == line.place), None)
    place = option or argument
    if place and place.completes:
        yield from getattr(Surroundings(line, folder, environ), place.completes)()
    if option:
        yield from map(Candidate, option.choices)


def takes_files(line: IncompleteLine) -> bool:
    """Return whether the word may also be a file's name."""
    places = [(option.names[0], option.value) for option in options_of(line.command)]
    if line.command:
        places += [(argument.name, argument.value) for argument in arguments_of(line.command)]
    value = dict(places).get(line.place, "")
    return (line.command, line.place) in _NAMES_OR_FILES or any(mark in value for mark in _FILES)


_FOLDERS = ("", "actions", "workflows")
_SUFFIXES = (".json", ".yaml", ".yml")
_MAX_ENTRIES = 500
_MAX_DEFINITION_FILES = 40
_MAX_FILE = 256 * 1024
_MAX_TOTAL = 1024 * 1024
_MAX_NODES = 50
_WEBHOOK = "WEBHOOK"
_YAML_NAME = re.compile(r"""(?m)^(?:- )?identifier:[ \t]*["']?([\w.@/+-]+)["']?[ \t]*$""")
_YAML_NODE = re.compile(r"""(?m)^[ \t]+- identifier:[ \t]*["']?([\w.@/+-]+)["']?[ \t]*$""")
_YAML_WEBHOOK = re.compile(r"""\btype:[ \t]*["']?WEBHOOK\b""")
_YAML_ACTION = re.compile(r"(?m)^(?:- |  )?invocationMethod:")
_YAML_WORKFLOW = re.compile(r"(?m)^(?:- |  )?nodes:")


class FoundDefinition(NamedTuple):
    """An action or workflow in a file.

    `names` are what can be retargeted: the action, or the workflow's WEBHOOK nodes (`WORKFLOW#NODE`). `has_others` says
    that the file contains other definitions, too.
    """

    identifier: str
    file: str
    kind: str
    names: Sequence[str]
    has_others: bool = False


def definitions_in(folder: Path) -> Iterator[FoundDefinition]:
    """Yield the readable definitions in a folder and in its folders `actions` and `workflows`."""
    left = _MAX_TOTAL
    for name in islice(_files(folder), _MAX_DEFINITION_FILES):
        content = _read(folder / name, min(left, _MAX_FILE))
        left -= len(content)
        found = [one for one in _definitions(name, content) if is_word(one.identifier)]
        yield from (one._replace(has_others=len(found) > 1) for one in found)


def _files(folder: Path) -> Iterator[str]:
    for part in _FOLDERS:
        with suppress(OSError), os.scandir(folder / part) as entries:
            names = sorted(entry.name for entry in islice(entries, _MAX_ENTRIES) if entry.name.endswith(_SUFFIXES))
            yield from (name for name in (f"{part}/{name}" if part else name for name in names) if is_word(name))


def _read(path: Path, limit: int) -> bytes:
    """Return the content of a regular file of limited size, else nothing: reading a pipe could block indefinitely."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return b""
    try:
        status = os.fstat(descriptor)
        return os.read(descriptor, limit) if stat.S_ISREG(status.st_mode) and status.st_size <= limit else b""
    finally:
        os.close(descriptor)


def _definitions(name: str, content: bytes) -> Iterator[FoundDefinition]:
    text = content.decode("utf-8-sig", "replace")
    if name.endswith(".json"):
        yield from _in_json(name, text)
    else:
        yield from _in_yaml(name, text)


def _in_json(name: str, text: str) -> Iterator[FoundDefinition]:
    import json

    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return
    for one in document if isinstance(document, list) else [document]:
        if isinstance(one, dict) and isinstance(one.get("identifier"), str):
            yield from _definition(name, one)


def _definition(name: str, document: dict[str, Any]) -> Iterator[FoundDefinition]:
    identifier, nodes = document["identifier"], document.get("nodes")
    if isinstance(nodes, list):
        yield _workflow(name, identifier, [node["identifier"] for node in nodes if _is_webhook(node)])
    elif "invocationMethod" in document:
        yield _action(name, identifier)


def _is_webhook(node: object) -> bool:
    if not isinstance(node, dict) or "identifier" not in node:
        return False
    config = node.get("config")
    return isinstance(config, dict) and config.get("type") == _WEBHOOK


def _in_yaml(name: str, text: str) -> Iterator[FoundDefinition]:
    """Yield what a YAML file in the usual layout defines: parsing YAML takes too long for completion."""
    names = _YAML_NAME.findall(text)
    if _YAML_ACTION.search(text):
        yield from (_action(name, identifier) for identifier in names)
    elif _YAML_WORKFLOW.search(text) and len(names) == 1:
        _, *parts = _YAML_NODE.split(text)
        nodes = zip(parts[::2], parts[1::2], strict=True)
        yield _workflow(name, names[0], [node for node, rest in nodes if _YAML_WEBHOOK.search(rest)])


def _action(file: str, identifier: str) -> FoundDefinition:
    return FoundDefinition(identifier, file, "action", (identifier,))


def _workflow(file: str, identifier: str, nodes: Sequence[object]) -> FoundDefinition:
    names = [f"{identifier}#{node}" for node in nodes[:_MAX_NODES] if is_word(node)]
    return FoundDefinition(identifier, file, "workflow", [name for name in names if is_word(name)])
