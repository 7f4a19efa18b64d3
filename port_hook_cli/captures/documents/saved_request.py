"""A saved request, and what verifying it says."""

from __future__ import annotations

from dataclasses import dataclass, field

from port_hook_cli.captures.documents.truncation import require_whole
from port_hook_cli.invocations.models import Exchange, Headers, Verdict
from port_hook_cli.invocations.records import format_time
from port_hook_cli.signatures.causes import with_conflict
from port_hook_cli.signatures.messages import verify_received
from port_hook_cli.text.secret import Secret

_RECEIPT = "at the time of receipt"
_SENT = "when the message was sent to Kafka"


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedRequest:
    """The parts of a request that are verified. `compared_at` is the time with which its timestamp is compared.

    That is when `event` happened, in seconds since the epoch, None if it is unknown. `is_message` says that it is a
    message of Kafka.
    """

    headers: Headers
    body: bytes = field(repr=False)
    compared_at: float | None = None
    event: str = _RECEIPT
    is_message: bool = False
    remarks: tuple[str, ...] = ()


def from_exchange(exchange: Exchange) -> SavedRequest:
    """Return the request of a capture; raises StoreError if its body is incomplete."""
    invocation = require_whole(f"the capture {exchange.invocation.id}", exchange.invocation)
    return SavedRequest(
        headers=invocation.headers,
        body=invocation.body,
        compared_at=invocation.compared_at,
        event=_RECEIPT if invocation.compared_at == invocation.received_at else _SENT,
        is_message=invocation.origin is not None,
    )


@dataclass(frozen=True, slots=True)
class Explained:
    """The verdict on a saved request, and notes on how it was reached, besides the remarks of the request."""

    verdict: Verdict
    notes: tuple[str, ...]


def explain(
    saved: SavedRequest,
    secret: Secret,
    *,
    now: float,
    tolerance_s: float,
    conflict: str = "",
) -> Explained:
    """Return why a signature is valid or not, with the request's age at `now` (seconds since the epoch).

    `conflict` says that two places have different secrets; it is added to the fix for a wrong secret.
    """
    verdict = verify_received(
        saved.headers, saved.body, secret, is_message=saved.is_message, now=now, tolerance_s=tolerance_s
    )
    age = (f"the age is the one {saved.event}, {format_time(now)}",) if now == saved.compared_at else ()
    return Explained(with_conflict(verdict, conflict), age)
