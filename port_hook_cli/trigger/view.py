"""Screen output of `trigger`: the request as the listener shows it, the response, and its effect on the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from port_hook_cli.actions.request import RenderedRequest
from port_hook_cli.captures.view.exchange import payload_lines, what_it_is
from port_hook_cli.invocations.hints import TRIGGER_OPTIONS, delivery_hints
from port_hook_cli.invocations.models import Delivery, Headers, Payload
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.invocations.view import MOST_OF_A_URL, bytes_text, format_status
from port_hook_cli.runs.fate import RunFate
from port_hook_cli.runs.view import report_command
from port_hook_cli.text.durations import format_latency
from port_hook_cli.text.layout import INDENT
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.text.styled import JSON
from port_hook_cli.text.styled import Styled as Text

_MAX_LINES = 24
_MAX_EXCERPT_CHARACTERS = 2048
_OK = 2  # the class of 2xx
_STYLES = {2: "green", 3: "yellow", 4: "red", 5: "red"}
_FATES = {
    RunFate.SUCCESS: "the run is synchronized: this response ends it as SUCCESS",
    RunFate.FAILURE: "the run is synchronized: this response ends it as FAILURE",
    RunFate.WAITS: "the run stays IN_PROGRESS until the backend reports its result",
}


def payload_of(request: RenderedRequest, content: bytes) -> Payload:
    """Return what a request's `content` says, with the run's id and `synchronized` from the request."""
    payload = read_payload(content, Headers(request.headers))
    return replace(payload, run_id=request.run_id, synchronized=request.synchronized)


def request_lines(name: str, request: RenderedRequest, *, url: str, content: bytes) -> Iterator[Text]:
    """Yield the lines of a request; `name` is the action's identifier. Secrets in `url` and `content` are masked."""
    payload = payload_of(request, content)
    what = what_it_is(payload) if payload.action or payload.event else name
    yield Text.assemble((brief(what), "bold"), f"  {request.method} {brief(url, MOST_OF_A_URL)}")
    yield from payload_lines(payload, content, app_url=None)


def response_lines(
    delivery: Delivery, *, content: bytes, fate: RunFate, run_id: str, conflict: str = ""
) -> Iterator[Text]:
    """Yield the lines of the response with the body `content`, or the error, and the effect on the run in Port."""
    if delivery.status is None:
        yield _line("failed", Text(brief(delivery.error or "it failed"), style="red"))
    else:
        style = _STYLES.get(delivery.status // 100, "")
        outcome = (format_status(delivery.status), style)
        yield _line("responded", Text.assemble(outcome, f" in {format_latency(delivery.latency_ms)}"))
        yield from _excerpt(content)
    for number, hint in enumerate(delivery_hints(delivery, TRIGGER_OPTIONS, conflict=conflict)):
        yield _line("" if number else "hint", Text(hint))
    if fate is RunFate.FAILURE and delivery.status is None:
        yield _line("in Port", Text("the run is synchronized: without a response it ends as FAILURE"))
    elif effect := _FATES.get(fate):
        yield _line("in Port", Text(effect))
    is_good = delivery.status is not None and delivery.status // 100 == _OK
    if fate is RunFate.WAITS and (command := report_command(run_id, failed=not is_good)):
        yield _line("", Text(command, style="cyan", no_wrap=True))


def message_lines(name: str, run_id: str, *, topic: str, content: bytes) -> Iterator[Text]:
    """Yield the lines of a message for a Kafka topic; secrets in `content` are masked."""
    found = read_payload(content, Headers(()))
    payload = replace(found, run_id=run_id or found.run_id)
    what = what_it_is(payload) if payload.action or payload.event or not name else name
    yield Text.assemble((brief(what), "bold"), f"  message for {brief(topic)}")
    yield from payload_lines(payload, content, app_url=None)


def published_lines(place: str, run_id: str, *, agent: bool, synchronized: bool) -> Iterator[Text]:
    """Yield where a message was published, and who ends the run."""
    yield _line("published", Text(brief(place), style="green"))
    if not run_id:
        return
    if agent and synchronized:
        yield _line("in Port", Text("the run is synchronized: the agent reports the response, which ends it"))
        return
    who = "the backend, which gets the agent's request," if agent else "the consumer of the topic"
    yield _line("in Port", Text(f"the run stays IN_PROGRESS until {who} reports its result"))
    if command := report_command(run_id, failed=False):
        yield _line("", Text(command, style="cyan", no_wrap=True))


def run_line(run: Mapping[str, Any]) -> str:
    """Return the line for the state of a run in Port."""
    parts = (run.get("id"), run.get("status"), run.get("statusLabel"), run.get("summary"))
    return "  ".join(brief(str(part)) for part in parts if part)


def log_line(entry: Mapping[str, Any]) -> str:
    """Return the line for a log entry of a run."""
    return f"  log  {printable(str(entry.get('message', '')))}"


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
