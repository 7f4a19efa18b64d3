"""A saved request as `verify` takes it."""

from __future__ import annotations

from dataclasses import dataclass, field

from port_hook_cli.captures.documents.truncation import require_whole
from port_hook_cli.invocations.models import Exchange, Headers

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
