"""Starts a run in the sandbox and makes its signed request, without sending it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, TypedDict
from urllib.parse import urlsplit

from port_hook_cli.actions.action import ActionKind, PortAction, webhook_action
from port_hook_cli.actions.samples import create_vm
from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.records import format_time
from port_hook_cli.pytest_plugin.runs import PortRequest
from port_hook_cli.pytest_plugin.world import World
from port_hook_cli.runs.ids import make_run_id
from port_hook_cli.sandbox import SandboxRequest
from port_hook_cli.signatures.signing import TimestampUnit, signed_headers
from port_hook_cli.trigger.documents import read_by
from port_hook_cli.trigger.open_invoker import as_sent


class RunOptions(TypedDict, total=False):
    """Optional properties of a run.

    `entity` is the entity of the run, `event` the event of an automation, `by` the user who started it (a user, or the
    whole `trigger.by`), `secrets` the organization's secrets by name, for templates. `outputs` are the outputs of other
    nodes, for a node of a workflow.
    """

    entity: Mapping[str, Any]
    event: Mapping[str, Any]
    by: Mapping[str, Any]
    secrets: Mapping[str, str]
    outputs: Mapping[str, Mapping[str, Any]]


async def make_request(
    world: World, identifier: str, inputs: Mapping[str, Any], options: RunOptions, *, any_url: bool = False
) -> PortRequest:
    """Return the signed request of a new run of an action; raises PortHookError, and TypeError for unknown options.

    `any_url` accepts a text that is not a URL, for a request that goes to another target.
    """
    if unknown := options.keys() - RunOptions.__annotations__.keys():
        raise TypeError(
            f"unknown arguments: {', '.join(sorted(unknown))}; known are {', '.join(RunOptions.__annotations__)}"
        )
    if "outputs" in options:
        raise UsageError(f"{identifier} is an action; `outputs` are for a node of a workflow.")
    action = webhook_action(world.sandbox.actions[identifier])
    await _check_automation(world, action, options.get("event"))
    default_by: Mapping[str, Any] = create_vm("", at="")["trigger"]["by"]
    by = read_by(options["by"], default_by) if "by" in options else default_by
    run_id = make_run_id(secrets.choice)
    rendered = await world.invoker.request(
        action,
        any_url=any_url,
        run_id=run_id,
        by=by,
        at=format_time(world.now()),
        properties=inputs,
        entity=options.get("entity"),
        event=options.get("event"),
        secrets=options.get("secrets"),
    )
    sent = as_sent(rendered)
    entity = options.get("entity") or {}
    world.sandbox.add_run(
        run_id,
        action=identifier,
        blueprint=action.blueprint,
        entity=entity.get("identifier"),
        properties=dict(rendered.properties),
        payload=sent.document(),
    )
    request = PortRequest(
        run_id=run_id,
        action=identifier,
        method=sent.method,
        url=sent.url,
        path=path_of(sent.url),
        headers=_signed(world, sent),
        body=sent.body,
        synchronized=sent.synchronized,
        errors=rendered.errors,
    )
    world.requests[run_id] = request
    return request


async def _check_automation(world: World, action: PortAction, event: Mapping[str, Any] | None) -> None:
    if action.kind is not ActionKind.AUTOMATION:
        return
    if event is None:
        raise UsageError(f"The automation {action.identifier} needs an event: give it as `event`.")
    if unmet := await world.invoker.unmet(action, event):
        reasons = "; ".join(f"{each.expression} {each.reason}" for each in unmet)
        raise UsageError(f"The automation {action.identifier} does not run for this event: {reasons}.")


def _signed(world: World, request: SandboxRequest) -> dict[str, str]:
    stamp = TimestampUnit.SECONDS.stamp(world.now())
    return dict((*request.headers, *signed_headers(request.body, world.sandbox.client_secret, stamp)))


def path_of(url: str) -> str:
    """Return a URL's path and query."""
    parts = urlsplit(url)
    return f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
