"""The fields of a capture that a list shows.

`database.listing` reads them, and `view.captures` shows them. This module is pure.
"""

from __future__ import annotations

from typing import NamedTuple

from port_hook_cli.invocations.models import Payload, Simulated, Status


class ListedCapture(NamedTuple):
    """The fields of a capture that a list shows.

    `response` is the status of the response, or None without a response. `handler` is the outcome of the delivery, or
    None without a delivery.
    """

    id: str
    received_at: float
    replay_of: str | None
    status: Status
    is_message: bool
    is_probe: bool
    is_truncated: bool
    payload: Payload
    response: int | None
    handler: str | None
    simulated: Simulated | None
