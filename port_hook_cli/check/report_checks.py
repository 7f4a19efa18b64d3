"""The checks of reports: the handler reports the result of each run to Port."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

from port_hook_cli.check.catalog import CheckGroup, CheckSeverity, slugs_of
from port_hook_cli.check.effects import FAILED_ENDS, NOT_SEEN, FirstRun, effects, endings, rejected, taken
from port_hook_cli.check.exam import LOST, HandlerExam
from port_hook_cli.check.findings import NO_SANDBOX
from port_hook_cli.check.reactions import Probe
from port_hook_cli.text.durations import format_duration
from port_hook_cli.text.safe import shorten

if TYPE_CHECKING:
    from port_hook_cli.check.watching import SandboxWatch
    from port_hook_cli.runs.seen_calls import SeenCall

_NO_RUN = "the payload has no run ID"
_ALWAYS_FAILS = "reports that every valid run failed"
_NO_SUCCESS = "every valid run failed, so a failed run shows nothing"
NO_END = "the handler did not report the result of a valid run"
_MOST_QUIET_S = 10.0
_MOST_QUEUED = 6
_NO_REPORT = "no report reached the sandbox, so in Port the run would stay IN_PROGRESS"
_CONFIGURE = "Read the address of Port's API from PORT_API_URL."
_NO_SYNC_CALL = "the handler did not call the sandbox, and a synchronous handler need not"
_LEAST_QUIET_S = 0.2
_MOST_EXPLAINED = 300
_OTHER_INPUTS = "Check with inputs for which the work succeeds: choose them with --input or --with entity=FILE."
_AUTHORIZE = (
    "Request a token with POST /v1/auth/access_token, and send it in each call as `Authorization: Bearer TOKEN`."
)
_ABOUT_RUNS = slugs_of(CheckGroup.REPEATS, CheckGroup.REPORTS)
_SEEN_ELSEWHERE = frozenset({"order", "sync-status"})  # the response shows their result


async def watch_first_run(exam: HandlerExam) -> None:
    """Wait briefly for the end of the first run. No other request was sent yet, so all calls belong to this run."""
    if exam.baseline is None or not exam.wants(*_ABOUT_RUNS) or exam.first_run.calls:
        return
    moment_s = exam.prober.pace.waits.moment_s
    run = await seen_run(exam, exam.baseline, moment_s, moment_s)
    if endings(run.calls, run.run_id) or (exam.subject.synchronized and run.calls):
        exam.first_run = run._replace(is_alone=True)


async def check_reports(exam: HandlerExam) -> bool:
    """Wait for the report of the first run, and judge it. Without a sandbox, these checks are not observed.

    Returns False if the handler has not called the sandbox yet. The handler may call it later: see
    `check_late_reports`.
    """
    watch = exam.prober.means.watch
    if not exam.wants(*_ABOUT_RUNS):
        return True
    if watch is None or exam.subject.run_id is None:
        _cannot_tell(exam, _NO_RUN if exam.subject.run_id is None else NO_SANDBOX)
        return True
    if not await observe_first_run(exam):
        return False
    await _judge_first_run(exam, watch)
    return True


async def check_late_reports(exam: HandlerExam) -> None:
    """Judge the first run of a handler that had not called the sandbox when `check_reports` returned False."""
    watch = exam.prober.means.watch
    if watch is None:
        return
    late_s = exam.prober.pace.stretched_s(exam.prober.pace.waits.late_call_s)
    if await observe_first_run(exam, late_s):
        await _judge_first_run(exam, watch)
    else:
        if watch.problem is None and not exam.subject.synchronized:
            await _warn_about_no_call(exam)
        is_gap = watch.problem is not None or not exam.subject.synchronized
        no_call = f"the handler did not call the sandbox within {late_s:.0f} seconds" if is_gap else _NO_SYNC_CALL
        _cannot_tell(exam, LOST if watch.problem is not None else no_call, is_gap=is_gap)


async def _warn_about_no_call(exam: HandlerExam) -> None:
    await warn_about_address(exam)
    await exam.fails(
        _end_slug(exam),
        _NO_REPORT,
        [exam.baseline] if exam.baseline is not None else [],
        severity=CheckSeverity.WARNING,
        failure="may not report the result of the run",
        fix=f"{_CONFIGURE} Report the result of each run. If the work takes longer, pass a longer --within.",
    )


async def warn_about_address(exam: HandlerExam) -> None:
    """Report that the handler has Port's address in its code if it tried to call Port instead of the sandbox."""
    outbound = exam.prober.means.outbound
    if outbound is None or outbound.called is None:
        return
    await exam.fails(
        _end_slug(exam),
        f"it called {outbound.called} instead of the sandbox, and port-hook rejected the call",
        [exam.baseline] if exam.baseline is not None else [],
        severity=CheckSeverity.WARNING,
        failure="has Port's address in its code",
        fix=f"{_CONFIGURE} If the variable is not set, use https://{outbound.called}/v1.",
    )


