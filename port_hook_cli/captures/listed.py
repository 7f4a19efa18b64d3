"""A capture as a list shows it: read by `database.listing`, shown by `view.captures`. Pure."""

from __future__ import annotations

from typing import NamedTuple

from port_hook_cli.invocations.models import Payload, Simulated, Status


class ListedCapture(NamedTuple):
    """What a list shows of a capture.

    `response` is the status of the response, and `handler` the outcome of the delivery. They are None if there is none.
    """

    id: str
    received_at: float
    method: str
    replay_of: str | None
    status: Status
    is_message: bool
    is_probe: bool
    is_truncated: bool
    payload: Payload
    response: int | None
    handler: str | None
    simulated: Simulated | None
