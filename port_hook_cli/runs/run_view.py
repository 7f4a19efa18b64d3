"""Show runs in Port: a list, one run in full with its log, and the JSON record. This module is pure.

All text from Port and the store is made printable.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from port_hook_cli.invocations.models import Capture
from port_hook_cli.invocations.view import format_time
from port_hook_cli.runs.missed import Missed
from port_hook_cli.runs.port_run import LogEntry, PortRun, RunKind, read_time
from port_hook_cli.runs.urls import run_page
from port_hook_cli.runs.waiting import why_waiting
from port_hook_cli.text.durations import format_duration
from port_hook_cli.text.layout import labeled
from port_hook_cli.text.safe import brief, printable_lines, shorten
from port_hook_cli.text.styled import Styled, cell_width, cut_middle

RUN = "port-hook/run/1"

_COLUMNS = ("started", "run", "state", "action", "captured")
_ACTION = _COLUMNS.index("action")
_HIDDEN_FIRST = tuple(map(_COLUMNS.index, ("captured", "started")))
_LEAST_OF_AN_ACTION = 10
_MOST_OF_A_CELL = 60
_MOST_OF_A_TEXT = 4_000
_MOST_LINES = 20
_MOST_NAMED = 5
_MOST_OF_AN_ENTRY = 2_000
_GOOD, _BAD = frozenset({"SUCCESS"}), frozenset({"FAILURE", "FAILED", "DECLINED", "CANCELLED"})


def is_captured(run: PortRun, captured: Collection[str]) -> bool:
    """Return whether a run's request, or a request of its nodes, is captured. `captured` contains run IDs."""
    return any(each in captured for each in run.request_ids)


def runs_table(
    runs: Sequence[PortRun], captured: Collection[str], *, now: float, width: int | None
) -> Iterator[Styled]:
    """Yield runs as a table with a header. With `width`, a first line names the columns that are hidden to fit.

    Long actions lose their middle. IDs and states are always whole.
    """
    today = _local(now).date()
    rows = [_COLUMNS, *(_cells(run, today, is_captured(run, captured)) for run in runs)]
    widths = [max(map(cell_width, column)) for column in zip(*rows, strict=True)]
    kept = list(range(len(_COLUMNS)))
    if width is not None:
        kept, widths[_ACTION] = _fitted(widths, width)
        if hidden := [name for number, name in enumerate(_COLUMNS) if number not in kept]:
            yield Styled(f"{', '.join(hidden)}: hidden", "dim", no_wrap=True)
    for number, row in enumerate(rows):
        cells = [cut_middle(row[column], widths[column]) for column in kept]
        padded = (cell + " " * (widths[column] - cell_width(cell)) for column, cell in zip(kept, cells, strict=True))
        yield Styled("  ".join(padded).rstrip(), "" if number else "bold", no_wrap=True)


def _fitted(widths: Sequence[int], width: int) -> tuple[list[int], int]:
    """Return the columns that fit into `width` with the beginning of each action, and the width of the actions."""
    kept = list(range(len(widths)))
    room = width - sum(widths) + widths[_ACTION] - 2 * (len(widths) - 1)
    for column in _HIDDEN_FIRST:
        if room >= min(widths[_ACTION], _LEAST_OF_AN_ACTION):
            break
        kept.remove(column)
        room += widths[column] + 2
    return kept, min(widths[_ACTION], max(_LEAST_OF_AN_ACTION, room))


def run_lines(run: PortRun, captures: Mapping[str, Capture], *, now: float, app_url: str) -> Iterator[Styled]:
    """Yield one run without its log. `captures` contains the latest capture of each run that has one."""
    yield _heading(run)
    yield from _state_lines(run, now)
    for number, line in enumerate(shorten(printable_lines(run.summary), _MOST_OF_A_TEXT).splitlines()[:_MOST_LINES]):
        yield labeled("" if number else "summary", line)
    for link in run.links:
        yield labeled("link", Styled(brief(link, 1_000), no_wrap=True))
    if run.url:
        yield labeled("request", f"{brief(str((run.payload or {}).get('method') or 'POST'))} {brief(run.url, 1_000)}")
    yield from _node_lines(run, captures, now)
    if run.kind is not RunKind.WORKFLOW:
        yield labeled("captured", _capture_text(run, captures.get(run.id)))
    yield from _waiting_lines(run, captures)
    if run.kind is RunKind.ACTION and (page := run_page(app_url, run.id)):
        yield labeled("page", Styled(page, no_wrap=True))


