"""Show captures as a table. The response always has a column, and hidden columns are named. This module is pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain, islice
from typing import TYPE_CHECKING

from port_hook_cli.captures.view.parts import action_name, capture_marks, cut_action, short_name
from port_hook_cli.text.safe import brief
from port_hook_cli.text.styled import Styled, cell_width, cut_middle, padded

if TYPE_CHECKING:
    from port_hook_cli.captures.listed import ListedCapture

COLUMNS = ("time", "id", "signature", "status", "action", "run")
SHOWN_OF_AN_ID = 8
"""The number of characters of a capture's ID on a terminal. Any unique beginning of an ID names its capture."""

_TIME, _ACTION, _RUN = map(COLUMNS.index, ("time", "action", "run"))
_HIDDEN_FIRST = tuple(map(COLUMNS.index, ("run", "time", "signature")))
_LEAST_OF_AN_ACTION = 18
_MOST_OF_A_RUN = 21
_GAP = "  "

# A list is printed while it is read, so only this many captures determine the widths.
_MEASURED = 100
_CELL_LIMIT = 40
_WIDEST_ACTION = _CELL_LIMIT + len(" (replay)")


def captures_table(captures: Iterable[ListedCapture], *, now: float, width: int) -> Iterator[Styled]:
    """Yield captures as a table for a terminal of `width` columns. A row with the date begins each day except today.

    `now` is in seconds since the epoch. On a narrow terminal, a first line names the hidden columns. Long names lose
    their middle.
    """
    first, listed = _measured(captures)
    widths = _widths([_shown_cells(capture) for capture in first])
    hidden = _hidden_columns(widths, width)
    kept = [column for column in range(len(COLUMNS)) if column not in hidden]
    room = width - sum(widths[column] + len(_GAP) for column in kept if column != _ACTION)
    widths[_ACTION] = max(1, min(widths[_ACTION], room))
    if hidden:
        yield Styled(f"{', '.join(COLUMNS[column] for column in sorted(hidden))}: hidden", "dim", no_wrap=True)
    yield Styled(_line(COLUMNS, kept, widths), "bold", no_wrap=True)
    day = local_time(now)[:10]
    for capture in listed:
        if (date := local_time(capture.received_at)[:10]) != day:
            day = date
            yield Styled(day, "dim", no_wrap=True)
        yield Styled(_line(_shown_cells(capture), kept, widths), no_wrap=True)


def captures_lines(captures: Iterable[ListedCapture]) -> Iterator[str]:
    """Yield captures as lines of plain text with whole IDs, for a pipe.

    The first hundred captures determine the width of the actions. If there may be more, the width is the largest.
    """
    first, listed = _measured(captures)
    widths = [max(map(cell_width, column)) for column in zip(COLUMNS, *map(_cells, first), strict=True)]
    widths[_RUN] = _CELL_LIMIT  # the last column
    if len(first) == _MEASURED:
        widths[_ACTION] = max(widths[_ACTION], _WIDEST_ACTION)
    for cells in chain([COLUMNS], map(_cells, listed)):
        yield _line(cells, range(len(COLUMNS)), widths)


def local_time(epoch_s: float) -> str:
    """Return seconds since the epoch as the local date and time."""
    found = datetime.fromtimestamp(epoch_s)  # noqa: DTZ006 - the user's own time zone
    return found.isoformat(" ", "seconds")  # positional arguments are twice as fast


def _measured(captures: Iterable[ListedCapture]) -> tuple[list[ListedCapture], Iterator[ListedCapture]]:
    """Return the captures that determine the widths, and all captures."""
    others = iter(captures)
    first = list(islice(others, _MEASURED))
    return first, chain(first, others)


def _widths(rows: Iterable[Sequence[str]]) -> list[int]:
    widths = [max(map(cell_width, column)) for column in zip(COLUMNS, *rows, strict=True)]
    widths[_RUN] = min(widths[_RUN], _MOST_OF_A_RUN)
    return widths


def _hidden_columns(widths: Sequence[int], width: int) -> set[int]:
    """Return the columns to hide, so that the others and enough of each action fit into `width`."""
    hidden = set[int]()
    wanted = sum(widths) - widths[_ACTION] + min(widths[_ACTION], _LEAST_OF_AN_ACTION) + len(_GAP) * (len(widths) - 1)
    for column in _HIDDEN_FIRST:
        if wanted <= width:
            break
        hidden.add(column)
        wanted -= widths[column] + len(_GAP)
    return hidden


def _line(cells: Sequence[str], kept: Sequence[int], widths: Sequence[int]) -> str:
    shown, sizes = [cells[column] for column in kept], [widths[column] for column in kept]
    line = _GAP.join(map(str.ljust, shown, sizes))
    # Nearly all cells are ASCII and fit.
    if not line.isascii() or len(line) > sum(sizes) + len(_GAP) * (len(sizes) - 1):
        cut = [cut_action if column == _ACTION else cut_middle for column in kept]
        line = _GAP.join(padded(cut_it(cell, size), size) for cut_it, cell, size in zip(cut, shown, sizes, strict=True))
    return line.rstrip()


def _shown_cells(capture: ListedCapture) -> Sequence[str]:
    time, capture_id, *others = _cells(capture)
    return time[11:], capture_id[:SHOWN_OF_AN_ID], *others


def _cells(capture: ListedCapture) -> Sequence[str]:
    name, run_id = action_name(capture.payload), capture.payload.run_id or "-"
    marks = capture_marks(
        is_message=capture.is_message,
        is_replay=bool(capture.replay_of),
        is_probe=capture.is_probe,
        is_truncated=capture.is_truncated,
        simulated=capture.simulated,
    )
    # Nearly all names are short and visible, and `brief` would return them.
    if not (text := name + run_id).isascii() or not text.isprintable() or max(len(name), len(run_id)) > _CELL_LIMIT:
        name, run_id = short_name(name, _CELL_LIMIT), short_name(run_id, _CELL_LIMIT)
    time, capture_id = local_time(capture.received_at), brief(capture.id, _CELL_LIMIT)
    return time, capture_id, capture.status, _status(capture), f"{name}{marks}", run_id


def _status(capture: ListedCapture) -> str:
    """Return the status of the response, with `!` if the handler did not respond."""
    status = "-" if capture.response is None else str(capture.response)
    return status if capture.handler is None or capture.handler.isdecimal() else f"{status}!"
