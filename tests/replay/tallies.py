"""The summary of a test's deliveries."""

from __future__ import annotations

from collections.abc import Iterable

from port_hook_cli.invocations.models import Delivery
from port_hook_cli.replay.tally import DeliveryCounter, DeliveryTally


def tally_deliveries(deliveries: Iterable[Delivery], *, elapsed_s: float) -> DeliveryTally:
    """Return the tally of `deliveries`."""
    counter = DeliveryCounter()
    for delivery in deliveries:
        counter.add(delivery)
    return counter.tally(elapsed_s)
