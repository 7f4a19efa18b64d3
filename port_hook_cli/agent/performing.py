"""Does what the agent would do: sends its request and, with a client of Port's API, makes its calls to Port."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from port_hook_cli.errors import PortApiError, UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.http.client import HttpClient
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.invocations.payload import is_run_id
from port_hook_cli.invocations.targets import is_on_this_machine, target_url
from port_hook_cli.prediction.calls import AgentCall, AgentOutcome
from port_hook_cli.prediction.prediction import ShownPrediction
from port_hook_cli.prediction.response import AgentResponse
from port_hook_cli.prediction.wire import WireRequest
from port_hook_cli.text.remark import Remark, Say, warning
from port_hook_cli.text.safe import brief, printable

if TYPE_CHECKING:
    from port_hook_cli.port_api.client import PortApi

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
    """The target of requests: `to`, or the request's own URL on this machine. `to_its_url` allows other machines."""

    to: str | None = None
    to_its_url: bool = False

    def url_for(self, shown: ShownPrediction) -> str:
        """Return the URL to send a request to. Raises UsageError for another machine that the user did not choose."""
        address = _wire(shown).address
        if self.to is not None:
            return target_url(self.to, address.target)
        if self.to_its_url or is_on_this_machine(address.url):
            return address.url
        raise UsageError(
            f"The agent would send to {printable(shown.masker.text(address.url))}, which is not on this machine, so "
            "nothing was sent.",
            hint="Choose a target: --to 8000 for a local handler, or --to-its-url for that URL.",
        )


def require_reportable(shown: ShownPrediction) -> None:
    """Raise UsageError if the message has no valid run ID. The ID becomes part of a URL."""
    run_id = shown.prediction.message.run_id
    if not is_run_id(run_id):
        raise UsageError(
            f"The message has no valid run ID, so it cannot be reported: {brief(str(run_id))}.",
            hint="Leave out --report.",
        )


def over_new_connections(timeout_s: float) -> Send:
    """Return a function that opens a new connection for each request, like the agent.

    `timeout_s` of 0 means no limit.
    """

    async def send(request: Invocation, url: str) -> Delivery:
        async with HttpClient(timeout_s=timeout_s) as client:
            return await client.send(request, url)

    return send


@frozen(kw_only=True)
class AgentSender:
    """The settings for sending requests: the target and the client. With `port`, the agent's reports go to Port."""

    target: AgentTarget
    send: Send
    port: PortApi | None = None

    def url_for(self, shown: ShownPrediction) -> str:
        """Return the URL to send a request to.

        Raises UsageError if it must not be sent, or if its run has no valid ID.
        """
        url = self.target.url_for(shown)
        if self.port is not None:
            require_reportable(shown)
        return url


async def perform(
    shown: ShownPrediction, url: str, send: Send, port: PortApi | None, on_event: Callable[[PerformingEvent], None]
) -> Performed:
    """Send the request to `url`, and return the response and the agent's reports about it.

    With `port`, make the reports. Raises PortApiError if Port does not respond. Like the agent, this function continues
    after Port rejects a call.
    """
    wire, before = _wire(shown), shown.prediction.before
    on_event(AboutToSend(shown))
    await _report(before, port, on_event)
    delivery = await send(_request(wire, url), url)
    outcome = shown.prediction.outcome(_response(delivery))
    performed = Performed(shown, delivery, outcome)
    on_event(performed)
    await _report(outcome.calls[len(before) :], port, on_event)
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


async def _report(calls: Sequence[AgentCall], port: PortApi | None, say: Say) -> None:
    """Make the calls to Port's API. Raises PortApiError if Port does not respond."""
    if port is None:
        return
    for call in calls:
        try:
            await port.call(call.method, call.path, call.body, repeatable=False)
        except PortApiError as problem:
            if problem.status is None:
                raise
            say(warning(f"{call.method} {printable(call.path)}: {problem.message}"))
