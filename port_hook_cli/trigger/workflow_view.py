"""A workflow's run on the screen: a line when a node begins, and lines for what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from port_hook_cli.actions.request import RenderedRequest
from port_hook_cli.invocations.hints import TRIGGER_OPTIONS, delivery_hints
from port_hook_cli.invocations.models import Delivery
from port_hook_cli.invocations.view import MOST_OF_A_URL, format_status
from port_hook_cli.javascript.values import write_json
from port_hook_cli.runs.view import report_command
from port_hook_cli.text.durations import format_latency
from port_hook_cli.text.layout import INDENT
from port_hook_cli.text.safe import brief
from port_hook_cli.text.secret import Masker
from port_hook_cli.text.styled import Styled
from port_hook_cli.workflows.run import WorkflowRun
from port_hook_cli.workflows.shown_run import ShownNodeRun, ShownRun
from port_hook_cli.workflows.walk import Step
from port_hook_cli.workflows.workflow import Workflow

_MOST_OF_AN_OUTPUT = 300
_LOG_NAMES = (("level", "logLevel"), ("message", "log"))
_STYLES = {"SUCCESS": "green", "FAILED": "red", "CANCELLED": "yellow"}


def headline(run: WorkflowRun) -> Styled:
    """Return the line that begins a run: the workflow, the run's id, how many nodes there are."""
    workflow: Workflow = run.workflow
    count = len(workflow.nodes)
    what = f"  {brief(run.id)}  {count} node{'' if count == 1 else 's'}"
    return Styled.assemble((brief(workflow.title or workflow.identifier), "bold"), what)


def request_line(step: Step, request: RenderedRequest, url: str) -> Styled:
    """Return the line of a WEBHOOK node whose request goes out to `url`, which has its secrets masked."""
    kind = "waits for the response" if request.synchronized else "asynchronous"
    return Styled.assemble(
        (brief(step.node.identifier), "bold"), f"  {request.method} {brief(url, MOST_OF_A_URL)}  ({kind})"
    )


def step_lines(step: Step, masker: Masker, conflict: str = "") -> Iterator[Styled]:
    """Yield the outcome of a node: the response, its result and output, what Port does not document, what to do next.

    `conflict` says that two places have different secrets; it is shown if the handler refused the signature.
    """
    node_run = step.node_run
    if step.request is None:
        yield Styled.assemble((brief(step.node.identifier), "bold"), f"  {brief(step.node.type)}")
    if step.delivery is not None:
        yield _response_line(step.delivery, masker)
        for number, hint in enumerate(delivery_hints(step.delivery, TRIGGER_OPTIONS, conflict=conflict)):
            yield _line("" if number else "hint", Styled(hint))
    for error in step.errors:
        message = f"{{{{ {error.expression.strip()} }}}} became null: {error.message}"
        yield _line("warning", Styled(brief(masker.message(message), _MOST_OF_AN_OUTPUT), style="yellow"))
    yield from _waiting_lines(node_run.id) if node_run.result is None else _result_lines(step, masker)
    for link in node_run.links:
        yield _line("link", Styled(brief(masker.text(link), MOST_OF_A_URL)))
    for remark in step.remarks:
        yield _line("note", Styled(brief(remark, _MOST_OF_AN_OUTPUT), style="dim"))


def _waiting_lines(node_run_id: str) -> Iterator[Styled]:
    yield _line("in Port", Styled(f"{brief(node_run_id)} is IN_PROGRESS until it is reported"))
    if command := report_command(node_run_id, failed=False):
        yield _line("", Styled(command, style="cyan", no_wrap=True))


def _result_lines(step: Step, masker: Masker) -> Iterator[Styled]:
    result = str(step.node_run.result)
    yield _line("result", Styled.assemble((result, _STYLES.get(result, "")), _took(step)))
    if step.node_run.output and not step.node.is_trigger:
        shown = write_json(masker.value(dict(step.node_run.output)))
        yield _line("output", Styled(brief(shown, _MOST_OF_AN_OUTPUT), style="dim"))


def end_line(run: WorkflowRun) -> Styled:
    """Return the line that ends the output: the run's status and result."""
    result = str(run.result or run.status)
    return Styled.assemble((brief(run.id), "bold"), "  ", (result, _STYLES.get(result, "")))


def port_headline(workflow: Workflow, run: ShownRun, version: int | None) -> Styled:
    """Return the line that begins a run in Port: the workflow, its version, the run's id and status."""
    shown = "" if version is None else f"  version {version}"
    what = f"{shown}  {brief(run.id)}  {brief(run.status)}"
    return Styled.assemble((brief(workflow.title or workflow.identifier), "bold"), what)


def port_node_line(node_run: ShownNodeRun, kind: str) -> Styled:
    """Return the line of a node that a run in Port has come to; `kind` is its type."""
    return Styled.assemble((brief(node_run.node), "bold"), f"  {brief(kind)}".rstrip())


def port_waiting_lines(node_run: ShownNodeRun) -> Iterator[Styled]:
    """Yield what an asynchronous node waits for, and the command that reports it."""
    return _waiting_lines(node_run.id)


def port_result_lines(node_run: ShownNodeRun, masker: Masker, *, is_trigger: bool) -> Iterator[Styled]:
    """Yield the result, output and links of a node that has ended in Port."""
    result = node_run.result or node_run.status
    outlet = "" if node_run.outlet is None else f"  through the outlet {brief(node_run.outlet)}"
    yield _line("result", Styled.assemble((brief(result), _STYLES.get(result, "")), outlet))
    if node_run.output and not is_trigger:
        shown = write_json(masker.value(dict(node_run.output)))
        yield _line("output", Styled(brief(shown, _MOST_OF_AN_OUTPUT), style="dim"))
    for link in node_run.links:
        yield _line("link", Styled(brief(masker.text(link), MOST_OF_A_URL)))


def port_log_line(entry: Mapping[str, Any], masker: Masker) -> Styled:
    """Return the line of an entry in the log of a run in Port."""
    level, message = (str(entry.get(name) or entry.get(older) or "") for name, older in _LOG_NAMES)
    text = "  ".join(filter(None, (level, masker.text(message))))
    return _line("log", Styled(brief(text, _MOST_OF_AN_OUTPUT)))


def port_end_line(run: ShownRun) -> Styled:
    """Return the line that ends the output: the run's id, and its result or status."""
    result = run.result or run.status
    return Styled.assemble((brief(run.id), "bold"), "  ", (brief(result), _STYLES.get(result, "")))


def _took(step: Step) -> str:
    outlet = step.node_run.outlet
    if step.node.outlets:
        return f"  {'through the fallback' if outlet is None else f'through the outlet {brief(outlet)}'}"
    return ""


def _response_line(delivery: Delivery, masker: Masker) -> Styled:
    if delivery.status is None:
        return _line("failed", Styled(brief(masker.text(delivery.error or "The request failed.")), style="red"))
    return _line("responded", Styled(f"{format_status(delivery.status)} in {format_latency(delivery.latency_ms)}"))


def _line(label: str, text: Styled) -> Styled:
    return Styled.assemble("  ", (label.ljust(INDENT - 2), "dim"), text)
