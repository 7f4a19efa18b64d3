"""Sending a request that was made, and recording what becomes of its run. For the thread of the event loop."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from port_hook_cli.core.destination import destination, is_loopback
from port_hook_cli.core.forwarding import parse_target
from port_hook_cli.core.models import Headers, Invocation
from port_hook_cli.errors import TargetError, UsageError
from port_hook_cli.pytest_plugin.runs import Answer, PortRequest
from port_hook_cli.pytest_plugin.world import World


def url_to(url: str, to: str | int | None) -> str:
    """Return the URL to send to; raises UsageError for an action's own URL that is not on this machine."""
    if to is None and not is_loopback(url):
        raise UsageError(
            f"The action's URL is {url}, which is not on this machine: say where the backend is with `to`."
        )
    return destination(url, None if to is None else parse_target(str(to)))


async def send(world: World, request: PortRequest, timeout_s: float) -> Answer | None:
    """Send a request and record its answer; None for one that did not come in `timeout_s` seconds.

    Raises TargetError when the backend cannot be reached or breaks off.
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
            delivery = await world.sender.send(invocation, request.url)
    except TimeoutError:
        return None
    answer = Answer.of(delivery)
    if answer is None:
        raise TargetError(f"{request.action} could not be invoked: {delivery.error}")
    record_answer(world, request, answer)
    return answer


def record_answer(world: World, request: PortRequest, answer: Answer) -> None:
    """Record an answer as Port does: it ends a synchronized run, and becomes its response."""
    world.answers[request.run_id] = answer
    run = world.sandbox.runs[request.run_id]
    if not request.synchronized or run.ended:
        return
    summary = {} if answer.ok else {"summary": f"The webhook answered {answer.status}."}
    status = "SUCCESS" if answer.ok else "FAILURE"
    run.update({"status": status, "response": _response(answer), **summary}, world.now())


def _response(answer: Answer) -> Any:
    """Return a body as a run's `response`, which is a string, an array or an object; None for no body."""
    try:
        document = json.loads(answer.text)
    except (ValueError, RecursionError):
        return answer.text or None
    return document if isinstance(document, dict | list) else answer.text
