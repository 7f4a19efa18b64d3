"""The settings of a listener, and its counters."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
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


@frozen(kw_only=True)
class Policy:
    """The rules by which a listener handles requests. Durations are in seconds.

    If `secret` is None, signatures are not verified. `other_secrets` are other secrets in the settings, which are not
    accepted, but explain an invalid signature.

    `respond` is the response to a request that no route takes. None closes the connection without a response. At most
    `max_in_flight` requests are forwarded concurrently. None means no limit. The first `fail_first` invocations fail.
    Each response is delayed by `delay_s`.
    """

    secret: Secret | None
    other_secrets: tuple[Secret, ...] = ()
    routes: Routes = field(default_factory=Routes)
    tolerance_s: float = DEFAULT_TOLERANCE_S
    strict: bool = False
    allow_unverified: bool = False
    only: frozenset[str] = frozenset()
    respond: Response | None = responses.OK
    delay_s: float = 0.0
    fail_first: int = 0
    max_in_flight: int | None = None

    @property
    def simulates(self) -> bool:
        """Whether the listener simulates failures, closed connections or delays."""
        return bool(self.fail_first or self.delay_s or self.respond is None)


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