def _end_slug(exam: HandlerExam) -> str:
    return "node-result" if exam.subject.is_node else "terminal"


def _cannot_tell(exam: HandlerExam, reason: str, *, is_gap: bool = False) -> None:
    exam.cannot_tell(reason, *(slug for slug in _ABOUT_RUNS if slug not in _SEEN_ELSEWHERE), is_gap=is_gap)


async def observe_first_run(exam: HandlerExam, first_s: float | None = None) -> bool:
    """Record the handler's work for the first valid request, and return whether any call was seen.

    `first_s` is how many seconds after the request to wait for the handler's first call, the usual time if it is None.
    """
    if not exam.first_run.calls and exam.baseline is not None:
        first_s = exam.prober.pace.waits.first_call_s if first_s is None else first_s
        exam.first_run = await seen_run(exam, exam.baseline, first_s, _end_s(exam))
    return bool(exam.first_run.calls)


def _end_s(exam: HandlerExam) -> float:
    """Return how many seconds to wait for the end of the first run."""
    return exam.prober.pace.stretched_s(exam.prober.pace.waits.end_s)


async def seen_run(exam: HandlerExam, probe: Probe, first_s: float, end_s: float) -> FirstRun:
    """Return the run of the first valid request after it has ended and late calls had time to arrive.

    `first_s` and `end_s` are how many seconds after the request to wait for the first call and for the run's end.
    Return NOT_SEEN if no call can be seen.
    """
    watch, prober = exam.prober.means.watch, exam.prober
    if watch is None or exam.subject.run_id is None:
        return NOT_SEEN
    run_id, sent_at = probe.run_id or "", probe.request.received_at

    def left_s(patience_s: float) -> float:
        return prober.pace.bounded_s(patience_s - (prober.means.now() - sent_at))

    calls = await watch.wait_for(bool, exam.mark, left_s(first_s))
    if calls and not exam.subject.synchronized:
        calls = await watch.wait_for(lambda seen: bool(endings(seen, run_id)), exam.mark, left_s(end_s))
    run = FirstRun(run_id, sent_at, tuple(calls))
    if calls and (exam.subject.synchronized or endings(calls, run_id)):
        quiet_s = max(_LEAST_QUIET_S, run.settling_s)
        most_s = prober.pace.bounded_s(_MOST_QUIET_S)
        run = run._replace(calls=tuple(await watch.wait_until_quiet(exam.mark, quiet_s, most_s)))
    return run if watch.problem is None else NOT_SEEN


async def _judge_first_run(exam: HandlerExam, watch: SandboxWatch) -> None:
    """Judge how the first run ended by all calls so far, including late calls."""
    run = exam.first_run = exam.first_run._replace(later=tuple(await watch.calls(exam.mark)))
    proof = [exam.baseline] if exam.baseline is not None else []
    end = next(iter(taken(endings(run.later, run.run_id))), None)
    if end is None:
        await warn_about_address(exam)
    else:
        await _judge_success(exam, run, end, watch)
    if exam.subject.is_node:
        await _judge_result(exam, run, proof)
    if end is None:
        await _blame_for_no_end(exam, run, proof)
        return
    exam.passes("terminal", f"{end.ends} was reported after {format_duration(run.duration_s)}")

    async def judge(calls: Sequence[SeenCall]) -> None:
        await _judge_end(exam, run._replace(later=tuple(calls)), end, proof)

    await judge(run.later)
    exam.passes_unless("once", "the result was reported once", judge)
    exam.passes_unless("after-work", "nothing changed after the report", judge)


