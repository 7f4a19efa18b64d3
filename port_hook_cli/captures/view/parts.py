"""The parts of a capture that several views show: the action, the payload, causes and outcomes. This module is pure.

All text from a sender or a handler first goes through `text.safe`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from port_hook_cli.invocations.models import INTERRUPTED, Delivery, Kind, Payload, Simulated, Status, Verdict
from port_hook_cli.invocations.payload import is_run_id
from port_hook_cli.invocations.view import MAX_EXPLANATION, body_text, bytes_text, value_text
from port_hook_cli.text.durations import format_latency
from port_hook_cli.text.layout import INDENT, labeled
from port_hook_cli.text.safe import brief, shorten
from port_hook_cli.text.styled import JSON, Styled, cell_width, cut_middle, padded

BODY_EXCERPT = 2048
"""The number of characters of a body that a listener shows."""

_MOST_LINES = 24
_NAME_WIDTH = 40
_MOST_INPUTS = 40
_MOST_CHANGES = 20
_LEAST_OF_A_NAME = 2


def what_it_is(payload: Payload) -> str:
    """Return a short description of an invocation: the action and its operation, or the event and its entity."""
    if payload.kind in {Kind.AUTOMATION, Kind.CHANGE_LOG}:
        kind = "automation" if payload.kind is Kind.AUTOMATION else "change log"
        where = "/".join(part for part in (payload.blueprint, payload.entity) if part)
        return " ".join(filter(None, (kind, payload.action, payload.event, where)))
    if payload.kind is Kind.WORKFLOW_NODE:
        return f"workflow node {payload.name or ''}".rstrip()
    return " ".join(filter(None, (payload.name, payload.operation))) or "(no action)"


def action_name(payload: Payload) -> str:
    """Return the name of the action, the node or the event's entity, without its operation."""
    if payload.kind in {Kind.AUTOMATION, Kind.CHANGE_LOG}:
        return payload.action or payload.entity or payload.blueprint or what_it_is(payload)
    return payload.name or ("workflow node" if payload.kind is Kind.WORKFLOW_NODE else "(no action)")


def payload_lines(payload: Payload, body: bytes, *, app_url: str | None) -> Iterator[Styled]:
    """Yield the fields of a body. A body of an unknown shape is shown unchanged."""
    if payload.run_id:
        yield labeled("run", Styled(brief(payload.run_id), link=run_page_link(payload.run_id, app_url)))
    who = " from ".join(part for part in (payload.user, payload.origin) if part)
    for label, value in (
        ("of run", payload.workflow_run),
        ("by", who),
        ("blueprint", payload.blueprint),
        ("entity", payload.entity),
    ):
        if value:
            yield labeled(label, brief(value))
    yield from _table("inputs", payload.inputs)
    if payload.censored:
        yield labeled("encrypted", brief(", ".join(payload.censored)))
    yield from content_lines(payload, body)


def content_lines(payload: Payload, body: bytes, *, indent: int = INDENT) -> Iterator[Styled]:
    """Yield the changes of an event, or a body of an unknown shape."""
    for index, change in enumerate(payload.changes[:_MOST_CHANGES]):
        before, after = ((value_text(value), JSON) for value in (change.before, change.after))
        text = Styled.assemble(f"{brief(change.path)}: ", before, " -> ", after)
        yield labeled("" if index else "changes", text, indent=indent)
    if payload.problem:
        yield labeled("body", brief(payload.problem), "yellow", indent=indent)
        yield from excerpt_lines("", body, bytes_text(body, limit=BODY_EXCERPT), indent=indent)
    elif payload.kind is Kind.UNKNOWN and not payload.inputs:
        yield from excerpt_lines("body", body, body_text(payload, body, limit=BODY_EXCERPT), indent=indent)


def capture_marks(
    *, is_message: bool, is_replay: bool, is_probe: bool, is_truncated: bool, simulated: Simulated | None
) -> str:
    """Return what is special about a capture, in parentheses after a space, or ""."""
    marks = {"kafka": is_message, "replay": is_replay, "check": is_probe and not is_replay, "truncated": is_truncated}
    if simulated is not None:
        marks |= {"dropped": simulated.dropped, "by hand": simulated.manual}
        if not (simulated.dropped or simulated.manual):
            marks["simulated" if simulated.failure else "delayed"] = True
    found = [mark for mark, applies in marks.items() if applies]
    return f" ({', '.join(found)})" if found else ""


