"""Reads the sources of replays from the capture store or from Port, and saves replays in the store."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from port_hook_cli.captures.store.finder import Finder, FoundRequest, LateStore
from port_hook_cli.errors import StoreError
from port_hook_cli.invocations.http_text import RawRequest
from port_hook_cli.invocations.masking import masked_delivery, masked_request
from port_hook_cli.invocations.models import Capture, Delivery, Invocation, Response
from port_hook_cli.invocations.payload import is_run_id, read_payload
from port_hook_cli.invocations.probes import is_probe
from port_hook_cli.replay.rewriting import NOT_KEPT, KeptReplay
from port_hook_cli.replay.sources import ReplaySource, from_capture, from_payload, from_request, from_run
from port_hook_cli.signatures.verification import UNCHECKED, verify_signature
from port_hook_cli.text.secret import NO_SECRETS, Masker, Secret

if TYPE_CHECKING:
    from port_hook_cli.captures.store.capture_store import CaptureStore
    from port_hook_cli.captures.store.reader import StoreReader
    from port_hook_cli.port_api.access import PortAccess


_MOST_BYTES = 256 * 1024 * 1024
# Saving a replay deletes no captures, because only the listener enforces the limits of the store.
_NO_LIMIT = 2**50


async def find_source(name: str, finder: Finder, access: PortAccess) -> ReplaySource:
    """Return the source with this `name`.

    Raises UsageError, StoreError, SettingsError or PortApiError if the source is not found or cannot be sent.
    """
    return source_of(await finder.find_or_get(name, access))


def source_of(found: FoundRequest) -> ReplaySource:
    """Return the finder's result as a source. Raises StoreError for content that cannot be sent."""
    name, content = found.name, found.content
    if isinstance(content, Capture):
        return from_capture(name, content, is_stored=found.is_stored)
    if isinstance(content, RawRequest):
        return from_request(name, content)
    return from_payload(name, content) if isinstance(content, bytes) else from_run(name, content.get("payload"))


def find_failed(captures: StoreReader, since_s: float | None) -> tuple[list[ReplaySource], int, int, int]:
    """Return the captures whose handler failed, oldest first, unless their latest replay succeeded.

    Also return how many are left out because a later replay succeeded, the listener itself responded, or port-hook sent
    the request.

    Replays themselves are omitted, except those of `--missed`, which have no other capture. So are requests that the
    listener rejected: they may be forged, and a replay is newly signed. Raises StoreError, even for captures that would
    take too much memory.
    """
    from port_hook_cli.captures.store.statements import StoreFilter  # loads SQLite, so only if needed

    replayed = captures.replayed()
    sources: list[ReplaySource] = []
    done = unforwarded = replays = size = 0
    for capture in captures.select(StoreFilter(failed=True, since_s=since_s), oldest=True):
        original = capture.invocation.replay_of
        if is_probe(capture.invocation.headers) or not (original is None or is_run_id(original)):
            replays += 1
            continue
        if not capture.handler_failed:
            unforwarded += 1
            continue
        if replayed.get(capture.invocation.id):
            done += 1
            continue
        size += len(capture.invocation.body)
        if size > _MOST_BYTES:
            raise StoreError("The failed captures have more than 256 MiB of bodies.", hint="Send fewer with --since.")
        sources.append(from_capture(capture.invocation.id, capture, is_stored=True))
    return sources, done, unforwarded, replays


class ReplayKeeper:
    """Adds replays with their outcomes to a store. The first save opens the store. Close the keeper after use.

    With `creates`, a missing store is created. After a failure, the keeper stops saving and doesn't report the failure
    again. The secrets of `masker` are masked in the captures. The verdict is about the sent bytes, before
    masking.
    """

    def __init__(
        self, store: Path, secret: Secret | None, *, creates: bool = False, masker: Masker = NO_SECRETS
    ) -> None:
        self._path, self._secret, self._creates, self._masker = store, secret, creates, masker
        self._store = LateStore(self._open)
        self.close = self._store.close
        self._is_broken = False

    def open(self) -> None:
        """Open the store before the first save. Raises StoreError."""
        self._store.open()

    async def keep(self, request: Invocation, delivery: Delivery) -> KeptReplay:
        """Save a replay in this thread, unless a listener with the same store has captured it."""
        return self.save(request, delivery)

    def save(self, request: Invocation, delivery: Delivery) -> KeptReplay:
        """Save a replay like `keep`, for callers that run in a thread."""
        if self._is_broken:
            return NOT_KEPT
        try:
            return KeptReplay(
                save_replay(self._store.open(), request, delivery, secret=self._secret, masker=self._masker)
            )
        except StoreError as problem:
            self._is_broken = True
            return KeptReplay(problem=problem.message)

    def _open(self) -> CaptureStore:
        from port_hook_cli.captures.store.capture_store import open_store

        return open_store(
            self._path, self._path.parent, create=self._creates, max_captures=_NO_LIMIT, max_size=_NO_LIMIT
        )


async def kept_by_listener(request: Invocation, _: Delivery) -> KeptReplay:
    """Return the ID of a request that a listener in this process has captured."""
    return KeptReplay(request.id)


async def keep_in_thread(
    store: Path,
    secret: Secret | None,
    request: Invocation,
    delivery: Delivery,
    *,
    creates: bool = False,
    masker: Masker = NO_SECRETS,
) -> KeptReplay:
    """Save one replay in a store without blocking the event loop. The options are the same as for `ReplayKeeper`."""

    def save() -> KeptReplay:
        with closing(ReplayKeeper(store, secret, creates=creates, masker=masker)) as keeper:
            return keeper.save(request, delivery)

    return await asyncio.to_thread(save)


def save_replay(
    store: CaptureStore,
    request: Invocation,
    delivery: Delivery,
    *,
    secret: Secret | None,
    masker: Masker = NO_SECRETS,
) -> str:
    """Add a replay and return its ID, or "" if a listener with this store has captured the replay.

    Raises StoreError if the store cannot be written.
    """
    if store.mark_replay(request):
        return ""
    verdict = UNCHECKED
    if secret is not None:
        verdict = verify_signature(request.headers, request.body, secret, now=request.received_at)
    request, delivery = masked_request(request, masker), masked_delivery(delivery, masker)
    response = None
    if delivery.status is not None:
        response = Response(status=delivery.status, headers=delivery.headers, body=delivery.body)
    payload = read_payload(request.body, request.headers)
    store.add([Capture(invocation=request, verdict=verdict, payload=payload, delivery=delivery, response=response)])
    return request.id
