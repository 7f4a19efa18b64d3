"""The journal's entry for one retargeted action, and its text format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from port_hook_cli.actions.retargeting import Standing, standing

SCHEMA = "port-hook/retarget/1"


class BadEntry(ValueError):
    """A text that is not an entry of this version; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An action that was, or is about to be, retargeted. It contains no credentials.

    `original` is the action as Port showed it before the first change. `urls` are the URLs that it may have now: the
    last one that was set, and the next one. `left` is the action as Port showed it after the last change. `at` is the
    time of the first change in seconds since the epoch.
    """

    identifier: str
    api_url: str
    original: Mapping[str, Any] = field(repr=False)
    urls: tuple[str, ...] = ()
    left: Mapping[str, Any] | None = field(default=None, repr=False)
    pid: int = 0
    at: float = 0.0

    def intending(self, url: str) -> Self:
        """Return the entry to write before the action is retargeted to `url`."""
        return replace(self, urls=(*(known for known in self.urls if known != url), url))

    def marked(self, url: str, left: Mapping[str, Any]) -> Self:
        """Return the entry to write after Port has accepted `url` and shows the action as `left`."""
        return replace(self, urls=(url,), left=left)

    def standing_of(self, now: Mapping[str, Any]) -> Standing:
        """Return how the action `now` compares with the entry."""
        return standing(now, self.original, urls=self.urls, left=self.left)


def write_entry(entry: Entry) -> str:
    """Return the entry as a line of ASCII JSON. The documents are strings in it, so that they stay exactly as read."""
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
    """Return the entry from a text of `write_entry`; raises BadEntry for any other text."""
    try:
        document = json.loads(text)
        schema, entry = document["schema"], _entry(document)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadEntry("it is not an entry of the journal, or its version is newer") from None
    texts = (entry.identifier, entry.api_url, *entry.urls)
    documents = (entry.original, {} if entry.left is None else entry.left)
    is_whole = all(isinstance(part, str) for part in texts) and all(isinstance(part, dict) for part in documents)
    if schema != SCHEMA or not is_whole:
        raise BadEntry("it is not an entry of the journal, or its version is newer")
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