def _heading(run: PortRun) -> Styled:
    style = "green" if run.state in _GOOD else "red" if run.state in _BAD else "yellow"
    name = brief(run.name or "(no action)")
    return Styled.assemble((brief(run.id), "bold"), "  ", name, "  ", (brief(run.state), style))


def _state_lines(run: PortRun, now: float) -> Iterator[Styled]:
    if run.started_s is not None:
        ago = "" if run.has_ended else f", {format_duration(max(0.0, now - run.started_s))} ago"
        who = f" by {brief(run.created_by)}" if run.created_by else ""
        source = f" from {brief(run.source)}" if run.source else ""
        yield labeled("started", f"{_time(run.created_at, now)}{ago}{who}{source}")
    if run.has_ended:
        yield labeled("ended", ended_text(run, now))
    for label, text in (("label", run.status_label), ("problem", run.problem), ("node type", run.node_type)):
        if text:
            yield labeled(label, brief(text))


def _waiting_lines(run: PortRun, captures: Mapping[str, Capture]) -> Iterator[Styled]:
    for waiting in why_waiting(run, captures):
        node = next((each.name for each in run.node_runs if each.id == waiting.run_id), "")
        reasons = " ".join(waiting.reasons)
        yield labeled("waits", brief(f"{node}: {reasons}" if node else reasons, 1_000))
        for command in waiting.commands:
            yield labeled("", Styled(command, "cyan", no_wrap=True))


def ended_text(run: PortRun, now: float) -> str:
    """Return when a run ended and who ended it, as far as Port shows it."""
    at = _time(run.ended_at, now) if run.ended_at else "at an unknown time"
    approver = (run.approval or {}).get("userId")
    if run.state == "DECLINED" and isinstance(approver, str):
        return f"{at}, declined by {brief(approver)}"
    if run.synchronized:
        return f"{at}, by the HTTP response (the run is synchronized)"
    if run.updated_by:
        return f"{at}, last updated by {brief(run.updated_by)}. Port doesn't document who ended a run"
    return f"{at}. Port doesn't show who ended it"


def log_lines(entries: Sequence[LogEntry], node_runs: Sequence[PortRun], *, now: float) -> Iterator[Styled]:
    """Yield entries of a log, each with at most 20 lines and 2,000 characters."""
    names = {each.id: each.name for each in node_runs}
    for entry in entries:
        start = " ".join(filter(None, (_time(entry.at, now), names.get(entry.node_run, ""), entry.level)))
        shown = shorten(printable_lines(entry.message), _MOST_OF_AN_ENTRY).splitlines() or [""]
        for number, line in enumerate(shown[:_MOST_LINES]):
            yield labeled("" if number else "log", line if number else f"{brief(start)}  {line}")
        if len(entry.message) > _MOST_OF_AN_ENTRY or len(shown) > _MOST_LINES:
            yield labeled("", "the rest of this entry is in Port (--json prints it)", "dim")


def change_text(run: PortRun) -> str:
    """Return a run's state, its label, and its nodes in progress, on one line."""
    nodes = ", ".join(each.name for each in run.open_node_runs)
    return brief(" ".join(filter(None, (run.id, run.state, f"({run.status_label})" * bool(run.status_label), nodes))))


def left_out(missed: Missed, *, now: float) -> Iterator[str]:
    """Yield notes about the runs that are left out."""
    if nodes := missed.node_runs:
        yield f"Port's API doesn't return the requests of node runs. In progress and not captured here: {named(nodes)}"
    if runs := missed.anonymous:
        yield f"requests without their run ID may be captured here, so they are left out: {named(runs)}"
    if runs := missed.deleted:
        since = _short_time(missed.complete_since_s, _local(now).date())
        yield (
            f"captures from before {since} were deleted, so earlier runs are left out ({len(runs)}): {named(runs)}. "
            "To send one anyway, run `port-hook replay RUN_ID`"
        )


def named(runs: Sequence[PortRun]) -> str:
    """Return the IDs of the first runs, and how many more there are."""
    first = ", ".join(brief(each.id) for each in runs[:_MOST_NAMED])
    return f"{first} and {len(runs) - _MOST_NAMED} more" if len(runs) > _MOST_NAMED else first


