"""The settings of a listener, and its counters."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from port_hook_cli.invocations.models import Response
from port_hook_cli.invocations.routes import Routes
from port_hook_cli.listener import responses
from port_hook_cli.signatures.verification import DEFAULT_TOLERANCE_S
from port_hook_cli.text.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a listener handles requests. Durations are in seconds. With `secret` None, nothing is verified.

    At most `max_in_flight` requests are forwarded at once (None: any number); with `in_order`, those of one run one
    after the other.
    """

    secret: Secret | None
    routes: Routes = field(default_factory=Routes)
    tolerance_s: float = DEFAULT_TOLERANCE_S
    strict: bool = False
    allow_unverified: bool = False
    refuse_replays: bool = False
    only: frozenset[str] = frozenset()
    respond: Response = responses.OK
    delay_s: float = 0.0
    fail_first: int = 0
    max_in_flight: int | None = None
    in_order: bool = False


@dataclass(slots=True)
class Tally:
    """The counters of a listener.

    `verified` counts accepted requests with a verified signature, `refused` those that were refused or could not be
    saved. `waiting` holds the latest 1,000 runs that only a report can end, and whether the latest response to each
    was anything but a 2xx. A run in it may have been reported: the listener does not know.
    """

    received: int = 0
    verified: int = 0
    refused: int = 0
    passed_over: int = 0
    handler_failures: int = 0
    waiting: OrderedDict[str, bool] = field(default_factory=OrderedDict)
