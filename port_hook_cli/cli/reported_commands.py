"""`port-hook report-run RUN -- COMMAND` and `port-hook report-run --pending`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.port_api.credentials import open_port_api
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.runs.updates import RunReport, is_node_run
from port_hook_cli.runs.urls import run_page
from port_hook_cli.runs.view import format_reported, pending_record
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import emit, tell
from port_hook_cli.text.safe import printable

if TYPE_CHECKING:
    from port_hook_cli.port_api.client import PortApi
    from port_hook_cli.reporting.command_report import CommandResult
    from port_hook_cli.reporting.delivery import SentPending


def report_while_running(
    words: Sequence[str],
    run_id: str,
    given: RunReport,
    settings: Settings,
    runtime: Runtime,
    *,
    api_timeout_s: float,
) -> int:
    """Run a command, report it, and return its exit code."""
    from port_hook_cli.reporting.command_report import ReportedCommand, report_command

    api_url = settings.require_access().api_url
    command = ReportedCommand(words=words, run_id=run_id, given=given, api_url=api_url)
    opening = _opening(settings, runtime, api_timeout_s)
    result = asyncio.run(report_command(command, runtime, opening, lambda text: _note(text, runtime)))
    _tell_result(result, _page(settings, run_id), runtime)
    return result.exit_code


def report_pending(
    run_id: str | None, settings: Settings, runtime: Runtime, *, api_timeout_s: float, as_json: bool
) -> ExitCode:
    """Send the reports that were kept, print what happened to each, and return the exit code."""
    from port_hook_cli.reporting.delivery import PendingOutcome, send_pending
    from port_hook_cli.reporting.kept_report import KeptReports

    api_url = settings.require_access().api_url
    good = {PendingOutcome.SENT, PendingOutcome.OPEN, PendingOutcome.IN_USE}

    async def send() -> tuple[int, bool]:
        count, all_good = 0, True
        async with _opening(settings, runtime, api_timeout_s, tells_retries=True)() as api:
            async for sent in send_pending(KeptReports(runtime.home), api, api_url=api_url, run_id=run_id):
                count, all_good = count + 1, all_good and sent.outcome in good
                _print_pending(sent, settings, runtime, as_json=as_json)
        return count, all_good

    count, all_good = asyncio.run(send())
    if not count:
        _note("no report is pending", runtime)
    return ExitCode.OK if all_good else ExitCode.FAILED


def _opening(
    settings: Settings, runtime: Runtime, api_timeout_s: float, *, tells_retries: bool = False
) -> Callable[[], AbstractAsyncContextManager[PortApi]]:
    def on_retry(words: str) -> None:
        if tells_retries:
            _note(words, runtime)

    return lambda: open_port_api(settings, runtime, timeout_s=api_timeout_s, on_retry=on_retry)


def _tell_result(result: CommandResult, page: str, runtime: Runtime) -> None:
    if result.dropped:
        tell(f"warning: {result.dropped} lines of the log could not be kept, so they are not reported.", runtime)
    if result.problem is None:
        _note(format_reported(result.reported, page), runtime)
        return
    tell(f"warning: {printable(result.problem.message)} {printable(result.problem.hint)}".rstrip(), runtime)
    if result.kept_in is not None:
        tell("hint: The rest of the report is kept. Send it with `port-hook report-run --pending`.", runtime)


def _print_pending(sent: SentPending, settings: Settings, runtime: Runtime, *, as_json: bool) -> None:
    page = _page(settings, sent.reported.run_id)
    if as_json:
        emit(pending_record(sent.reported, page=page, outcome=sent.outcome, message=sent.message), runtime.stdout)
    elif sent.outcome == "sent":
        print(format_reported(sent.reported, page), file=runtime.stdout)
    elif sent.outcome == "open":
        print(format_reported(sent.reported, page), file=runtime.stdout)
        _note("port-hook was killed before this command ended, so its status is not known; report it yourself", runtime)
    elif sent.outcome == "in-use":
        _note("another process is sending a report now", runtime)
    else:
        tell(f"error: {printable(sent.message)}", runtime)
        if sent.hint:
            tell(f"hint: {printable(sent.hint)}", runtime)
        if sent.outcome == "failed":
            tell(
                f"hint: The report is kept in {printable(str(sent.folder))}; delete it to discard the report.", runtime
            )


def _page(settings: Settings, run_id: str) -> str:
    return "" if not run_id or is_node_run(run_id) else run_page(settings.app_url, run_id)


def _note(words: str, runtime: Runtime) -> None:
    tell(f"note: {words}", runtime)
