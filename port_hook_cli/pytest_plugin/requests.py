"""Makes and signs the request of a new run in the sandbox, sends the request, and records its response.

Call these functions only in the event loop's thread.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from typing import Any, TypedDict

from port_hook_cli.actions.action import ActionKind, webhook_action
from port_hook_cli.actions.request import RenderedRequest
from port_hook_cli.errors import TargetError, UsageError
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.invocations.targets import is_on_this_machine, parse_target, path_and_query
from port_hook_cli.pytest_plugin.runs import HandlerResponse, PortRequest
from port_hook_cli.pytest_plugin.world import World
from port_hook_cli.runs.ids import make_run_id
from port_hook_cli.runs.urls import is_in_ports_own
from port_hook_cli.signatures.signing import Signer
from port_hook_cli.trigger.action import RunTarget, Unmet, make, signed
from port_hook_cli.trigger.open_invoker import as_sent
from port_hook_cli.trigger.run_data import SAMPLE_STARTER, RunData, read_by


class RunOptions(TypedDict, total=False):
    """Optional properties of a run.

    `entity` is the entity of the run. `event` is the event of an automation. `by` is the user who started the run: a
    user, or the whole `trigger.by`. `secrets` are the organization's secrets by name, for templates. `outputs` are the
    outputs of other nodes, for a node of a workflow.
    """

    entity: Mapping[str, Any]
    event: Mapping[str, Any]
    by: Mapping[str, Any]
    secrets: Mapping[str, str]
    outputs: Mapping[str, Mapping[str, Any]]


async def make_request(
    world: World, identifier: str, inputs: Mapping[str, Any], options: RunOptions, *, any_url: bool = False
) -> PortRequest:
    """Start a run of an action, and return its signed request without sending it.

    `any_url` accepts text that is not a URL, for a request that goes to another target. Raises PortHookError, and
    TypeError for unknown options.
    """
    if unknown := options.keys() - RunOptions.__annotations__.keys():
        raise TypeError(
            f"unknown arguments: {', '.join(sorted(unknown))} (known: {', '.join(RunOptions.__annotations__)})"
        )
    if "outputs" in options:
        raise UsageError(f"{identifier} is an action, but `outputs` are for a node of a workflow.")
    action = webhook_action(world.sandbox.actions[identifier])
    data = run_data(inputs, options)
    if action.kind is ActionKind.AUTOMATION and data.event is None:
        raise UsageError(f"The automation {action.identifier} needs an event: pass it as `event`.")
    now = world.now()
    made = await make(action, data, world.invoker, run_id=make_run_id(secrets.choice), now=now, any_url=any_url)
    if isinstance(made, Unmet):
        raise UsageError(f"The automation {action.identifier} {made.reason}.")
    rendered, told = made.request, made.announcement
    world.sandbox.add_run(
        rendered.run_id,
        action=identifier,
        blueprint=action.blueprint,
        entity=told["entity"],
        properties=told["properties"],
        payload=as_sent(rendered).document(),
    )
    request = port_request(identifier, rendered, rendered.url, world)
    world.requests[request.run_id] = request
    return request


def run_data(inputs: Mapping[str, Any], options: Mapping[str, Any]) -> RunData:
    """Return the run data that the arguments of a test describe."""
    return RunData(
        properties=inputs,
        by=read_by(options["by"]) if "by" in options else SAMPLE_STARTER,
        entity=options.get("entity"),
        event=options.get("event"),
        secrets=options.get("secrets") or {},
    )


def port_request(action: str, request: RenderedRequest, url: str, world: World) -> PortRequest:
    """Return a request to `url` for a test, signed with the secret of the sandbox."""
    sent = signed(request, Signer(world.sandbox.client_secret), id=request.run_id, now=world.now())
    return PortRequest(
        run_id=request.run_id,
        action=action,
        method=request.method,
        url=url,
        path=path_and_query(url),
        headers={name: value.encode("latin-1").decode() for name, value in sent.headers},
        body=sent.body,
        synchronized=request.synchronized,
        errors=request.errors,
    )


def url_to(url: str, to: str | int | None, *, by_agent: bool, owner: str = "The action") -> str:
    """Return the URL to send to. Raises UsageError if the action's own URL is used and is not on this machine.

    Port's own API counts as a URL on this machine, because the sandbox responds to it. It does not count if Port's
    execution agent sends the request (`by_agent`), because the agent does not add credentials. `owner` is the start of
    the error's sentence.
    """
    if to is None and is_in_ports_own(url):
        if by_agent:
            raise UsageError(
                f"{owner}'s URL is {url}, which the execution agent calls without Port's credentials, because the "
                "request has `agent: true`. Remove `agent`, or pass the URL of a handler as `to`."
            )
        return url
    if to is None and not is_on_this_machine(url):
        raise UsageError(f"{owner}'s URL is {url}, which is not on this machine. Pass the URL of the handler as `to`.")
    target = RunTarget(to=None if to is None else parse_target(str(to)))
    return target.url_for("", url)


async def send(world: World, request: PortRequest, timeout_s: float) -> HandlerResponse | None:
    """Send a request and record its response. Return None if no response arrives within `timeout_s` seconds.

    Raises TargetError if the handler cannot be reached or closes the connection early.
    """
    if (delivery := await deliver(world, request, timeout_s)) is None:
        return None
    handler_response = record(world, request, delivery)
    if handler_response is None:
        raise TargetError(f"{request.action} could not be invoked: {delivery.error}")
    return handler_response


async def deliver(world: World, request: PortRequest, timeout_s: float) -> Delivery | None:
    """Send a request and return its delivery. Return None if no response arrives within `timeout_s` seconds."""
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
            return await world.deliver(request.run_id, invocation, request.url)
    except TimeoutError:
        return None


def record(world: World, request: PortRequest, delivery: Delivery) -> HandlerResponse | None:
    """Record the outcome of a request like Port, and return the response. Return None if there is no response."""
    world.sandbox.record(request.run_id, delivery)
    handler_response = HandlerResponse.of(delivery)
    if handler_response is not None:
        world.responses[request.run_id] = handler_response
    return handler_response
