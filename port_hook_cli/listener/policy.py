"""The settings of a listener, and its counters."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from port_hook_cli.frozen import frozen
from port_hook_cli.http.web_pages import PublicNames
from port_hook_cli.invocations.models import Response
from port_hook_cli.invocations.routes import Routes
from port_hook_cli.listener import responses
from port_hook_cli.signatures.verification import DEFAULT_TOLERANCE_S
from port_hook_cli.text.secret import Secret

MOST_WAITING_RUNS = 1_000
"""The number of runs that a listener remembers. It bounds the memory of a long-running listener."""


class DelayRange(NamedTuple):
    """The range for the delay of a response: from `least_s` to `most_s` seconds."""

    least_s: float = 0.0
    most_s: float = 0.0

    def __str__(self) -> str:
        return f"{self.least_s:g} s" if self.least_s == self.most_s else f"{self.least_s:g} to {self.most_s:g} s"


NO_DELAY = DelayRange()


@frozen(kw_only=True)
class Policy:
    """The rules by which a listener handles requests. Durations are in seconds.

    If `secret` is None, signatures are not verified. `other_secrets` are other secrets in the settings, which are not
    accepted, but explain an invalid signature.

    At most `max_in_flight` requests are forwarded concurrently. None means no limit. With `in_order`, requests of the
    same run are forwarded one at a time. The first `fail_first` invocations fail. After that, each invocation fails
    with the probability `fail_rate`, and `seed` decides which invocations fail. With `drop`, the listener closes the
    connection of a failing invocation without a response. Without `fail_first` and `fail_rate`, `drop` makes all
    invocations fail.
    """

    secret: Secret | None
    other_secrets: tuple[Secret, ...] = ()
    routes: Routes = field(default_factory=Routes)
    tolerance_s: float = DEFAULT_TOLERANCE_S
    strict: bool = False
    allow_unverified: bool = False
    refuse_replays: bool = False
    only: frozenset[str] = frozenset()
    respond: Response = responses.OK
    delay: DelayRange = NO_DELAY
    fail_first: int = 0
    fail_rate: float = 0.0
    seed: int = 0
    drop: bool = False
    max_in_flight: int | None = None
    in_order: bool = True

    @property
    def simulates(self) -> bool:
        """Whether the listener simulates failures or delays."""
        return bool(self.fail_first or self.fail_rate or self.drop or self.delay.most_s)


@dataclass(slots=True)
class Tally:
    """The counters of a listener.

    `verified` is the number of accepted requests with a verified signature. `unsaved` is the number of requests that
    got a 500 because the store could not be written. `waiting` contains the latest 1,000 runs that stay IN_PROGRESS
    until the handler reports its result. The value of each run is true if the latest response was not a 2xx. The
    listener doesn't know whether the handler has already reported a run.
    """

    received: int = 0
    verified: int = 0
    rejected: int = 0
    unsaved: int = 0
    skipped: int = 0
    handler_failures: int = 0
    waiting: OrderedDict[str, bool] = field(default_factory=OrderedDict)


class PublicAddress:
    """The public URL of a listener. The server and the pipeline of the listener read it for each request.

    `names` are the accepted host names, besides local host names. `scheme` is the `x-forwarded-proto` of forwarded
    requests: the scheme of the public URL, or `http` without a public URL.
    """

    def __init__(self, url: str | None = None) -> None:
        self.names = PublicNames()
        self.scheme = "http"
        if url:
            self.move_to(url)

    def move_to(self, url: str) -> None:
        """Use `url` from now on. The host names of earlier URLs are still accepted."""
        self.names.add(url)
        self.scheme = urlsplit(url).scheme
