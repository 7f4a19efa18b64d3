"""The texts about runs that a failed test shows. They contain no secrets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from port_hook_cli.javascript.values import write_json
from port_hook_cli.pytest_plugin.runs import Run, WorkflowOutcome
from port_hook_cli.sandbox import ApiEvent
from port_hook_cli.sandbox.entities import STRICT
from port_hook_cli.text.durations import format_latency
from port_hook_cli.text.safe import brief, printable

_REFUSED = frozenset({400, 401, 403})
_MAX_LINES = 20


def summarize(runs: Sequence[Run], calls: Sequence[ApiEvent]) -> str:
    """Return a few lines for each of the latest runs of a test, and its latest API calls."""
    lines = [
        line
        for run in runs[-_MAX_LINES:]
        for line in (f"{run.id} of {brief(run.action)}: {run.result or run.status}", *_run_lines(run))
    ]
    return "\n".join([*lines, *_call_lines(calls), *(f"hint: {hint}" for hint in _strict_hints(runs, calls))])


def describe_not_ended(run: Run, when: str, calls: Sequence[ApiEvent], *, blocks: bool) -> str:
    """Return why a run is still in progress, as far as that is known, and what to do."""
    lines = [f"The run {run.id} of {brief(run.action)} has not ended; it is {run.status} {when}."]
    lines += [*_run_lines(run), *_call_lines([call for call in calls if call.run_id in {run.id, None}])]
    return "\n".join([*lines, *(f"hint: {hint}" for hint in _hints(run, calls, blocks=blocks))])


def describe_workflow_not_ended(outcome: WorkflowOutcome, why: str, calls: Sequence[ApiEvent]) -> str:
    """Return why a workflow's run is still in progress, with what each node sent and received."""
    first = f"The run {outcome.id} of {brief(outcome.workflow)} has not ended: {why}"
    return f"{first}\n{summarize(list(outcome.nodes.values()), calls)}"


def _run_lines(run: Run) -> Iterator[str]:
    request, backend_response = run.request, run.backend_response
    if request is not None:
        yield f"  request   {printable(request.method)} {brief(request.url)} ({len(request.body)} bytes, signed)"
        for error in request.errors:
            yield f"  template  {{{{ {brief(error.expression.strip())} }}}} became null: {brief(error.message)}"
    if backend_response is not None:
        # The latency of a test client is unknown.
        took = f" in {format_latency(backend_response.latency_ms)}" if backend_response.latency_ms else ""
        yield f"  responded {backend_response.status}{took}  {brief(backend_response.text)}".rstrip()
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


def _strict_hints(runs: Sequence[Run], calls: Sequence[ApiEvent]) -> Iterator[str]:
    """Yield what to do if the sandbox rejected an entity that does not match its blueprint."""
    texts = (*(call.note for call in calls), *(write_json(run.output) for run in runs if run.output))
    if any(STRICT in text for text in texts):
        yield (
            "Like Port, the sandbox rejects entities that do not match their blueprints. Declare the blueprint with "
            "port_sandbox.add_blueprint or the setting port_hook_blueprints, and related entities with "
            "port_sandbox.add_entity. Or set port_hook_strict = false."
        )


def _hints(run: Run, calls: Sequence[ApiEvent], *, blocks: bool) -> Iterator[str]:
    if run.backend_response is not None and run.backend_response.status in _REFUSED:
        yield (
            "The request was signed as Port signs, with the secret in port_sandbox.environ. Does the backend read "
            "PORT_CLIENT_SECRET from there, and does it verify the raw bytes of the body instead of rewritten JSON?"
        )
    elif run.backend_response is not None and not run.backend_response.ok:
        yield "A response that is not 2xx does not end the run in Port either; with `wait=False`, invoke does not wait."
    elif any(call.status in {401, 403} for call in calls):
        yield (
            "The sandbox rejected the backend's credentials: does it read PORT_CLIENT_ID and PORT_CLIENT_SECRET from "
            "the environment?"
        )
    elif not calls and (run.backend_response is not None or run.request is None):
        yield "The backend has not called the sandbox: does it read PORT_API_URL from port_sandbox.environ?"
    yield from _strict_hints([run], calls)
    if blocks:
        yield "The test blocked its own event loop while it waited: in an async test, await ainvoke or await_end."
