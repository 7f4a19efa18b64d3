"""What the journal knows of one retargeted action, and the text that it is kept as."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from port_hook_cli.actions.retargeting import Standing, standing

SCHEMA = "port-hook/retarget/1"


class BadEntry(ValueError):
    """A text that is no entry of this version; says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An action that was, or is about to be, pointed at a listener. It holds no credentials.

    `original` is the action as Port showed it before the first change. `urls` are those that it may point at now:
    what was set last, and what was about to be set. `left` is the action as Port showed it after the last change,
    `at` the time of the first one in seconds since the epoch.
    """

    identifier: str
    api_url: str
    original: Mapping[str, Any] = field(repr=False)
    urls: tuple[str, ...] = ()
    left: Mapping[str, Any] | None = field(default=None, repr=False)
    pid: int = 0
    at: float = 0.0

    def intending(self, url: str) -> Self:
        """Return the entry to write before the action is pointed at `url`."""
        return replace(self, urls=(*(known for known in self.urls if known != url), url))

    def marked(self, url: str, left: Mapping[str, Any]) -> Self:
        """Return the entry to write when Port has taken `url` and shows the action as `left`."""
        return replace(self, urls=(url,), left=left)

    def standing_of(self, now: Mapping[str, Any]) -> Standing:
        """Return what the action `now` is found as."""
        return standing(now, self.original, urls=self.urls, left=self.left)


def write_entry(entry: Entry) -> str:
    """Return the entry as a line of ASCII JSON. The documents stand in it as texts, exactly as they were read."""
    document = {
        "schema": SCHEMA,
        "identifier": entry.identifier,
        "api_url": entry.api_url,
        "original": json.dumps(entry.original),
        "left": None if entry.left is None else json.dumps(entry.left),
        "urls": list(entry.urls),
        "pid": entry.pid,
        "at": entry.at,
    }
    return json.dumps(document) + "\n"


def read_entry(text: str) -> Entry:
    """Return the entry that `write_entry` wrote; raises BadEntry for anything else."""
    try:
        document = json.loads(text)
        schema, entry = document["schema"], _entry(document)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadEntry("it is no entry of a journal, or a newer one") from None
    texts = (entry.identifier, entry.api_url, *entry.urls)
    documents = (entry.original, {} if entry.left is None else entry.left)
    is_whole = all(isinstance(part, str) for part in texts) and all(isinstance(part, dict) for part in documents)
    if schema != SCHEMA or not is_whole:
        raise BadEntry("it is no entry of a journal, or a newer one")
    return entry


def _entry(document: Mapping[str, Any]) -> Entry:
    left = document["left"]
    return Entry(
        identifier=document["identifier"],
        api_url=document["api_url"],
        original=json.loads(document["original"]),
        left=None if left is None else json.loads(left),
        urls=tuple(document["urls"]),
        pid=document["pid"],
        at=document["at"],
    )
