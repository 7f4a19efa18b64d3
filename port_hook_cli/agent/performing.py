"""Does what the agent would do: sends its request and, with a client of Port's API, makes its calls to Port."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias
from urllib.parse import urlsplit

from port_hook_cli.errors import UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.http.client import HttpClient
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.invocations.targets import is_on_this_machine, target_url
from port_hook_cli.prediction.calls import AgentOutcome
from port_hook_cli.prediction.prediction import ShownPrediction
from port_hook_cli.prediction.response import AgentResponse
from port_hook_cli.prediction.wire import WireRequest
from port_hook_cli.text.remark import Remark
from port_hook_cli.text.safe import printable

_TIMEOUT_S = 30.0

Send: TypeAlias = Callable[[Invocation, str], Awaitable[Delivery]]
"""Sends a request to a URL. A failed request returns a Delivery instead of raising an exception."""


@frozen
class AboutToSend:
    """The request of a prediction is sent next."""

    shown: ShownPrediction


@frozen
class Performed:
    """The request was sent. This event contains the response, and the agent's reports about the response.

    The event comes before the calls to Port that follow the response.
    """

    shown: ShownPrediction
    delivery: Delivery
    outcome: AgentOutcome


PerformingEvent: TypeAlias = AboutToSend | Performed | Remark


@frozen
class AgentTarget:
    """The target of requests: `to`, or the request's own URL if it is on this machine."""

    to: str | None = None

    def url_for(self, shown: ShownPrediction) -> str:
        """Return the URL to send a request to. Raises UsageError for a URL on another machine."""
        address = _wire(shown).address
        if self.to is not None:
            return target_url(self.to, address.target)
        if is_on_this_machine(address.url):
            return address.url
        raise UsageError(
            f"The agent would send to {printable(shown.masker.text(address.url))}, which is not on this machine, so "
            "nothing was sent.",
            hint="Choose a target on this machine, such as --to 8000.",
        )


async def send_like_the_agent(request: Invocation, url: str) -> Delivery:
    """Send a request over a new connection, and wait as long as the agent."""
    async with HttpClient(timeout_s=_TIMEOUT_S) as client:
        return await client.send(request, url)


@frozen(kw_only=True)
class AgentSender:
    """The settings for sending requests: the target and the client."""

    target: AgentTarget
    send: Send

    async def perform(self, shown: ShownPrediction, on_event: Callable[[PerformingEvent], None]) -> Performed:
        """Send the request of a prediction, and return the response and what the agent would report about it.

        Raises UsageError, before any event, if the request must not be sent.
        """
        url, wire = self.target.url_for(shown), _wire(shown)
        on_event(AboutToSend(shown))
        delivery = await self.send(_request(wire, url), url)
        performed = Performed(shown, delivery, shown.prediction.outcome(_response(delivery)))
        on_event(performed)
        return performed


def _wire(shown: ShownPrediction) -> WireRequest:
    assert shown.prediction.wire is not None
    return shown.prediction.wire


def _request(wire: WireRequest, url: str) -> Invocation:
    return Invocation(
        id="",  # the request is not saved, so it needs neither an ID nor a time
        received_at=0,
        method=wire.method,
        target=wire.address.target,
        headers=Headers(tuple(_headers(wire, url))),
        body=wire.body,
    )


def _headers(wire: WireRequest, url: str) -> Sequence[tuple[str, str]]:
    """Return the headers of a request. For another target, `Host` is the target's host, unless the mapping sets it."""
    own = ("Host", wire.address.authority)
    host = ("Host", urlsplit(url).netloc.rpartition("@")[2])
    return [host if index == 0 and item == own else item for index, item in enumerate(wire.headers)]


def _response(delivery: Delivery) -> AgentResponse:
    if delivery.status is None:
        error = "ReadTimeout" if delivery.fault == "timeout" else "ConnectionError"
        return AgentResponse(name=delivery.fault or "failed", failure=f"{error}: {delivery.error}")
    return AgentResponse(
        name=str(delivery.status), status=delivery.status, headers=delivery.headers, body=delivery.body
    )
