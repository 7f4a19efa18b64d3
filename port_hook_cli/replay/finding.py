"""The sources of a replay: what a name means, and the captures that the handler failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from port_hook_cli.captures.store.finder import Finder, FoundRequest
from port_hook_cli.captures.store.statements import StoreFilter
from port_hook_cli.errors import StoreError
from port_hook_cli.invocations.http_text import RawRequest
from port_hook_cli.invocations.models import Exchange
from port_hook_cli.replay.sources import ReplaySource, from_exchange, from_payload, from_request, from_run

if TYPE_CHECKING:
    from port_hook_cli.captures.store.capture_store import CaptureStore
    from port_hook_cli.port_api.access import PortAccess

_FAILED = 500
_MOST_BYTES = 256 * 1024 * 1024


async def find_source(name: str, finder: Finder, access: PortAccess) -> ReplaySource:
    """Return what `name` names as a source. Raises UsageError, StoreError, SettingsError and PortApiError."""
    return source_of(await finder.find_or_get(name, access), finder)


def source_of(found: FoundRequest, finder: Finder) -> ReplaySource:
    """Return what the finder found as a source. Raises StoreError for content that cannot be sent."""
    name, content = found.name, found.content
    if isinstance(content, Exchange):
        last_target = finder.last_target() if found.is_stored else None
        return from_exchange(name, content, last_target=last_target, is_stored=found.is_stored)
    if isinstance(content, RawRequest):
        return from_request(name, content)
    return from_payload(name, content) if isinstance(content, bytes) else from_run(name, content)


class FailedSources(NamedTuple):
    """The captures to send again, and how many were left out because a replay of them did not fail."""

    sources: list[ReplaySource]
    done: int


def find_failed(captures: CaptureStore, since_s: float | None) -> FailedSources:
    """Return the captures that the handler failed, oldest first, without those whose latest replay did not fail.

    Replays themselves are left out. Raises StoreError, even for captures that would take too much memory.
    """
    replayed, last_target = captures.replayed(), captures.last_target()
    sources: list[ReplaySource] = []
    done = size = 0
    for exchange in captures.select(StoreFilter(failed=True, originals=True, since_s=since_s), oldest=True):
        if (replayed.get(exchange.invocation.id) or _FAILED) < _FAILED:
            done += 1
            continue
        size += len(exchange.invocation.body)
        if size > _MOST_BYTES:
            raise StoreError("The captures that failed have more than 256 MiB.", hint="Send fewer with --since.")
        sources.append(from_exchange(exchange.invocation.id, exchange, last_target=last_target, is_stored=True))
    return FailedSources(sources, done)
