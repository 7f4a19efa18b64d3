"""The journal's entry for one retargeted action or workflow node, its text format, and the outcome of a restore."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field, replace
from enum import StrEnum, unique
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from port_hook_cli.actions.retargeting import Rejection, Standing, UrlChange, plan_change, settable, standing, value_at
from port_hook_cli.errors import PortHookError, UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.targets import path_and_query, sendable_url
from port_hook_cli.workflows.retargeting import (
    changed_fields,
    node_settings,
    node_standing,
    plan_node_change,
    pointed_fields,
    restored_workflow,
)

SCHEMA = "port-hook/retarget/1"
# An earlier version of port-hook must reject the entry of a node, because it would read it as the entry of an action.
_NODE_SCHEMA = "port-hook/retarget/2"
_NODE_MARK = "#"
_NOT_AN_ENTRY = "it is not an entry of the journal, or its version is later"


class BadEntry(ValueError):
    """The text is not a journal entry of this version. The message is the reason."""


@unique
class EntryKind(StrEnum):
    """The kind of object that an entry is about."""

    ACTION = "action"
    WORKFLOW_NODE = "workflow-node"


def split_name(name: str) -> tuple[str, str]:
    """Return the identifiers in `ACTION` or `WORKFLOW#NODE`. The second identifier is empty for an action.

    Raises UsageError if an identifier is missing.
    """
    identifier, mark, node = name.partition(_NODE_MARK)
    if not identifier or (mark and not node):
        raise UsageError(
            f"--retarget {name} is neither an action nor a workflow node.",
            hint="Use the identifier of an action, or WORKFLOW#NODE for a workflow node.",
        )
    return identifier, node


@frozen(kw_only=True)
class Entry:
    """An action or workflow node during its retargeting, or just before.

    The entry contains no credentials of port-hook.

    `identifier` is the identifier of the action or workflow. `node` is empty for an action. `original` is the action's
    definition before the first change, or the `node_settings` of the node. `urls` are the URLs that the action or node
    may have now: the last URL that port-hook set, and the next URL. `left` is like `original`, but after the last
    change. `at` is the time of the first change in seconds since the epoch.
    """

    identifier: str
    api_url: str
    original: Mapping[str, Any] = field(repr=False)
    node: str = ""
    urls: tuple[str, ...] = ()
    left: Mapping[str, Any] | None = field(default=None, repr=False)
    pid: int = 0
    at: float = 0.0

    @property
    def kind(self) -> EntryKind:
        """The kind of the entry."""
        return EntryKind.WORKFLOW_NODE if self.node else EntryKind.ACTION

    @property
    def name(self) -> str:
        """The identifier of the action, or `WORKFLOW#NODE`, in the format of `--retarget`."""
        return f"{self.identifier}{_NODE_MARK}{self.node}" if self.node else self.identifier

    @property
    def original_url(self) -> str:
        """The URL before the first change."""
        return str(value_at(self.original, ("config" if self.node else "invocationMethod", "url")))

    @property
    def owner_id(self) -> str:
        """Port's ID of the action or of the workflow's organization, because organizations may use the same names."""
        return str(self.original.get("orgId" if self.node else "id") or "")

    def url_at(self, public_url: str) -> str:
        """Return the URL to set: `public_url`, with the original path and query if it has none of its own."""
        target = self.target
        is_bare = urlsplit(public_url).path in {"", "/"} and not urlsplit(public_url).query
        return public_url.rstrip("/") + target if is_bare and target != "/" else public_url

    @property
    def target(self) -> str:
        """The path and query of the URL before the first change, as a client sends them."""
        return path_and_query(sendable_url(self.original_url))

    def beginning(self, shown: Mapping[str, Any]) -> Self:
        """Return the entry with its original taken from `shown`, the definition of the action or workflow in Port."""
        return replace(self, original=self._kept(shown) or {})

    def intending(self, url: str) -> Self:
        """Return the entry to write before the URL is set to `url`."""
        return replace(self, urls=(*(known for known in self.urls if known != url), url))

    def marked(self, url: str, shown: Mapping[str, Any]) -> Self:
        """Return the entry to write after Port has accepted `url` and returned the definition `shown`."""
        return replace(self, urls=(url,), left=self._kept(shown))

    def standing_of(self, now: Mapping[str, Any]) -> Standing:
        """Return how the definition `now` of the action or workflow compares with the entry."""
        if self.node:
            return node_standing(now, self.node, self.original, urls=self.urls, left=self.left)
        return standing(now, self.original, urls=self.urls, left=self.left)

    def change_to(self, url: str, now: Mapping[str, Any]) -> UrlChange | Rejection:
        """Return the change that sets the URL to `url`, or why the change is impossible.

        An action is changed from its original, and a node is changed in the workflow `now`.
        """
        if self.node:
            return plan_node_change(now, self.node, url, original=self.original or None)
        return plan_change(self.original, url)

    def restored(self, now: Mapping[str, Any]) -> dict[str, Any]:
        """Return the body of the PUT that restores the original: an action, or the workflow `now` with the old node."""
        return restored_workflow(now, self.node, self.original) if self.node else settable(self.original)

    def compared(self, shown: Mapping[str, Any]) -> dict[str, Any]:
        """Return the compared part of an action or workflow.

        For a workflow, this part contains only the fields to set.
        """
        if not self.node:
            return settable(shown)
        settings = node_settings(shown, self.node)
        return {} if settings is None else changed_fields(settings, self.original)

    def compared_original(self) -> dict[str, Any]:
        """Return the compared part of the original."""
        return changed_fields(self.original, self.original) if self.node else settable(self.original)

    def compared_left(self) -> dict[str, Any]:
        """Return the compared part in the state that port-hook left or would have left."""
        if self.left is not None:
            return changed_fields(self.left, self.original) if self.node else settable(self.left)
        url = self.urls[-1] if self.urls else ""
        if self.node:
            return pointed_fields(self.original, url)
        change = plan_change(self.original, url)
        return dict(change.body) if isinstance(change, UrlChange) else {}

    def _kept(self, shown: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return node_settings(shown, self.node) if self.node else shown


class PlannedChange(NamedTuple):
    """The effect of setting a URL: the entry, the action or workflow `now`, and its definition after the `change`."""

    entry: Entry
    now: Mapping[str, Any]
    change: UrlChange


def write_entry(entry: Entry) -> str:
    """Return the entry as a line of ASCII JSON.

    The line contains the documents as strings, so that they stay unchanged.
    """
    document = {
        "schema": _schema(entry.kind),
        "kind": entry.kind,
        "identifier": entry.identifier,
        "node": entry.node,
        "api_url": entry.api_url,
        "original": json.dumps(entry.original),
        "left": None if entry.left is None else json.dumps(entry.left),
        "urls": list(entry.urls),
        "pid": entry.pid,
        "at": entry.at,
    }
    return json.dumps(document) + "\n"


def read_entry(text: str) -> Entry:
    """Return the entry from the text that `write_entry` returned. Raises BadEntry for any other text.

    Earlier versions of port-hook did not write `kind`. Their entries are about actions.
    """
    try:
        document = json.loads(text)
        schema, kind = document["schema"], document.get("kind", EntryKind.ACTION)
        entry = _entry(document)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadEntry(_NOT_AN_ENTRY) from None
    texts = (entry.identifier, entry.node, entry.api_url, *entry.urls)
    documents = (entry.original, {} if entry.left is None else entry.left)
    is_whole = all(isinstance(part, str) for part in texts) and all(isinstance(part, dict) for part in documents)
    if not is_whole or kind != entry.kind or schema != _schema(entry.kind) or not _has_settings(entry):
        raise BadEntry(_NOT_AN_ENTRY)
    return entry


def _schema(kind: EntryKind) -> str:
    return _NODE_SCHEMA if kind is EntryKind.WORKFLOW_NODE else SCHEMA


def _has_settings(entry: Entry) -> bool:
    """Return whether the settings of a node are complete. An action doesn't need settings."""
    kept = [entry.original] if entry.left is None else [entry.original, entry.left]
    return not entry.node or all(isinstance(value_at(each, ("config", "url")), str) for each in kept)


