"""The objects and functions that a check works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.text.secret import NO_SECRETS, Masker, Secret

if TYPE_CHECKING:
    from port_hook_cli.check.languages import Language
    from port_hook_cli.check.outbound import OutboundProxy
    from port_hook_cli.check.watching import SandboxWatch
    from port_hook_cli.listener.handler_process import HandlerProcess
    from port_hook_cli.replay.sending import Keep


class ProbeClient(Protocol):
    """Sends the requests of a check, like `http/client.py:HttpClient`."""

    async def send(self, request: Invocation, url: str, /) -> Delivery:
        """Send one request."""
        ...

    async def send_slowly(self, request: Invocation, url: str, /, *, pieces: int, pause_s: float) -> Delivery:
        """Send one request in pieces."""
        ...

    async def send_partly(self, request: Invocation, url: str, /) -> Delivery | None:
        """Send half of a request, and disconnect."""
        ...

    def close(self) -> None:
        """Close the client's connections."""
        ...


class CheckMeans(NamedTuple):
    """The objects and functions that a check works with.

    `client` returns a client with a timeout in seconds. `watch` reads the handler's calls to the sandbox. `handler` is
    the handler's process, if the check started it, and `outbound` is the proxy for its calls to the internet.
    `language` is the language of the examples in fixes. `masker` masks the secrets of the request. `keep` saves a
    request that proves a finding. `now` returns seconds since the epoch, and `new_id` returns a capture ID.
    """

    client: Callable[[float], ProbeClient]
    secret: Secret
    now: Callable[[], float]
    new_id: Callable[[], str]
    client_id: str | None = None
    other_secret: Secret | None = None
    other_secret_place: str = ""
    watch: SandboxWatch | None = None
    handler: HandlerProcess | None = None
    language: Language | None = None
    outbound: OutboundProxy | None = None
    environ: Mapping[str, str] = {}
    masker: Masker = NO_SECRETS
    keep: Keep | None = None
