"""Show one capture on one line. This module is pure."""

from __future__ import annotations

from port_hook_cli.captures.view.capture import clock_time, response_style
from port_hook_cli.captures.view.captures import SHOWN_OF_AN_ID
from port_hook_cli.captures.view.parts import action_name, capture_marks, cut_action, short_name
from port_hook_cli.invocations.models import Capture, Status
from port_hook_cli.invocations.probes import is_probe
from port_hook_cli.invocations.view import status_color
from port_hook_cli.text.durations import format_duration
from port_hook_cli.text.safe import brief
from port_hook_cli.text.styled import Styled, cell_width, cut_middle, padded

RUN_HIDDEN_BELOW = 80
"""The width below which a line has no run or cause."""
RUN_HIDDEN = Styled(f"run: hidden (below {RUN_HIDDEN_BELOW} columns)", "dim")

_VERDICT, _STATUS, _LATENCY, _RUN = 9, 4, 6, 21
_LEAST_OF_AN_ACTION = 12
_GAP = "  "
_CELL_LIMIT = 100
_ACCEPTED = frozenset({Status.VALID, Status.REENCODED, Status.STALE, Status.UNCHECKED})


def compact_line(capture: Capture, width: int | None = None) -> Styled:
    """Return a capture as one line of `width` columns. Without a width, nothing is shortened or hidden."""
    verdict = capture.verdict.status
    cells = [
        (clock_time(capture.invocation.received_at), "dim"),
        (str(verdict).ljust(_VERDICT), f"bold {status_color(verdict)}"),
        (_status(capture).ljust(_STATUS), response_style(capture)),
        (_latency(capture).rjust(_LATENCY), ""),
    ]
    capture_id = (brief(capture.invocation.id, 20)[:SHOWN_OF_AN_ID], "dim")
    action, about = _action(capture), _run_or_cause(capture)
    has_run, room = width is None or width >= RUN_HIDDEN_BELOW, _LEAST_OF_AN_ACTION
    if width is not None:
        fixed = sum(cell_width(text) + len(_GAP) for text, _ in (*cells, capture_id)) + has_run * (_RUN + len(_GAP))
        room, about = max(1, width - fixed), cut_middle(about, _RUN)
        # A name with marks takes the columns that its run leaves free.
        free = _RUN - cell_width(about) if has_run and action.endswith(")") else 0
        action = cut_action(action, room + free)
    cells.append((padded(action, room), "bold"))
    if has_run:
        over = max(0, cell_width(action) - room)
        cells.append((padded(about, _RUN - over), "" if verdict in _ACCEPTED else "red"))
    return Styled.assemble(*[part for cell in cells for part in (cell, _GAP)], capture_id, no_wrap=True)


def _status(capture: Capture) -> str:
    """Return the status of the response, or of the handler for a message, with `!` if the handler did not respond."""
    response, delivery = capture.response, capture.delivery
    status = delivery.status if capture.is_message and delivery else response and response.status
    has_failed = delivery is not None and delivery.status is None
    return f"{status or '-'}{'!' if has_failed else ''}"


def _latency(capture: Capture) -> str:
    if capture.delivery is None:
        return "-"
    latency_ms = capture.delivery.latency_ms
    return f"{latency_ms:.0f} ms" if latency_ms < 999.5 else format_duration(latency_ms / 1000)  # noqa: PLR2004


def _action(capture: Capture) -> str:
    invocation = capture.invocation
    marks = capture_marks(
        is_message=capture.is_message,
        is_replay=bool(invocation.replay_of),
        is_probe=is_probe(invocation.headers),
        is_truncated=invocation.truncated is not None,
        simulated=capture.simulated,
    )
    return short_name(action_name(capture.payload), _CELL_LIMIT) + marks


def _run_or_cause(capture: Capture) -> str:
    verdict = capture.verdict
    if verdict.status is Status.MISSING:
        return "no x-port-signature" if "signature-missing" in verdict.slugs else "no x-port-timestamp"
    if verdict.status not in _ACCEPTED:
        return brief(", ".join(verdict.slugs), _CELL_LIMIT)
    return short_name(capture.payload.run_id or "-", _CELL_LIMIT)