def _entry(document: Mapping[str, Any]) -> Entry:
    left = document["left"]
    return Entry(
        identifier=document["identifier"],
        node=document.get("node", ""),
        api_url=document["api_url"],
        original=json.loads(document["original"]),
        left=None if left is None else json.loads(left),
        urls=tuple(document["urls"]),
        pid=document["pid"],
        at=document["at"],
    )


@unique
class End(StrEnum):
    """How a restore ended. Except for the first two values, Port is unchanged, and the entry stays in the journal."""

    RESTORED = "restored"
    UNTOUCHED = "untouched"  # the action or node already had its original URL
    CHANGED = "changed"  # someone else changed the action or node
    ANOTHER = "another"  # the identifier now belongs to another action or organization
    REMOVED = "removed"  # the workflow no longer has this WEBHOOK node
    FAILED = "failed"
    ELSEWHERE = "elsewhere"  # the entry belongs to another API
    IN_USE = "in-use"  # another process has claimed the entry in the meantime


@frozen(kw_only=True)
class Outcome:
    """The outcome of a restore for one action or workflow node.

    `now` is the definition of the action or workflow in Port, if known. `version` is the new version of a restored
    workflow, if known. `problem` explains why the restore failed.
    """

    entry: Entry
    end: End
    now: Mapping[str, Any] | None = field(default=None, repr=False)
    version: int | None = None
    problem: PortHookError | None = None

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to restore."""
        return self.end in {End.RESTORED, End.UNTOUCHED}
