"""What a listener was told to do, and what it counted."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from port_hook_cli.invocations.forwarding import Routes
from port_hook_cli.invocations.models import Answer
from port_hook_cli.listener import responses
from port_hook_cli.signatures.verification import DEFAULT_TOLERANCE_S
from port_hook_cli.text.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a listener treats requests. Durations in seconds; `secret` None means that nothing is verified."""

    secret: Secret | None
    routes: Routes = field(default_factory=Routes)
    tolerance_s: float = DEFAULT_TOLERANCE_S
    strict: bool = False
    allow_unverified: bool = False
    refuse_replays: bool = False
    only: frozenset[str] = frozenset()
    respond: Answer = responses.OK
    delay_s: float = 0.0
    fail_first: int = 0


@dataclass(slots=True)
class Tally:
    """What a listener counted.

    `verified` are the requests with a good signature that were accepted, `refused` those that were answered 401 or
    could not be saved. `waiting` holds the runs that only a report can end, the latest 1,000 of them, and whether
    the latest answer to each was anything but a 2xx.
    """

    received: int = 0
    verified: int = 0
    refused: int = 0
    passed_over: int = 0
    handler_failures: int = 0
    waiting: OrderedDict[str, bool] = field(default_factory=OrderedDict)
