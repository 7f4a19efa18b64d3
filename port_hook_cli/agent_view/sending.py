"""Sends the request that the agent would send, and if asked to, reports to Port what the agent would report."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from port_hook_cli.agent_view.session import AgentSession, ShownPrediction
from port_hook_cli.agent_view.showing import emit_prediction, show_request
from port_hook_cli.errors import ExitCode, PortApiError, UsageError
from port_hook_cli.http.client import HttpClient
from port_hook_cli.http.response_body import SHOWN_BYTES
from port_hook_cli.invocations.forwarding import is_on_this_machine, target_url
from port_hook_cli.invocations.models import Delivery, Headers, Invocation
from port_hook_cli.invocations.payload import is_run_id
from port_hook_cli.invocations.view import BODY_INDENT, delivery_lines
from port_hook_cli.port_api.credentials import open_port_api
from port_hook_cli.prediction.calls import AgentCall, AgentOutcome
from port_hook_cli.prediction.response import AgentResponse
from port_hook_cli.prediction.wire import WireRequest
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import Output, tell
from port_hook_cli.text.safe import brief, printable

if TYPE_CHECKING:
    from port_hook_cli.port_api.client import PortApi

_REDIRECTS = range(300, 400)


async def send_once(session: AgentSession, shown: ShownPrediction) -> ExitCode:
    """Send the request of a single message; see `send_prediction`."""
    url = target_of(session, shown)
    async with reporting(session) as port:
        return await send_prediction(session, shown, url, port)


@asynccontextmanager
async def reporting(session: AgentSession) -> AsyncIterator[PortApi | None]:
    """Yield a client of Port's API if the plan says that runs are reported, else None."""
    if not session.plan.report:
        yield None
        return
    async with open_port_api(session.settings, session.runtime, timeout_s=session.plan.api_timeout_s) as port:
        yield port


def target_of(session: AgentSession, shown: ShownPrediction) -> str:
    """Return where to send; raises UsageError if it must not be sent there, or if the run cannot be reported."""
    assert shown.prediction.wire is not None
    url = _destination(session, shown, shown.prediction.wire)
    _check_reported_run(session, shown)
    return url


async def send_prediction(session: AgentSession, shown: ShownPrediction, url: str, port: PortApi | None) -> ExitCode:
    """Send the request, show the response and what the agent reports then, and report it to `port` if there is one."""
    prediction, wire = shown.prediction, shown.prediction.wire
    assert wire is not None
    before = prediction.before
    if not session.plan.json:
        show_request(session, shown)
        session.runtime.stdout.flush()
    await _report(before, port, session.runtime)
    delivery = await _deliver(session, wire, url)
    outcome = prediction.outcome(_response(delivery))
    _tell(session, shown, delivery)
    if session.plan.json:
        emit_prediction(session, shown, [outcome], delivery)
    else:
        _show_outcome(session, shown, delivery, outcome)
    await _report(outcome.calls[len(before) :], port, session.runtime)
    return ExitCode.TARGET if delivery.status is None else ExitCode.OK if delivery.ok else ExitCode.FAILED


def _destination(session: AgentSession, shown: ShownPrediction, wire: WireRequest) -> str:
    """Return where to send; raises UsageError for another machine that the user did not name."""
    url, plan = wire.address.url, session.plan
    if plan.to is not None:
        return target_url(plan.to, wire.address.target)
    if plan.to_its_url or is_on_this_machine(url):
        return url
    raise UsageError(
        f"The agent would send to {printable(shown.masker.text(url))}, which is not on this machine, so nothing was "
        "sent.",
        hint="Choose a target: --to 8000 for a local handler, or --to-its-url for that URL.",
    )


def _check_reported_run(session: AgentSession, shown: ShownPrediction) -> None:
    """Raise UsageError if the message does not name a run that can be reported: the id becomes part of a URL."""
    run_id = shown.prediction.message.run_id
    if session.plan.report and not is_run_id(run_id):
        raise UsageError(
            f"The message has no valid run id, so it cannot be reported: {brief(str(run_id))}.",
            hint="Leave out --report.",
        )


async def _deliver(session: AgentSession, wire: WireRequest, url: str) -> Delivery:
    runtime = session.runtime
    request = Invocation(
        id=runtime.new_id(),
        received_at=runtime.now(),
        method=wire.method,
        target=wire.address.target,
        headers=Headers(tuple(_headers(wire, url))),
        body=wire.body,
    )
    async with HttpClient(timeout_s=session.plan.timeout_s) as client:
        return await client.send(request, url)


def _headers(wire: WireRequest, url: str) -> Sequence[tuple[str, str]]:
    """Return the fields; at another target, `Host` names it, unless the mapping sets the field."""
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


def _tell(session: AgentSession, shown: ShownPrediction, delivery: Delivery) -> None:
    """Print what the user has to know about the response."""
    if len(delivery.body) >= SHOWN_BYTES:
        tell(f"note: the response is longer; only its first {SHOWN_BYTES:,} bytes are used here", session.runtime)
    if delivery.status in _REDIRECTS and delivery.headers.get("location"):
        text = "note: the agent follows redirects and gets another response; port-hook does not follow them"
        tell(text, session.runtime)
    if delivery.status is None:
        tell(f"error: {printable(shown.masker.text(delivery.error or 'no response'))}", session.runtime)


def _show_outcome(session: AgentSession, shown: ShownPrediction, delivery: Delivery, outcome: AgentOutcome) -> None:
    from port_hook_cli.prediction.view import outcome_lines

    output = Output(session.runtime.stdout, session.runtime.environ)
    masked = replace(delivery, url=shown.masker.text(delivery.url), body=shown.masker.content(delivery.body))
    if delivery.status is not None:
        output.print(*output.fit(delivery_lines(masked), indent=BODY_INDENT))
    title = "it reported" if session.plan.report else "it would report"
    output.print(*output.fit(outcome_lines(outcome, outcome.calls, masker=shown.masker, title=title)))


async def _report(calls: Sequence[AgentCall], port: PortApi | None, runtime: Runtime) -> None:
    """Make the calls. Like the agent, continue after one that Port refuses; raises PortApiError without a response."""
    for call in calls if port is not None else ():
        assert port is not None
        try:
            await port.call(call.method, call.path, call.body, repeatable=False)
        except PortApiError as problem:
            if problem.status is None:
                raise
            tell(f"warning: {call.method} {printable(call.path)}: {problem.message}", runtime)
