"""The text that a session prints: the messages at its start and its end, and its records in `listen --json`.

docs/reference/json-records.md describes the records.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from port_hook_cli.captures.view.capture import clock_time
from port_hook_cli.captures.view.parts import what_it_is
from port_hook_cli.invocations.models import Capture
from port_hook_cli.invocations.view import EVENT
from port_hook_cli.listener.policy import Policy, Tally
from port_hook_cli.listener.responses import OK
from port_hook_cli.runs.fate import RunFate
from port_hook_cli.runs.view import report_command
from port_hook_cli.text.safe import brief
from port_hook_cli.text.styled import cell_width, cut_to
from port_hook_cli.tunnels.report import PASTE_THIS, TunnelReport, tunnel_fields

WAITING_SIGNS = ("→", "…")
"""The characters of `waiting_line` that not every terminal can show."""

_MOST_RUNS = 5
_RUNS_WAIT = "stay IN_PROGRESS until the handler reports their results"
_RUN_MAY_WAIT = "stays IN_PROGRESS unless it is synchronized or your handler has reported its result"
_RUNS_MAY_WAIT = "stay IN_PROGRESS unless they are synchronized or your handler has reported their results"
_LABEL = len("Listening on  ")
PRESS_P = "Press p to release them."
IN_THE_PAGE = "Release them in the inspector."


def ready_lines(
    policy: Policy,
    *,
    url: str,
    public_url: str | None,
    retargeted: bool = False,
    secret_place: str = "",
    beside: Sequence[tuple[str, str]] = (),
) -> Iterator[str]:
    """Yield the lines that tell a person that the listener is ready.

    `retargeted` means that `--retarget` has set the listener's public URL in Port. `beside` contains the labels and
    URLs of the listener's companions.
    """
    yield f"Listening on  {url}"
    if public_url:
        what_to_do = "set in Port until this listener ends" if retargeted else PASTE_THIS
        yield f"Public URL    {public_url}   {what_to_do}"
    yield from _targets(policy)
    yield f"Verifying     {_verification(policy)}"
    if policy.max_in_flight:
        yield f"In flight     at most {policy.max_in_flight} (--max-in-flight). Other requests wait."
    if secret_place:
        yield f"Secret        from {secret_place}"
    yield from _simulated(policy)
    for label, beside_url in beside:
        yield f"{label:<{_LABEL}}{beside_url}"
    yield "Stop with Ctrl-C."
    yield ""


def waiting_line(
    capture: Capture, reason: str, *, others: int = 0, width: int | None = None, is_ascii: bool = False
) -> str:
    """Return the line about a request that has no response yet, with the number of `others` like it.

    The line is truncated to `width` columns, if `width` is set. With `is_ascii`, the line contains only ASCII
    characters.
    """
    arrow, dots = ("->", "...") if is_ascii else WAITING_SIGNS
    invocation = capture.invocation
    place = f"{brief(invocation.method, 20)} {brief(invocation.target, 60)}"
    if invocation.origin:
        place = f"kafka {brief(invocation.origin.name, 60)}"
    head = f"{clock_time(invocation.received_at)}  {arrow} {brief(what_it_is(capture.payload), 60)}  {place}"
    end = f" {dots} {reason}" + (f" ({others} more in flight)" if others else "")
    if is_ascii:
        head = head.encode("ascii", "backslashreplace").decode()
    if width is not None:
        head = cut_to(head, width - cell_width(end), end=dots)
    return (head + end) if width is None else cut_to(head + end, width, end="")


def not_wanted_line(capture: Capture) -> str:
    """Return the line about a request that `--only` excludes."""
    clock, name = clock_time(capture.invocation.received_at), brief(what_it_is(capture.payload), 60)
    response = "" if capture.is_message else "-> 404, "
    reason = "rejected by --only" if capture.payload.name else "rejected by --only: no identifier in its body"
    return f"{clock}  {name}  {capture.verdict.status}  {response}{reason}"


def held_line(capture: Capture, count: int, release: str = PRESS_P) -> str:
    """Return the message about a held request, which is the last of `count` held requests."""
    return f"Holding {_named(capture)} ({count} held). {release}"


def passed_line(capture: Capture, count: int, *, is_called: bool) -> str:
    """Return the message about a held request that the user let pass. `count` other requests are still held."""
    waits = "" if is_called else " It waits for an earlier request of the same run, or for --max-in-flight."
    return f"Letting {_named(capture)} pass ({count} held).{waits}"


def responded_line(capture: Capture, status: int, delay_s: float, count: int) -> str:
    """Return the message about a held request that got a manual response. `count` other requests are still held."""
    after = f" after {delay_s:g} s" if delay_s else ""
    return f"Responding to {_named(capture)} by hand with {status}{after} ({count} held)."


def _named(capture: Capture) -> str:
    return f"{brief(what_it_is(capture.payload), 80)} ({brief(capture.invocation.id, 20)})"


def replayed_line(capture: Capture) -> str:
    """Return the message about a replay, with its summary, its ID and its arrival time."""
    received = datetime.fromtimestamp(capture.invocation.received_at).astimezone()
    return f"Replaying {_named(capture)}, captured at {received:%Y-%m-%d %H:%M:%S}."


def pause_line(released: int | None, release: str = PRESS_P) -> str:
    """Return the message about the start of a pause, or about its end, which released `released` requests."""
    if released is None:
        return f"Holding incoming requests: they are saved, not forwarded. {release}"
    return f"Released {released} held request{'' if released == 1 else 's'}."


def summary_lines(tally: Tally, still_open: Collection[str] = ()) -> Iterator[str]:
    """Yield the summary of a session. `still_open` contains the IDs of runs that certainly haven't ended."""
    yield (
        f"{tally.received} received, {tally.verified} verified, {tally.rejected} rejected, "
        + (f"{tally.unsaved} not saved, " if tally.unsaved else "")
        + f"{tally.handler_failures} handler failure{'' if tally.handler_failures == 1 else 's'}"
        + (f", {tally.skipped} skipped (--only)" if tally.skipped else "")
    )
    if tally.waiting:
        count = len(tally.waiting)
        is_certain = tally.waiting.keys() <= set(still_open)
        one, many = (RunFate.WAITS, _RUNS_WAIT) if is_certain else (_RUN_MAY_WAIT, _RUNS_MAY_WAIT)
        yield f"1 run {one}:" if count == 1 else f"{count} runs {many}:"
        for run_id, failed in list(tally.waiting.items())[-_MOST_RUNS:]:
            yield f"  {report_command(run_id, failed=failed) or f'run {brief(run_id)}'}"
        if count > _MOST_RUNS:
            yield f"  and {count - _MOST_RUNS} more: port-hook captures"