def run_record(
    run: PortRun,
    captures: Mapping[str, Capture],
    *,
    app_url: str,
    captured: Collection[str] | None = None,
    entries: Sequence[LogEntry] | None = None,
) -> dict[str, Any]:
    """Return the record of a run. In a list, pass the `captured` run IDs. Otherwise, `entries` is the log."""
    waiting = why_waiting(run, captures)
    return {
        "schema": RUN,
        "run_id": run.id,
        "kind": run.kind,
        "name": run.name or None,
        "status": run.status,
        "result": run.result or None,
        "status_label": run.status_label or None,
        "summary": run.summary or None,
        "links": list(run.links),
        "created_at": run.created_at or None,
        "created_by": run.created_by or None,
        "ended_at": run.ended_at or None,
        "updated_by": run.updated_by or None,
        "source": run.source or None,
        "synchronized": run.synchronized,
        "url": run.url or None,
        "page": (run_page(app_url, run.id) or None) if run.kind is RunKind.ACTION else None,
        "captured": is_captured(run, captures if captured is None else captured) or _if_known(run),
        "capture": _capture_record(captures.get(run.id)),
        "ends_with": [{"run_id": each.run_id, "what": each.waits_for} for each in waiting]
        if captured is None
        else None,
        "node_runs": [
            {
                "node": each.name or None,
                "node_type": each.node_type or None,
                "node_run_id": each.id,
                "status": each.status,
                "result": each.result or None,
                "problem": each.problem or None,
                "links": list(each.links),
                "captured": each.id in (captures if captured is None else captured),
            }
            for each in run.node_runs
        ],
        "log": None if entries is None else [_entry_record(entry) for entry in entries],
    }


def _if_known(run: PortRun) -> bool | None:
    return None if run.has_anonymous_request else False


def _entry_record(entry: LogEntry) -> dict[str, Any]:
    return {
        "message": entry.message,
        "at": entry.at or None,
        "level": entry.level or None,
        "node_run_id": entry.node_run or None,
    }


def _capture_record(capture: Capture | None) -> dict[str, Any] | None:
    if capture is None:
        return None
    return {
        "id": capture.invocation.id,
        "received_at": format_time(capture.invocation.received_at),
        "verdict": capture.verdict.status,
        "response": None if capture.response is None else {"status": capture.response.status},
        "handler": None if capture.delivery is None else capture.delivery.outcome,
    }


def _cells(run: PortRun, today: date, captured: bool) -> Sequence[str]:
    node = next((f"#{each.name}" for each in run.open_node_runs if each.name), "")
    started = "-" if run.started_s is None else _short_time(run.started_s, today)
    seen = "yes" if captured else _not_captured(run)
    cells = (started, run.id, run.state, f"{run.name or '(no action)'}{node}", seen)
    return [brief(cell, max(_MOST_OF_A_CELL, len(run.id))) for cell in cells]


def _node_lines(run: PortRun, captures: Mapping[str, Capture], now: float) -> Iterator[Styled]:
    for number, each in enumerate(run.node_runs):
        capture = captures.get(each.id)
        shown = f", captured as {brief(capture.invocation.id)}" if capture else ""
        problem = f": {each.problem}" if each.problem else ""
        text = f"{_time(each.created_at, now)}  {each.name}  {each.state}  {each.id}{shown}{problem}"
        yield labeled("" if number else "nodes", brief(text, 400))


def _capture_text(run: PortRun, capture: Capture | None) -> str:
    if capture is None:
        return _not_captured(run)
    delivery, response = capture.delivery, capture.response
    handler = f", handler {brief(delivery.outcome, 20)}" if delivery else ""
    own = f", response {response.status}" if response and not delivery else ""
    return f"{brief(capture.invocation.id)}, signature {capture.verdict.status}{handler}{own}"


def _not_captured(run: PortRun) -> str:
    return "unknown" if run.has_anonymous_request else "no"


def _time(text: str, now: float) -> str:
    found = read_time(text)
    return brief(text, 40) if found is None else _short_time(found, _local(now).date())


def _short_time(epoch_s: float, today: date) -> str:
    at = _local(epoch_s)
    return at.strftime("%H:%M:%S" if at.date() == today else "%Y-%m-%d %H:%M")


def _local(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s)  # noqa: DTZ006 - the user's own time zone
