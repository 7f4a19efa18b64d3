"""The lines of `trigger`: requests, responses, messages, the nodes of a workflow's run, and next steps.

This module is pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from port_hook_cli.actions.request import RenderedRequest
from port_hook_cli.captures.view.parts import payload_lines, what_it_is
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.hints import TRIGGER_OPTIONS, delivery_hints
from port_hook_cli.invocations.models import Delivery
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.invocations.statuses import format_status
from port_hook_cli.invocations.view import MOST_OF_A_URL, bytes_text, status_style
from port_hook_cli.javascript.values import write_json
from port_hook_cli.runs.fate import RunFate
from port_hook_cli.runs.view import report_command
from port_hook_cli.text.durations import format_latency
from port_hook_cli.text.layout import INDENT
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.text.secret import Masker
from port_hook_cli.text.styled import JSON
from port_hook_cli.text.styled import Styled as Text
from port_hook_cli.trigger.action import MadeMessage, RunRequest, SignedMessage, payload_of
from port_hook_cli.trigger.remarks import failed_expressions

if TYPE_CHECKING:
    from port_hook_cli.kafka.producer import Published
    from port_hook_cli.trigger.retry import Retry
    from port_hook_cli.workflows.run import WorkflowRun
    from port_hook_cli.workflows.shown_run import ShownNodeRun, ShownRun
    from port_hook_cli.workflows.walk import Step
    from port_hook_cli.workflows.workflow import Node, Workflow

_MAX_LINES = 24
_MAX_EXCERPT_CHARACTERS = 2048
_OK = 2  # the first digit of a 2xx status
_RESULTS = {"SUCCESS": "green", "FAILED": "red", "CANCELLED": "yellow"}
_MOST_OF_AN_OUTPUT = 300
_LOG_NAMES = (("level", "logLevel"), ("message", "log"))
_FATES = {
    RunFate.SUCCESS: "the run is synchronized: this response ends it as SUCCESS",
    RunFate.FAILURE: "the run is synchronized: this response ends it as FAILURE",
    RunFate.WAITS: f"the run {RunFate.WAITS}",
}


def request_lines(ready: RunRequest) -> Iterator[Text]:
    """Yield the lines of a request in the listener's format, with secrets masked."""
    made, content = ready.made, ready.made.masker.content(ready.invocation.body)
    payload = payload_of(made.request, content)
    what = what_it_is(payload) if payload.action or payload.event else made.action.identifier
    url = brief(made.masker.text(ready.url), MOST_OF_A_URL)
    yield Text.assemble((brief(what), "bold"), f"  {made.request.method} {url}")
    yield from payload_lines(payload, content, app_url=None)


def response_lines(
    ready: RunRequest, delivery: Delivery, *, source: str, conflict: str = "", ended: str | None = None
) -> Iterator[Text]:
    """Yield the lines of the response or the error, and the effect on the run in Port, with secrets masked.

    `source` is the user's name for the action. `conflict` is a hint about two places with different secrets, for a
    handler that rejected the signature. `ended` is the status of an ended run in the sandbox.
    """
    masker, fate, run_id = ready.made.masker, ready.fate(delivery), ready.made.request.run_id
    if delivery.status is None:
        # The error contains the host, which a template may have built from a secret.
        yield _line("failed", Text(brief(masker.text(delivery.error or "it failed")), style="red"))
    else:
        outcome = (format_status(delivery.status), status_style(delivery.status))
        yield _line("responded", Text.assemble(outcome, f" in {format_latency(delivery.latency_ms)}"))
        yield from _excerpt(masker.content(delivery.body))
    url = masker.text(ready.url)
    hints = delivery_hints(delivery, TRIGGER_OPTIONS, conflict=conflict, url=url, source=source)
    for number, hint in enumerate(hints):
        yield _line("" if number else "hint", Text(hint))
    if ended is not None:
        yield from _ended_lines(ended)
        return
    if fate is RunFate.FAILURE and delivery.status is None:
        yield _line("in Port", Text("the run is synchronized: without a response it ends as FAILURE"))
    elif effect := _FATES.get(fate):
        yield _line("in Port", Text(effect))
    is_good = delivery.status is not None and delivery.status // 100 == _OK
    if fate is RunFate.WAITS and (command := report_command(run_id, failed=not is_good)):
        yield _line("", Text(command, style="cyan", no_wrap=True))


def _ended_lines(status: str) -> Iterator[Text]:
    yield _line("sandbox", Text(f"the run has ended as {brief(status)}: the handler reported its result"))


