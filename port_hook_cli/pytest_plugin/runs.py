"""The values that tests get (signed requests, responses and runs), and how failed tests show these values.

The texts contain no secrets.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from port_hook_cli.engines.outcomes import JqError
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.models import Delivery
from port_hook_cli.javascript.values import write_json
from port_hook_cli.sandbox import ApiEvent
from port_hook_cli.sandbox.entities import STRICT
from port_hook_cli.text.durations import format_latency
from port_hook_cli.text.safe import brief, printable

_REFUSED = frozenset({400, 401, 403})
_MAX_LINES = 20


@frozen(kw_only=True)
class PortRequest:
    """The signed request that Port would send.

    Use `dataclasses.replace` to simulate changes in transit. `path` is the path and query of the URL, for test clients.
    `errors` are the template expressions that failed and became null. With `synchronized`, the HTTP response ends the
    run.
    """

    run_id: str
    action: str
    method: str
    url: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes
    synchronized: bool = False
    errors: tuple[JqError, ...] = ()

    def json(self) -> Any:
        """Return the body as a JSON value. Raises ValueError if it is not JSON."""
        return json.loads(self.body)


@frozen(kw_only=True)
class HandlerResponse:
    """A handler's HTTP response. The names in `headers` are lowercase. `latency_ms` is in milliseconds."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = b""
    latency_ms: float = 0.0

    @classmethod
    def of(cls, delivery: Delivery) -> HandlerResponse | None:
        """Return the response of a delivery, or None if there is no response."""
        if delivery.status is None:
            return None
        return cls(
            status=delivery.status,
            headers={name.lower(): value for name, value in delivery.headers},
            body=delivery.body,
            latency_ms=delivery.latency_ms,
        )

    @property
    def ok(self) -> bool:
        """Whether the status is a 2xx."""
        return self.status // 100 == 2  # noqa: PLR2004 - the class of 2xx

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the body as a JSON value. Raises ValueError if it is not JSON."""
        return json.loads(self.body)


@frozen(kw_only=True)
class Run:
    """A snapshot of a run. `logs` are the messages in its log.

    `entities` are the changes to entities that belong to the run. `request` is the run's request, and
    `handler_response` is the response of the handler. Both are None for a run that was only added. The response is also
    None if a test client received it.

    The run of a workflow node also has `result` (SUCCESS, FAILED, CANCELLED), `output` and `outlet`.
    """

    id: str
    action: str
    status: str
    ended: bool
    status_label: str | None = None
    summary: str | None = None
    link: str | list[str] = ""
    external_run_id: str | None = None
    response: Any = None
    logs: tuple[str, ...] = ()
    properties: Mapping[str, Any] = field(default_factory=dict)
    entities: tuple[str, ...] = ()
    request: PortRequest | None = None
    handler_response: HandlerResponse | None = None
    result: str | None = None
    output: Mapping[str, Any] = field(default_factory=dict)
    outlet: str | None = None

    def __repr__(self) -> str:
        """Return the text that pytest shows with a failed assertion."""
        parts = [f"{self.id} of {self.action}: {self.result or self.status}"]
        parts += [f"responded {self.handler_response.status}"] if self.handler_response else []
        parts += [f"{name} {brief(str(value))!r}" for name, value in self._reported() if value]
        return f"<Run {', '.join(parts)}>"

    def _reported(self) -> list[tuple[str, Any]]:
        last = self.logs[-1] if self.logs else None
        return [("label", self.status_label), ("summary", self.summary), ("last log", last)]


@frozen(kw_only=True)
class WorkflowOutcome:
    """A snapshot of a workflow run. `nodes` contains the runs of its nodes so far, by the identifier of the node.

    `status` is IN_PROGRESS or COMPLETED. `result` is SUCCESS, FAILED or CANCELLED, or None while the run is in
    progress.
    """

    id: str
    workflow: str
    status: str
    result: str | None
    nodes: Mapping[str, Run]

    def __repr__(self) -> str:
        """Return the text that pytest shows with a failed assertion."""
        nodes = ", ".join(f"{name} {node.result or node.status}" for name, node in self.nodes.items())
        return f"<WorkflowOutcome {self.id} of {self.workflow}: {self.result or self.status} ({nodes})>"


class WorkflowNotEnded(AssertionError):
    """A workflow run has not ended, because a node waits for the handler's report or for a response."""

    def __init__(self, message: str, outcome: WorkflowOutcome) -> None:
        super().__init__(message)
        self.outcome = outcome


class RunNotEnded(AssertionError):
    """A run has not ended, because the handler rejected the request or did not report a result in time."""

    def __init__(self, message: str, run: Run) -> None:
        super().__init__(message)
        self.run = run


