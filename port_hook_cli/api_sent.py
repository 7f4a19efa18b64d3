"""The result of the Python API's functions that send a request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from typing import Self

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.models import Delivery, Invocation


@frozen(kw_only=True)
class Sent:
    """A request that port-hook sent to a handler, and its `delivery`.

    Without a response, `delivery.status` is None and `delivery.error` is the reason. `delivery.ok` is true for a 2xx
    response. `run_id` is the run of the request, or None. `capture` is the ID of the capture in which a replay was
    saved. It is "" if the replay was not saved, or if a listener saved it. `notes` are the notes that the command line
    would print.
    """

    run_id: str | None
    method: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes
    delivery: Delivery
    capture: str = ""
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, run_id: str | None, request: Invocation, delivery: Delivery, *, capture: str = "", notes: Iterable[str]
    ) -> Self:
        """Return a request with its delivery."""
        return cls(
            run_id=run_id,
            method=request.method,
            headers=request.headers.items,
            body=request.body,
            delivery=delivery,
            capture=capture,
            notes=tuple(notes),
        )
