"""The results of a run: a table by folder, the shares of the two parts, and a line for each survivor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.mutants.mutant import Mutant

BARS = {"pure": 92, "rest": 88}
"""The share of the mutations that must be caught, in percent."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result for a mutant: the test that fails because of it, or "", and a note on the limits of the verdict."""

    mutant: Mutant
    caught_by: str
    note: str = ""

    def __str__(self) -> str:
        note = f"by {self.caught_by}" if self.caught_by else self.note
        return f"{'caught' if self.caught_by else 'survived'}  {self.mutant}{f'  ({note})' if note else ''}"


def table(verdicts: Sequence[Verdict]) -> str:
    """Return a table with the numbers of tried and caught mutants of each folder."""
    folders = sorted({each.mutant.folder for each in verdicts})
    width = max(map(len, ("folder", *folders)))
    rows = [f"{'folder':{width}}  tried  caught       %"]
    for folder in folders:
        tried, caught = _count(each for each in verdicts if each.mutant.folder == folder)
        rows.append(f"{folder:{width}}  {tried:5}  {caught:6}  {_percent(tried, caught):6.1f}")
    return "\n".join(rows)


def bars(verdicts: Sequence[Verdict]) -> str:
    """Return the share of each part beside its minimum."""
    rows = []
    for part, least in BARS.items():
        tried, caught = _count(each for each in verdicts if each.mutant.part == part)
        share = _percent(tried, caught)
        rows.append(f"{part}: {caught} of {tried} caught ({share:.1f} %; at least {least} % must be)")
    return "\n".join(rows)


def is_enough(verdicts: Sequence[Verdict]) -> bool:
    """Whether each part reaches its minimum. A part without mutants does."""
    counts = ((least, _count(each for each in verdicts if each.mutant.part == part)) for part, least in BARS.items())
    return all(_percent(tried, caught) >= least for least, (tried, caught) in counts)


def _count(verdicts: Iterator[Verdict]) -> tuple[int, int]:
    """Return the numbers of verdicts and of caught mutants."""
    caught = [bool(each.caught_by) for each in verdicts]
    return len(caught), sum(caught)


def _percent(tried: int, caught: int) -> float:
    return 100 * caught / tried if tried else 100.0