def summarize(runs: Sequence[Run], calls: Sequence[ApiEvent]) -> str:
    """Return a few lines for each of the latest runs of a test, and for its latest API calls."""
    lines = [
        line
        for run in runs[-_MAX_LINES:]
        for line in (f"{run.id} of {brief(run.action)}: {run.result or run.status}", *_run_lines(run))
    ]
    return "\n".join([*lines, *_call_lines(calls), *(f"hint: {hint}" for hint in _strict_hints(runs, calls))])


def describe_not_ended(run: Run, when: str, calls: Sequence[ApiEvent], *, blocks: bool) -> str:
    """Return why a run is still in progress, if the reason is known, and what to do."""
    lines = [f"The run {run.id} of {brief(run.action)} has not ended. It is {run.status} {when}."]
    lines += [*_run_lines(run), *_call_lines([call for call in calls if call.run_id in {run.id, None}])]
    return "\n".join([*lines, *(f"hint: {hint}" for hint in _hints(run, calls, blocks=blocks))])


def describe_workflow_not_ended(outcome: WorkflowOutcome, why: str, calls: Sequence[ApiEvent]) -> str:
    """Return why a workflow run is still in progress, with what each node sent and received."""
    first = f"The run {outcome.id} of {brief(outcome.workflow)} has not ended: {why}"
    return f"{first}\n{summarize(list(outcome.nodes.values()), calls)}"


def _run_lines(run: Run) -> Iterator[str]:
    request, handler_response = run.request, run.handler_response
    if request is not None:
        yield f"  request   {printable(request.method)} {brief(request.url)} ({len(request.body)} bytes, signed)"
        for error in request.errors:
            yield f"  template  {{{{ {brief(error.expression.strip())} }}}} became null: {brief(error.message)}"
    if handler_response is not None:
        # The latency of a test client is unknown.
        took = f" in {format_latency(handler_response.latency_ms)}" if handler_response.latency_ms else ""
        yield f"  responded {handler_response.status}{took}  {brief(handler_response.text)}".rstrip()
    for message in run.logs[-_MAX_LINES:]:
        yield f"  log       {brief(message)}"
    output = write_json(run.output) if run.output else ""
    named = {
        "outlet": run.outlet,
        "output": output,
        "label": run.status_label,
        "summary": run.summary,
        "link": run.link,
    }
    yield from (f"  {name:<9} {brief(str(value))}" for name, value in named.items() if value)


def _call_lines(calls: Sequence[ApiEvent]) -> Iterator[str]:
    for call in calls[-_MAX_LINES:]:
        yield f"  call      {printable(call.method)} {brief(call.path)} {call.status}  {brief(call.note)}".rstrip()


def _unreported(run: Run, calls: Sequence[ApiEvent]) -> str:
    """Return what the handler's calls lack: a report of this run, or the status in a report."""
    ends = f"PATCH /v1/actions/runs/{run.id} with the `status` SUCCESS or FAILURE ends it."
    if any(call.run_id == run.id and call.method == "PATCH" for call in calls):
        return f"The handler reported this run, but no report that the sandbox accepted has a `status`. {ends}"
    if any(call.run_id == run.id for call in calls):
        return f"The handler called the sandbox about this run, but reported no status. {ends}"
    return f"The handler called the sandbox, but never about this run. {ends} Does it read the run ID from the body?"


def _strict_hints(runs: Sequence[Run], calls: Sequence[ApiEvent]) -> Iterator[str]:
    """Yield hints for a sandbox that rejected an entity because it does not match its blueprint."""
    texts = (*(call.note for call in calls), *(write_json(run.output) for run in runs if run.output))
    if any(STRICT in text for text in texts):
        yield (
            "Declare blueprints (port_sandbox.add_blueprint or port_hook_blueprints) and related entities "
            "(port_sandbox.add_entity), or set port_hook_strict = false."
        )


def _hints(run: Run, calls: Sequence[ApiEvent], *, blocks: bool) -> Iterator[str]:
    if run.handler_response is not None and run.handler_response.status in _REFUSED:
        yield (
            "Does the handler read PORT_CLIENT_SECRET from port_sandbox.environ, and does it verify the raw body "
            "instead of rewritten JSON?"
        )
    elif run.handler_response is not None and not run.handler_response.ok:
        yield "A response that is not 2xx does not end the run in Port either. With `wait=False`, invoke does not wait."
    elif any(call.status in {401, 403} for call in calls):
        yield (
            "The sandbox rejected the handler's credentials: does it read PORT_CLIENT_ID and PORT_CLIENT_SECRET from "
            "the environment?"
        )
    elif not calls and (run.handler_response is not None or run.request is None):
        yield "The handler has not called the sandbox: does it read PORT_API_URL from port_sandbox.environ?"
    elif calls and not blocks:
        yield _unreported(run, calls)
    yield from _strict_hints([run], calls)
    if blocks:
        yield "The test blocked its own event loop while it waited: in an async test, await ainvoke or await_end."
