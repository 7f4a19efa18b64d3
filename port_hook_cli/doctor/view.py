"""The results of all checks as a table: a state, what was checked, what was found, and what to do next. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from port_hook_cli.doctor.check import CheckResult, CheckState
from port_hook_cli.text.layout import wrap
from port_hook_cli.text.safe import printable
from port_hook_cli.text.styled import Styled

_STYLES = {
    CheckState.OK: "green",
    CheckState.SKIPPED: "dim",
    CheckState.WARNING: "yellow",
    CheckState.PROBLEM: "bold red",
}
_GAP = "  "


def result_lines(results: Sequence[CheckResult], width: int | None) -> Iterator[Styled]:
    """Yield the table, wrapped to `width` columns unless that is None, and a last line with the result of all."""
    states = max(len(state) for state in CheckState)
    names = max((len(_name(result)) for result in results), default=0)
    indent = states + names + 2 * len(_GAP)
    for result in results:
        head = ((f"{result.state:<{states}}", _STYLES[result.state]), f"{_GAP}{_name(result):<{names}}{_GAP}")
        yield from _wrapped(Styled.assemble(*head, printable(result.message)), width, indent)
        if result.next_step:
            step = Styled.assemble(" " * indent, ("next: ", "cyan"), printable(result.next_step))
            yield from _wrapped(step, width, indent)
    yield Styled()
    yield Styled(_summary(results), "bold")


def _name(result: CheckResult) -> str:
    return printable(f"{result.check} {result.subject}".rstrip())


def _wrapped(line: Styled, width: int | None, indent: int) -> Iterator[Styled]:
    if width is None or width <= 2 * indent:
        yield line
    else:
        yield from wrap(line, width, indent=indent)


def _summary(results: Sequence[CheckResult]) -> str:
    problems = sum(result.state is CheckState.PROBLEM for result in results)
    warnings = sum(result.state is CheckState.WARNING for result in results)
    return f"{_counted(problems, 'problem')}, {_counted(warnings, 'warning')}.".capitalize()


def _counted(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"