def message_lines(message: SignedMessage, topic: str) -> Iterator[Text]:
    """Yield the lines of a message for a Kafka topic, with secrets masked."""
    name, content = message.made.action, message.shown
    found = read_payload(content, Headers(()))
    payload = replace(found, run_id=message.made.run_id or found.run_id)
    what = what_it_is(payload) if payload.action or payload.event or not name else name
    yield Text.assemble((brief(what), "bold"), f"  message for {brief(topic)}")
    yield from payload_lines(payload, content, app_url=None)


def published_lines(made: MadeMessage, published: Published) -> Iterator[Text]:
    """Yield the lines about a published message: where it was published, and what ends the run."""
    yield _line("published", Text(brief(str(published)), style="green"))
    run_id = made.run_id
    if not run_id:
        return
    if made.agent and made.synchronized:
        yield _line("in Port", Text("the run is synchronized: the agent reports the response, which ends it"))
        return
    handler = "The agent sends the request to the handler." if made.agent else "The handler is the topic's consumer."
    yield _line("in Port", Text(f"the run {RunFate.WAITS}"))
    yield _line("", Text(handler))
    if command := report_command(run_id, failed=False):
        yield _line("", Text(command, style="cyan", no_wrap=True))


def run_line(run: Mapping[str, Any]) -> str:
    """Return the line for the state of a run in Port."""
    parts = (run.get("id"), run.get("status"), run.get("statusLabel"), run.get("summary"))
    return "  ".join(brief(str(part)) for part in parts if part)


def log_line(entry: Mapping[str, Any]) -> str:
    """Return the line for a log entry of a run."""
    return f"  log  {printable(str(entry.get('message', '')))}"


def headline(run: WorkflowRun) -> Text:
    """Return the first line of a run: the workflow, the run ID, and the number of nodes."""
    workflow = run.workflow
    count = len(workflow.nodes)
    what = f"  {brief(run.id)}  {count} node{'' if count == 1 else 's'}"
    return Text.assemble((brief(workflow.title or workflow.identifier), "bold"), what)


def retry_lines(retry: Retry) -> Iterator[Text]:
    """Yield the nodes of the last run that have acted in other systems, and whether they run again."""
    run_id = brief(retry.last_run.id)
    if retry.kept:
        yield Text(f"note: these nodes acted in the run {run_id}, and do not run again:")
        yield from map(_acted_line, retry.kept)
    else:
        yield Text(f"note: no node before {brief(retry.node)} acted in the run {run_id}")
    if retry.repeated:
        yield Text(f"note: these nodes acted in the run {run_id}, and can run again:")
        yield from map(_acted_line, retry.repeated)


def _acted_line(node_run: ShownNodeRun) -> Text:
    parts = (node_run.node, node_run.type, node_run.result or node_run.status, node_run.id)
    return Text(f"  {'  '.join(brief(part) for part in parts if part)}")


def sending_line(step: Step, request: RenderedRequest, masker: Masker) -> Text:
    """Return the line of a WEBHOOK node to print before its request is sent."""
    kind = "waits for the response" if request.synchronized else "asynchronous"
    url = brief(masker.text(step.url or ""), MOST_OF_A_URL)
    return Text.assemble((brief(step.node.identifier), "bold"), f"  {request.method} {url}  ({kind})")


def step_lines(step: Step, masker: Masker, conflict: str = "", *, source: str) -> Iterator[Text]:
    """Yield the outcome of a node: response, result, output, behavior that Port does not document, and next steps.

    `conflict` is a hint about two places with different secrets, for a handler that rejected the signature. `source` is
    the user's name for the workflow, without a node.
    """
    from port_hook_cli.workflows.shown_run import show_node_run

    node_run = show_node_run(step.run, step.node_run)
    if step.request is None:
        yield node_line(node_run, step.node.type)
    if step.delivery is not None:
        yield _delivery_line(step.delivery, masker)
        url = masker.text(step.delivery.url)
        node = f"{source}#{step.node.identifier}"
        hints = delivery_hints(step.delivery, TRIGGER_OPTIONS, conflict=conflict, url=url, source=node)
        for number, hint in enumerate(hints):
            yield _line("" if number else "hint", Text(hint))
    for failed in failed_expressions(step.errors, masker):
        yield _line(failed.kind, Text(brief(failed.text, _MOST_OF_AN_OUTPUT), style="yellow"))
    if node_run.has_ended:
        fallback = "  through the fallback" if step.node.outlets else ""
        yield from result_lines(node_run, masker, is_trigger=step.node.is_trigger, fallback=fallback)
    else:
        if not step.is_reported:
            yield from waiting_lines(node_run.id)
        yield from _link_lines(node_run, masker)
    for remark in step.remarks:
        yield _line("note", Text(brief(remark, _MOST_OF_AN_OUTPUT), style="dim"))