def short_name(name: str, width: int) -> str:
    """Return a name in visible characters and at most `width` columns, without its middle if it is longer."""
    # Both the escapes and a row of combining characters have more characters than columns.
    return cut_middle(brief(cut_middle(name, width), 4 * width), width)


def cut_action(action: str, width: int) -> str:
    """Return a name and its marks in at most `width` columns. The name loses its middle, and no mark is cut."""
    if cell_width(action) <= width:
        return action
    name, begin, marks = action.rpartition(" (")
    for end in (f" ({marks}", f" ({marks.partition(', ')[0]}…)", " (…)") if begin else ():
        if (room := width - cell_width(end)) >= _LEAST_OF_A_NAME:
            return cut_middle(name, room) + end
    return cut_middle(action, width)


def run_page_link(run_id: str, app_url: str | None) -> str:
    """Return the URL of a run's page in Port, or "" if it is unknown."""
    if not app_url or not is_run_id(run_id):
        return ""
    from port_hook_cli.runs.urls import run_page

    return run_page(app_url, run_id)


def cause_lines(verdict: Verdict, *, indent: int = INDENT) -> Iterator[Styled]:
    """Yield the causes of a signature's verdict, each with its fix. For a valid signature, the causes are warnings."""
    is_good = verdict.status in {Status.VALID, Status.REENCODED}
    for cause in verdict.causes:
        words = f"{brief(cause.slug)}: {brief(cause.explanation, MAX_EXPLANATION)}"
        label, style = ("warning", "yellow") if is_good else ("cause", "red")
        yield labeled(label, words, style, indent=indent)
        yield labeled("fix", brief(cause.fix, MAX_EXPLANATION), indent=indent)


def outcome_text(delivery: Delivery) -> str:
    """Return a delivery's outcome and duration, such as `200 in 3.1 ms` or `interrupted after 3 s`."""
    word = "after" if delivery.fault == INTERRUPTED else "in"
    return f"{brief(delivery.outcome, 20)} {word} {format_latency(delivery.latency_ms)}"


def simulated_label(simulated: Simulated) -> str:
    """Return the label in front of `simulated_text`."""
    return "responded" if simulated.manual else "simulated"


def simulated_text(simulated: Simulated) -> str:
    """Return a description of a simulation with its options, or of a response by hand."""
    if simulated.manual:
        return f"by hand, after {simulated.delay_s:g} s" if simulated.delay_s else "by hand"
    parts = []
    if simulated.failure:
        failure = f"failure (--{brief(simulated.failure, 20)})"
        parts.append("closed connection (--respond drop)" if simulated.dropped else failure)
    if simulated.delay_s:
        parts.append(f"delay of {simulated.delay_s:.2f} s (--delay)")
    return ", ".join(parts)


def _table(label: str, values: dict[str, Any]) -> Iterator[Styled]:
    shown = [(brief(name, _NAME_WIDTH), value) for name, value in islice(values.items(), _MOST_INPUTS)]
    width = max((cell_width(name) for name, _ in shown), default=0)
    for index, (name, value) in enumerate(shown):
        text = Styled.assemble((padded(name, width), "bold"), "  ", (value_text(value), JSON))
        yield labeled("" if index else label, text)
    if len(values) > len(shown):
        yield labeled("", f"and {len(values) - len(shown)} more (use `port-hook show ID`)", "dim")


def excerpt_lines(label: str, body: bytes, text: str | None, *, indent: int = INDENT) -> Iterator[Styled]:
    """Yield the beginning of a body's text: at most 2 kB and 24 lines. For a body that is not text, yield its size."""
    if text is None:
        yield labeled(label, f"({len(body):,} bytes that are not UTF-8 text)", "dim", indent=indent)
        return
    lines = shorten(text, BODY_EXCERPT).splitlines()
    for index, line in enumerate(lines[:_MOST_LINES]):
        yield labeled("" if index else label, line, f"dim {JSON}", indent=indent)
    if len(text) > BODY_EXCERPT or len(lines) > _MOST_LINES:
        yield labeled("", "and more (use `port-hook show ID`)", "dim", indent=indent)
