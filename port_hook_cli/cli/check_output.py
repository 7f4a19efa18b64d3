"""The output of `check`: what it sends, the progress, the records or lines, and the handler's output."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from port_hook_cli.check.fault import MOST_REQUESTS
from port_hook_cli.check.fault_view import FAULT_INDENT, fault_lines
from port_hook_cli.check.findings import CheckFinding, CheckReport, in_order
from port_hook_cli.check.plan import ABOUT_REPORTS
from port_hook_cli.check.view import (
    FINDING_INDENT,
    begin_text,
    check_table,
    fault_summary,
    has_error,
    output_lines,
    report_lines,
    summary_line,
)
from port_hook_cli.terminal.coding_agent import coding_agent
from port_hook_cli.terminal.console import Output, emit, rich_console, shows_progress, tell
from port_hook_cli.text.secret import Masker

if TYPE_CHECKING:
    from port_hook_cli.check.plan import CheckPlan
    from port_hook_cli.check.session import CheckBegins
    from port_hook_cli.runtime import Runtime

_OUTPUT = "The last lines of the command's output:"


def print_checks(slugs: frozenset[str], runtime: Runtime) -> None:
    """Print the table of the checks."""
    output = Output(runtime.stdout, runtime.environ)
    output.print(*check_table(slugs, output.width if output.is_terminal else None))


class CheckScreen:
    """Shows a check.

    The screen retains the findings so far, and can print them after Ctrl-C. Close the screen after use.
    """

    def __init__(self, plan: CheckPlan, runtime: Runtime, *, as_json: bool, starts_handler: bool) -> None:
        self._plan, self._runtime, self._as_json, self._starts = plan, runtime, as_json, starts_handler
        self._findings: list[CheckFinding] = []
        self._began = time.perf_counter()
        self._progress = ExitStack()
        self._advance: Callable[[CheckFinding], None] = lambda _: None
        self._show_search: Callable[[int, str], None] = lambda _number, _what: None
        self.close = self._progress.close
        self.url = ""

    def begin(self, begins: CheckBegins) -> None:
        """Print what the check sends. On a terminal, show the progress."""
        self.url, self._began = begins.url, time.perf_counter()
        tell(begin_text(self.url, begins.valid_requests), self._runtime)
        expected = self._plan.expected(begins.subject, starts_handler=self._starts)
        if not begins.sees_reports and expected & ABOUT_REPORTS:
            tell("note: without a sandbox, port-hook can't check reports or repeats", self._runtime)
            tell(
                "hint: Add `-- COMMAND` so that port-hook starts the handler, or set the variables that "
                "`port-hook sandbox` prints for both.",
                self._runtime,
            )
        if shows_progress(self._runtime):
            self._show_progress(len(expected))

    def add(self, finding: CheckFinding) -> None:
        """Count a finding. With --json, print its record."""
        self._findings.append(finding)
        if self._as_json:
            emit(finding.record, self._runtime.stdout)
        self._advance(finding)

    def tell_search(self, number: int, what: str) -> None:
        """On a terminal, show the progress of the search for the reason why the handler rejects valid requests."""
        self._show_search(number, what)

    def finish(self, report: CheckReport, *, strict: bool) -> None:
        """Print the report, or the remaining records with --json."""
        self.close()
        if not self._as_json:
            self._print(report)
            return
        for finding in report.findings:
            if finding not in self._findings:
                emit(finding.record, self._runtime.stdout)
        emit(report.record(strict=strict), self._runtime.stdout)

    def interrupt(self) -> None:
        """Print the findings so far. With --json, their records are already printed."""
        self.close()
        if not self._as_json and self._findings:
            report = CheckReport(in_order(self._findings), time.perf_counter() - self._began, sent=0)
            self._print(report, is_whole=False)

    def tell_output(self, output: bytes, *, only_errors: bool = False) -> None:
        """Print the last lines that the command wrote. With `only_errors`, they must hold a traceback or an error."""
        self.close()
        lines = output_lines(output, Masker(self._runtime.memory.secrets))
        if any(has_error(line.plain) for line in lines) or (lines and not only_errors):
            tell(_OUTPUT, self._runtime)
            stderr = Output(self._runtime.stderr, self._runtime.environ)
            stderr.print(*stderr.wrap(lines))

    def _print(self, report: CheckReport, *, is_whole: bool = True) -> None:
        output = Output(self._runtime.stdout, self._runtime.environ)
        if report.fault is not None and report.has_only_a_fault:
            # A coding agent's transcript leaves this machine.
            shows_digest = output.is_terminal and not coding_agent(self._runtime.environ)
            lines = fault_lines(report.fault, shows_digest=shows_digest, starts_handler=self._starts)
            output.print(*output.fit(lines, indent=FAULT_INDENT), *output.wrap([fault_summary(report)]))
            return
        output.print(*output.fit(report_lines(report), indent=FINDING_INDENT))
        output.print(*output.wrap([summary_line(report, is_whole=is_whole)]))

    def _show_progress(self, total: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        console = rich_console(self._runtime.stderr, self._runtime.environ)
        columns = (TextColumn("checking"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        progress = self._progress.enter_context(Progress(*columns, console=console, transient=True))
        task = progress.add_task("", total=total)
        self._advance = lambda finding: progress.update(
            task, advance=1, description=f"{finding.check.group}: {finding.check.slug}"
        )
        self._show_search = lambda number, what: progress.update(
            task, description=f"{number} of at most {MOST_REQUESTS}: {what}"
        )