def node_line(node_run: ShownNodeRun, kind: str) -> Text:
    """Return the line of a node in a run. `kind` is the type of the node."""
    return Text.assemble((brief(node_run.node), "bold"), f"  {brief(kind)}".rstrip())


def waiting_lines(node_run_id: str) -> Iterator[Text]:
    """Yield the state of an asynchronous node, and the command that reports the node's result."""
    yield _line("in Port", Text(f"{brief(node_run_id)} {RunFate.WAITS}"))
    if command := report_command(node_run_id, failed=False):
        yield _line("", Text(command, style="cyan", no_wrap=True))


def question_lines(node_run_id: str, node: Node, *, advice: str = "") -> Iterator[Text]:
    """Yield the lines about an INPUT node, which waits for a response with an outlet."""
    names = ", ".join(outlet.identifier for outlet in node.outlets) or "none"
    yield _line("in Port", Text(f"{brief(node_run_id)} waits for a response. Its outlets: {brief(names)}"))
    if advice:
        yield _line("hint", Text(advice))


def result_lines(node_run: ShownNodeRun, masker: Masker, *, is_trigger: bool, fallback: str = "") -> Iterator[Text]:
    """Yield the result, output and links of an ended node. `fallback` is shown if the node chose no outlet."""
    result = node_run.result or node_run.status
    outlet = fallback if node_run.outlet is None else f"  through the outlet {brief(node_run.outlet)}"
    yield _line("result", Text.assemble((brief(result), _RESULTS.get(result, "")), outlet))
    if node_run.output and not is_trigger:
        shown = write_json(masker.value(dict(node_run.output)))
        yield _line("output", Text(brief(shown, _MOST_OF_AN_OUTPUT), style="dim"))
    yield from _link_lines(node_run, masker)


def _link_lines(node_run: ShownNodeRun, masker: Masker) -> Iterator[Text]:
    for link in node_run.links:
        yield _line("link", Text(brief(masker.text(link), MOST_OF_A_URL)))


def end_line(run: ShownRun) -> Text:
    """Return the last line of a run: the run ID, and the result or status."""
    result = run.result or run.status
    return Text.assemble((brief(run.id), "bold"), "  ", (brief(result), _RESULTS.get(result, "")))


def port_headline(workflow: Workflow, run: ShownRun, version: int | None) -> Text:
    """Return the first line of a run in Port: the workflow, its version, the run ID and the status."""
    shown = "" if version is None else f"  version {version}"
    what = f"{shown}  {brief(run.id)}  {brief(run.status)}"
    return Text.assemble((brief(workflow.title or workflow.identifier), "bold"), what)


def port_log_line(entry: Mapping[str, Any], masker: Masker) -> Text:
    """Return the line for an entry in the log of a run in Port."""
    level, message = (str(entry.get(name) or entry.get(older) or "") for name, older in _LOG_NAMES)
    text = "  ".join(filter(None, (level, masker.text(message))))
    return _line("log", Text(brief(text, _MOST_OF_AN_OUTPUT)))


def _excerpt(content: bytes) -> Iterator[Text]:
    if not content:
        return
    text = bytes_text(content, limit=_MAX_EXCERPT_CHARACTERS)
    if text is None:
        yield _line("", Text(f"({len(content):,} bytes that are not UTF-8 text)", style="dim"))
        return
    lines = text[:_MAX_EXCERPT_CHARACTERS].splitlines()
    yield from (_line("", Text(line, style=f"dim {JSON}")) for line in lines[:_MAX_LINES])
    if len(text) > _MAX_EXCERPT_CHARACTERS or len(lines) > _MAX_LINES:
        yield _line("", Text("…", style="dim"))


def _line(label: str, text: Text) -> Text:
    return Text.assemble("  ", (label.ljust(INDENT - 2), "dim"), text, no_wrap=text.no_wrap)


def _delivery_line(delivery: Delivery, masker: Masker) -> Text:
    if delivery.status is None:
        return _line("failed", Text(brief(masker.text(delivery.error or "The request failed.")), style="red"))
    return _line("responded", Text(f"{format_status(delivery.status)} in {format_latency(delivery.latency_ms)}"))
