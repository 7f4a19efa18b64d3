"""Sends a request and records the outcome of its run. Call these functions only in the event loop's thread."""

from __future__ import annotations

import asyncio

from port_hook_cli.errors import TargetError, UsageError
from port_hook_cli.invocations.forwarding import is_on_this_machine, parse_target
from port_hook_cli.invocations.models import Delivery, Headers, Invocation
from port_hook_cli.pytest_plugin.runs import BackendResponse, PortRequest
from port_hook_cli.pytest_plugin.world import World
from port_hook_cli.runs.urls import is_in_ports_own
from port_hook_cli.trigger.destination import destination


def url_to(url: str, to: str | int | None, *, by_agent: bool, owner: str = "The action") -> str:
    """Return the URL to send to. Raises UsageError if it is the owner's URL and not on this machine.

    Port's own API counts as on this machine, because the sandbox answers for it. If Port's execution agent sends the
    request (`by_agent`), it does not count, because the agent does not add credentials. `owner` begins the error's
    sentence.
    """
    if to is None and is_in_ports_own(url):
        if by_agent:
            raise UsageError(
                f"{owner}'s URL is {url}, which the execution agent calls without Port's credentials, because the "
                "request has `agent: true`. Remove `agent`, or pass the address of a backend as `to`."
            )
        return url
    if to is None and not is_on_this_machine(url):
        raise UsageError(
            f"{owner}'s URL is {url}, which is not on this machine. Pass the address of the backend as `to`."
        )
    return destination(url, None if to is None else parse_target(str(to)))


async def send(world: World, request: PortRequest, timeout_s: float) -> BackendResponse | None:
    """Send a request and record its response; return None if there is none within `timeout_s` seconds.

    Raises TargetError if the backend cannot be reached or closes the connection early.
    """
    world.requests[request.run_id] = request
    invocation = Invocation(
        id=request.run_id,
        received_at=world.now(),
        method=request.method,
        target=request.path,
        headers=Headers.from_raw((name.encode(), value.encode()) for name, value in request.headers.items()),
        body=request.body,
    )
    try:
        async with asyncio.timeout(timeout_s):
            delivery = await world.deliver(request.run_id, invocation, request.url)
    except TimeoutError:
        return None
    backend_response = record(world, request, delivery)
    if backend_response is None:
        raise TargetError(f"{request.action} could not be invoked: {delivery.error}")
    return backend_response


def record(world: World, request: PortRequest, delivery: Delivery) -> BackendResponse | None:
    """Record the outcome of a request as Port does, and return the response, or None if there was none."""
    world.sandbox.record(request.run_id, delivery)
    backend_response = BackendResponse.of(delivery)
    if backend_response is not None:
        world.responses[request.run_id] = backend_response
    return backend_response
