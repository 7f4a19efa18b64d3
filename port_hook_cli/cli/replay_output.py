"""The output of `replay`: requests of a dry run, results as they arrive, and the numbers at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.invocations.hints import REPLAY_OPTIONS, delivery_hints
from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.invocations.view import BODY_INDENT, delivery_lines, request_text
from port_hook_cli.replay.rewriting import MASKED, ReadyReplay
from port_hook_cli.replay.tally import (
    DeliveryCounter,
    DeliveryTally,
    format_latencies,
    sent_line,
    sent_record,
    series_record,
    tally_view,
)
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import Output, emit, rich_console, shows_progress, tell, write_content
from port_hook_cli.text.safe import printable

if TYPE_CHECKING:
    from port_hook_cli.captures.comparison import Ignoring
    from port_hook_cli.invocations.statuses import Expectation
    from port_hook_cli.replay.rewriting import SentReplay


def tell_notes(ready: ReadyReplay, runtime: Runtime) -> None:
    """Print the notes for the user about a replay."""
    for note in ready.notes:
        option = ". Set it with --header" if note.about == MASKED else ""
        tell(f"note: {ready.source.shown}: {note.text}{option}", runtime)


def tell_failed(count: int, done: int, unforwarded: int, incomparable: int, replays: int, runtime: Runtime) -> None:
    """Print how many failed captures are sent, and how many are skipped. `replays` matter only if nothing is sent."""
    for skipped, why in (
        (unforwarded, "your handler did not receive. To send one, run `port-hook replay ID`"),
        (done, f"{'has' if done == 1 else 'have'} since succeeded"),
        (incomparable, f"{'has' if incomparable == 1 else 'have'} no response to compare with"),
    ):
        if skipped:
            tell(f"Skipped {skipped} that {why}.", runtime)
    if count > 1:
        tell(f"Found {count} failed captures. Sending the oldest first.", runtime)
    elif count:
        tell("Found 1 failed capture.", runtime)
    else:
        what = "other captures" if done or unforwarded or incomparable else "captures"
        tell(f"No {what} failed{f', except {replays} that `replay` or `check` sent' if replays else ''}.", runtime)


def print_requests(requests: Sequence[tuple[Invocation, str]], runtime: Runtime, *, as_lambda: bool) -> None:
    """Print requests and their URLs as HTTP, or print the events of a Lambda function."""
    from port_hook_cli.replay.sending import event_of

    written = event_of if as_lambda else request_text
    content = b"\n\n".join(written(request, url) for request, url in requests)
    write_content(content, runtime.stdout, environ=runtime.environ, end="\n")


class ReplayReport:
    """Prints each result, and retains the numbers so far, so that Ctrl-C does not lose them.

    `total` is the number of requests. With `is_series`, each request is sent many times. `ignoring` is None without
    --compare.
    """

    def __init__(
        self, runtime: Runtime, *, total: int, is_series: bool, as_json: bool, ignoring: Ignoring | None
    ) -> None:
        self._runtime, self._total, self._is_series, self._as_json = runtime, total, is_series, as_json
        self._ignoring = ignoring
        self._counter = DeliveryCounter()
        self._last: Delivery | None = None
        self._source = ""
        self._are_same: list[bool] = []
        self._began = self._ended = time.perf_counter()
        self._advance: Callable[[], None] = lambda: None

    @contextmanager
    def receiving(self) -> Iterator[None]:
        """Measure the time from now on. On a terminal, show a progress bar for a series."""
        self._began = self._ended = time.perf_counter()
        # Otherwise, a line about each source is printed in the meantime.
        if not self._is_series or self._ignoring is not None or not shows_progress(self._runtime):
            yield
            return
        from rich.progress import Progress

        console = rich_console(self._runtime.stderr, self._runtime.environ)
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("sending", total=self._total)
            self._advance = lambda: progress.advance(task)
            yield

    def add(self, ready: ReadyReplay, sent: SentReplay) -> None:
        """Count a result, and print its record, its comparison or, if there are several sources, its line."""
        self._ended = time.perf_counter()
        self._last, self._source = sent.delivery, ready.source.name
        self._counter.add(sent.delivery)
        if sent.kept.problem:
            tell(f"warning: the responses were not saved: {sent.kept.problem}", self._runtime)
        compared = {} if self._ignoring is None else self._compare(ready, sent.delivery, self._ignoring)
        if self._as_json:
            emit({**sent_record(ready, sent), **compared}, self._runtime.stdout)
        elif self._total > 1 and not self._is_series and self._ignoring is None:
            Output(self._runtime.stdout, self._runtime.environ).print(sent_line(ready, sent))
        self._advance()

    def finish(self, expectation: Expectation | None, conflict: str) -> ExitCode:
        """Print the numbers, and return the exit code.

        `conflict` is a hint if two places have different secrets.
        """
        tally = self._counter.tally(self._ended - self._began)
        if self._last is not None and not self._as_json:
            self._show(tally, self._last, conflict)
            self._tell_unexpected(tally, expectation)
        elif self._as_json and self._is_series:
            emit(series_record(tally), self._runtime.stdout)
        if tally.unreachable:
            return ExitCode.TARGET
        return ExitCode.OK if tally.meets(expectation) and all(self._are_same) else ExitCode.FAILED

    def _compare(self, ready: ReadyReplay, found: Delivery, ignoring: Ignoring) -> dict[str, Any]:
        """Show how a response differs from the recorded response. Return the fields for the response's record."""
        from port_hook_cli.replay.comparing import compare_responses, comparison_fields, comparison_lines

        assert ready.source.recorded is not None
        comparison = compare_responses(ready.source.recorded, found, ignoring)
        self._are_same.append(comparison.is_same)
        if self._as_json:
            return comparison_fields(comparison)
        Output(self._runtime.stdout, self._runtime.environ).print(*comparison_lines(ready.source.shown, comparison))
        return {}

    def _show(self, tally: DeliveryTally, last: Delivery, conflict: str) -> None:
        runtime = self._runtime
        if self._ignoring is not None:
            from port_hook_cli.replay.comparing import summary_line

            print(summary_line(self._are_same), file=runtime.stdout)
        elif self._total == 1:
            _show_one(last, runtime, conflict, self._source)
        else:
            rich_console(runtime.stdout, runtime.environ).print(tally_view(tally), format_latencies(tally))

    def _tell_unexpected(self, tally: DeliveryTally, expectation: Expectation | None) -> None:
        if expectation is not None and (missed := tally.unexpected(expectation)):
            tell(f"error: {missed} of {tally.sent} requests did not get {expectation.text}", self._runtime)


def _show_one(delivery: Delivery, runtime: Runtime, conflict: str, source: str) -> None:
    if delivery.status is None:
        tell(f"error: {printable(delivery.error or 'no response')}", runtime)
    else:
        output = Output(runtime.stdout, runtime.environ)
        output.print(*output.fit(delivery_lines(delivery), indent=BODY_INDENT))
    if hints := delivery_hints(delivery, REPLAY_OPTIONS, conflict=conflict, source=source):
        tell(f"hint: {' '.join(hints)}", runtime)