def _targets(policy: Policy) -> Iterator[str]:
    routes = policy.routes
    if policy.only:
        yield f"Rejecting     everything except {brief(', '.join(sorted(policy.only)))} with 404 (--only)"
    for route in routes.rules:
        yield f"Forwarding    {brief(route.label)} -> {route.target}"
    if routes.default:
        yield f"Forwarding    {'everything else' if routes.rules else 'everything'} -> {routes.default}"
    elif (response := policy.respond) is None:
        yield "Responding    by closing the connection (--respond drop)"
    else:
        said = f"{response.status} {response.body.decode()}" if response == OK else str(response.status)
        yield f"Responding    {said} (no handler)"


def _simulated(policy: Policy) -> Iterator[str]:
    if policy.fail_first:
        yield f"Failing       the first {policy.fail_first} invocations with 500 (--fail-first)"
    if policy.delay_s:
        yield f"Delaying      each response by {policy.delay_s:g} s (--delay)"


def _verification(policy: Policy) -> str:
    if policy.secret is None:
        return "nothing (--verify off)"
    words = f"signatures, timestamps within {policy.tolerance_s:g} s"
    if policy.allow_unverified:
        return f"{words}. Even unverified requests are forwarded (--verify warn)"
    return f"{words}{'. Only signatures over the raw body are accepted (--verify strict)' if policy.strict else ''}"


def ready_event(*, url: str, public_url: str | None) -> dict[str, Any]:
    """Return the first record of `listen --json`: the URLs of the listener."""
    return {"schema": EVENT, "type": "ready", "url": url, "public_url": public_url}


def summary_event(tally: Tally, *, tunnel: TunnelReport | None = None) -> dict[str, Any]:
    """Return the last record of `listen --json`. `waiting` contains the IDs of at most the latest 1,000 runs."""
    return {
        "schema": EVENT,
        "type": "summary",
        "received": tally.received,
        "verified": tally.verified,
        "rejected": tally.rejected + tally.unsaved,
        "skipped": tally.skipped,
        "handler_failures": tally.handler_failures,
        "waiting": list(tally.waiting),
        "tunnel": None if tunnel is None else tunnel_fields(tunnel),
    }


def report_event(run_id: str, *, status: str | None, error: str | None) -> dict[str, Any]:
    """Return the record of a report that `--report` sent, or of the reason why it sent none."""
    return {"schema": EVENT, "type": "report", "run_id": run_id, "status": status, "error": error}


def run_event(run_id: str, *, status: str, label: str | None) -> dict[str, Any]:
    """Return the record of a change of a followed run."""
    return {"schema": EVENT, "type": "run", "run_id": run_id, "status": status, "status_label": label}


def run_log_event(run_id: str, message: str) -> dict[str, Any]:
    """Return the record of a log entry of a followed run."""
    return {"schema": EVENT, "type": "run_log", "run_id": run_id, "message": message}
