"""The names of the actions and workflows in files of the current directory, for completion."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from port_hook_cli.cli.completion.line import is_word

_FOLDERS = ("", "actions", "workflows")
_SUFFIXES = (".json", ".yaml", ".yml")
_MAX_ENTRIES = 500
_MAX_FILES = 40
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

    `names` are the names that can be retargeted: the action, or the workflow's WEBHOOK nodes (`WORKFLOW#NODE`).
    `has_others` means that the file contains more definitions.
    """

    identifier: str
    file: str
    kind: str
    names: Sequence[str]
    has_others: bool = False


def find_definitions(folder: Path) -> Iterator[FoundDefinition]:
    """Yield the readable definitions in a directory and in its directories `actions` and `workflows`."""
    left = _MAX_TOTAL
    for name in islice(_files(folder), _MAX_FILES):
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
    """Return the content of a small regular file, or no bytes for any other file.

    Reading a pipe could block indefinitely.
    """
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
    for one in _listed(document):
        if isinstance(one, dict) and isinstance(one.get("identifier"), str):
            yield from _definition(name, one)


def _listed(document: Any) -> Iterator[Any]:
    """Yield the definitions in a document: a definition, an array, or a response of Port's API with either."""
    if isinstance(document, list):
        for each in document:
            yield from _listed(each) if isinstance(each, dict) else ()
    elif isinstance(document, dict) and "identifier" not in document:
        for noun in ("action", "workflow"):
            several, one = document.get(f"{noun}s"), document.get(noun)
            yield from several if isinstance(several, list) else ()
            yield from [one] if isinstance(one, dict) else ()
    else:
        yield document


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
    """Yield the definitions in a YAML file with the usual layout. Parsing YAML would take too long for completion."""
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