async def _judge_success(exam: HandlerExam, run: FirstRun, end: SeenCall, watch: SandboxWatch) -> None:
    """Report a finding if every run so far failed, because the handler then never did its work."""
    if any(not is_failure(call) for call in taken(endings(run.later))):
        return
    text = await watch.explanation(run.run_id)
    seen = f"the result was {end.result or end.ends}" + (f" ({shorten(text, _MOST_EXPLAINED)})" if text else "")
    slug = "node-result" if exam.subject.is_node else "terminal"
    await exam.fails(slug, seen, severity=CheckSeverity.INFORMATION, failure=_ALWAYS_FAILS, fix=_OTHER_INPUTS)
    exam.cannot_tell(_NO_SUCCESS, "failure-reported")


def is_failure(call: SeenCall) -> bool:
    """Return whether a call reports that a run failed."""
    return bool({call.ends, call.result} & FAILED_ENDS)


async def _judge_end(exam: HandlerExam, run: FirstRun, end: SeenCall, proof: Sequence[Probe]) -> None:
    """Settle the checks that expect nothing after the report of the run's end."""
    # An earlier, rejected report did not end the run.
    again = [each for each in endings(run.later, run.run_id) if each.number >= end.number]
    if len(again) > 1:
        await exam.fails("once", f"one request led to {len(again)} reports that end its run", proof)
    if late := next(_changes_after(end, run), None):
        await exam.fails("after-work", f"{late.method} {late.path} came after the report of {end.ends}", proof)


async def _blame_for_no_end(exam: HandlerExam, run: FirstRun, proof: Sequence[Probe]) -> None:
    exam.prober.pace.require_time()
    seen = f"the handler did not end the run within {_end_s(exam):.0f} seconds"
    refused = next(reversed(rejected(run.later)), None)
    if refused is not None:
        seen += f", and the sandbox responded to {refused.method} {refused.path} with {refused.status}"
    fix = _AUTHORIZE if refused is not None and refused.status == HTTPStatus.UNAUTHORIZED else ""
    await exam.fails("terminal", seen, proof, fix=fix)
    exam.cannot_tell(NO_END, "once", "after-work")


def _changes_after(end: SeenCall, run: FirstRun) -> Iterator[SeenCall]:
    """Yield the work done for a run after its end.

    Logs, which Port accepts, and other reports of its end don't count.
    """
    for call in effects(run.later, run.run_id):
        if call.number > end.number and not call.ends and not call.path.endswith("/logs"):
            yield call


async def _judge_result(exam: HandlerExam, run: FirstRun, proof: Sequence[Probe]) -> None:
    """Judge how a workflow node run ended."""
    if result := next((call.result for call in taken(endings(run.later, run.run_id)) if call.result), ""):
        exam.passes("node-result", f"COMPLETED with {result}")
        return
    own = effects(run.later, run.run_id)
    last = f"the last of {len(own)} calls was {own[-1].method} {own[-1].path}" if own else "the handler did not report"
    await exam.fails("node-result", f"{last}, and the node run is not COMPLETED", proof)


async def await_valid_run(exam: HandlerExam, watch: SandboxWatch, slug: str, label: str) -> bool:
    """Send a valid request, and return whether the work of its run was done in time.

    If the work is done, a handler that processes requests one at a time has also done the work of earlier requests.
    """
    mark, pace = await watch.mark(), exam.prober.pace
    run_id = (await exam.prober.accept(slug, label)).run_id or ""
    calls = await watch.wait_for(
        lambda seen: exam.first_run.is_done(seen, run_id), mark, pace.bounded_s(pace.waits.end_s)
    )
    return exam.first_run.is_done(calls, run_id)


async def await_runs(exam: HandlerExam, watch: SandboxWatch, runs: Sequence[str], mark: int) -> list[SeenCall]:
    """Wait for the work of these runs, and return the calls after `mark`.

    While calls arrive, a handler that queues requests may still be working for earlier runs.
    """
    patience_s = exam.first_run.patience_s
    most_s = exam.prober.pace.bounded_s(_MOST_QUEUED * patience_s)
    return await watch.wait_until_quiet(
        mark, patience_s, most_s, is_so=lambda seen: exam.first_run.are_done(seen, runs)
    )
