"""Why a run in Port is still IN_PROGRESS, and the command that helps. This module is pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.models import WAITS_FOR_REPORT, Capture, Status
from port_hook_cli.runs.port_run import IN_PROGRESS, PortRun, RunKind
from port_hook_cli.runs.view import report_command

_WAITING_FOR_APPROVAL = "WAITING_FOR_APPROVAL"
_INPUT, _WEBHOOK = "INPUT", "WEBHOOK"


class WaitsFor(StrEnum):
    """What ends a run that is in progress."""

    REPORT = "report"
    RESPONSE = "response"
    RESPONSE_OR_REPORT = "response-or-report"
    APPROVAL = "approval"
    INPUT = "input"
    UNKNOWN = "unknown"


@frozen(kw_only=True)
class Waiting:
    """Why a run is in progress: sentences, and commands to go on with. `run_id` may be a node run of a workflow run."""

    run_id: str
    waits_for: WaitsFor
    reasons: tuple[str, ...]
    commands: tuple[str, ...] = ()


def why_waiting(run: PortRun, captures: Mapping[str, Capture]) -> tuple[Waiting, ...]:
    """Return why a run hasn't ended. For a workflow run, return it for each node run that hasn't ended.

    `captures` contains the latest capture of each run that has one, by run ID.
    """
    if run.has_ended:
        return ()
    if run.kind is RunKind.WORKFLOW:
        return tuple(_why(each, captures.get(each.id)) for each in run.open_node_runs)
    return (_why(run, captures.get(run.id)),)


def _why(run: PortRun, capture: Capture | None) -> Waiting:
    if run.status == _WAITING_FOR_APPROVAL:
        reason = "It is waiting for an approval in Port."
        return Waiting(run_id=run.id, waits_for=WaitsFor.APPROVAL, reasons=(reason,))
    if run.node_type == _INPUT:
        reason = f"The INPUT node {run.name} is waiting for a response in Port."
        return Waiting(run_id=run.id, waits_for=WaitsFor.INPUT, reasons=(reason,))
    if run.status != IN_PROGRESS or run.node_type not in {"", _WEBHOOK}:
        kind = f"a node with the type {run.node_type}" if run.node_type else f"the status {run.status}"
        reason = f"Port doesn't document what ends {kind}."
        return Waiting(run_id=run.id, waits_for=WaitsFor.UNKNOWN, reasons=(reason,))
    waits_for = _end_of(run, capture)
    reasons = (*_here(run, capture), _RULES[waits_for])
    return Waiting(run_id=run.id, waits_for=waits_for, reasons=reasons, commands=tuple(_commands(run, capture)))


def _end_of(run: PortRun, capture: Capture | None) -> WaitsFor:
    synchronized = run.synchronized
    if synchronized is None and capture is not None:
        synchronized = capture.payload.synchronized
    if synchronized is None:
        return WaitsFor.RESPONSE_OR_REPORT if run.kind is RunKind.NODE else WaitsFor.REPORT
    return WaitsFor.RESPONSE if synchronized else WaitsFor.REPORT


_RULES = {
    WaitsFor.REPORT: f"The run {WAITS_FOR_REPORT}.",
    WaitsFor.RESPONSE: "The run is synchronized, and Port is still waiting for the HTTP response that ends it.",
    WaitsFor.RESPONSE_OR_REPORT: f"A synchronized node (the default) ends with the HTTP response. Any other node "
    f"{WAITS_FOR_REPORT}.",
}


def _here(run: PortRun, capture: Capture | None) -> Iterator[str]:
    """Yield what this machine knows about the run's request."""
    if run.is_pending:
        yield "Port shows the run as pending: no execution agent or integration has claimed its request yet."
    if capture is None:
        yield _without_capture(run)
        return
    delivery, response = capture.delivery, capture.response
    if _was_rejected(capture):
        yield f"The listener rejected the request (signature {capture.verdict.status}), so no handler received it."
    elif delivery is None and response is None:
        yield "The listener has not responded to the request yet."
    elif delivery is None:
        yield f"The listener itself responded with {response.status if response else '-'}. No handler received it."
    elif delivery.status is None:
        yield f"The handler did not respond ({delivery.fault or 'failed'})."
    else:
        yield f"The handler responded with {delivery.status}."


def _without_capture(run: PortRun) -> str:
    if run.kind is RunKind.ACTION and not run.payload:
        return "Port shows no request for this run."
    if run.has_anonymous_request:
        return "The request does not contain the run ID, so port-hook cannot find its capture."
    return "The request was not captured here."


def _commands(run: PortRun, capture: Capture | None) -> Iterator[str]:
    failed = capture is not None and (capture.delivery is None or capture.delivery.failed)
    if capture is None:
        if run.kind is RunKind.ACTION and run.payload:
            yield f"port-hook replay {run.id}"
    elif failed and capture.invocation.id.isalnum():  # any program may have written the store
        yield f"port-hook {'verify' if _was_rejected(capture) else 'replay'} {capture.invocation.id}"
    if _end_of(run, capture) is not WaitsFor.RESPONSE and (command := report_command(run.id, failed=failed)):
        yield command


def _was_rejected(capture: Capture) -> bool:
    """Return whether the listener seems to have rejected the request. The store doesn't save it."""
    response, is_valid = capture.response, capture.verdict.status in {Status.VALID, Status.REENCODED}
    return capture.delivery is None and response is not None and not (response.ok or is_valid)
