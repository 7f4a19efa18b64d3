"""Adds replays with their responses to the store."""

from __future__ import annotations

from pathlib import Path

from port_hook_cli.captures.store.capture_store import CaptureStore, open_store
from port_hook_cli.invocations.models import Delivery, Exchange, Invocation, Response
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.signatures.verification import UNCHECKED, verify_signature
from port_hook_cli.text.secret import Secret

# A replay drops no captures: only the listener enforces limits.
_NO_LIMIT = 2**50


def open_for_replays(store: Path) -> CaptureStore:
    """Open a store to add replays to it; raises StoreError."""
    return open_store(store, store.parent, max_captures=_NO_LIMIT, max_size=_NO_LIMIT)


def save_replay(store: CaptureStore, request: Invocation, delivery: Delivery, *, secret: Secret | None) -> str:
    """Add a replay and return its id, or "" if a listener with this store has captured it; raises StoreError."""
    if store.has_received(request.headers, request.received_at):
        return ""
    verdict = UNCHECKED
    if secret is not None:
        verdict = verify_signature(request.headers, request.body, secret, now=request.received_at)
    response = None
    if delivery.status is not None:
        response = Response(status=delivery.status, headers=delivery.headers, body=delivery.body)
    payload = read_payload(request.body, request.headers)
    store.add([Exchange(invocation=request, verdict=verdict, payload=payload, delivery=delivery, response=response)])
    return request.id
