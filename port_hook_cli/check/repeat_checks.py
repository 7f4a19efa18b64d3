"""The `repeats` checks: the handler does the work of each run once, even if runs arrive twice, or many at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from port_hook_cli.check.catalog import CheckSeverity
from port_hook_cli.check.effects import counted
from port_hook_cli.check.exam import LIMITED, LOST, ONLY_ONCE, HandlerExam
from port_hook_cli.check.reactions import Probe, Reaction, first_seen
from port_hook_cli.check.report_checks import await_runs

if TYPE_CHECKING:
    from port_hook_cli.check.probing import Prober
    from port_hook_cli.check.watching import SandboxWatch
    from port_hook_cli.runs.seen_calls import SeenCall

_NO_EFFECT = "the handler changed nothing in the sandbox"
_QUIET_S, _MOST_QUIET_S = 0.1, 10.0
_RUNS = 10
_PAIR = 2
_ORDER_S = (0.0, -5.0, -10.0)


async def check_repeats(exam: HandlerExam) -> None:
    """Deliver runs twice and many runs concurrently, and compare the calls with the calls for a single delivery."""
    watch, prober = exam.prober.means.watch, exam.prober
    if not exam.wants("order", "ten-runs", *_PAIRS):
        return
    if watch is not None and exam.first_run.effects:  # earlier requests may still be in progress
        quiet_s = max(_QUIET_S, exam.first_run.settling_s)
        await watch.wait_until_quiet(await watch.mark(), quiet_s, prober.pace.bounded_s(_MOST_QUIET_S))
    await _check_order(exam)
    if watch is None or not exam.first_run.effects:
        exam.cannot_tell(_NO_EFFECT, *_PAIRS, "ten-runs", is_gap=watch is not None and not exam.subject.synchronized)
        return
    for slug, deliver in _PAIRS.items():
        if exam.wants(slug):
            await _check_pair(exam, watch, slug, deliver)
    await _check_many(exam, watch)


async def _check_order(exam: HandlerExam) -> None:
    if not exam.wants("order"):
        return
    watch, prober = exam.prober.means.watch, exam.prober
    mark = 0 if watch is None else await watch.mark()
    label = "a run with an earlier timestamp than the run before"
    probes = [await prober.accept("order", label, shift_s=shift_s) for shift_s in _ORDER_S]
    refused = [probe for probe in probes if not probe.is_accepted]
    if any(probe.reaction is Reaction.LIMITED for probe in refused):
        exam.cannot_tell(LIMITED, "order")
    elif len(refused) == len(probes) and not await exam.accepts_again("order", probes[-1]):
        exam.misses(ONLY_ONCE, "order")
    elif refused:
        await exam.fails("order", first_seen(refused), refused)
    elif watch is None or not exam.first_run.effects:
        exam.passes("order", "all runs were accepted")
    else:
        await _judge_each(exam, watch, "order", probes, mark)


async def _same_delivery(prober: Prober, slug: str) -> Sequence[Probe]:
    first = await prober.accept(slug, "a request")
    return first, await prober.send(slug, "the same bytes again", first.request, first.run_id or "")


async def _same_run(prober: Prober, slug: str) -> Sequence[Probe]:
    first = await prober.accept(slug, "a request")
    # The timestamp is different, so that the signature differs.
    return first, await prober.accept(slug, "the same run, newly signed", run_id=first.run_id, shift_s=-1.0)


async def _same_run_together(prober: Prober, slug: str) -> Sequence[Probe]:
    return await prober.together(slug, "one of two identical requests", _PAIR, run_id=prober.new_run_id())


_Deliver = Callable[["Prober", str], Awaitable[Sequence[Probe]]]
_PAIRS: Mapping[str, _Deliver] = {
    "same-delivery": _same_delivery,
    "same-run": _same_run,
    "same-run-at-once": _same_run_together,
}
"""The ways to deliver a run twice."""


async def _check_pair(exam: HandlerExam, watch: SandboxWatch, slug: str, deliver: _Deliver) -> None:
    prober, first_run = exam.prober, exam.first_run
    mark = await watch.mark()
    probes = await deliver(prober, slug)
    run_id = probes[0].run_id or ""
    await await_runs(exam, watch, [run_id], mark)
    quiet_s = prober.pace.bounded_s(first_run.settling_s)
    calls = await watch.wait_until_quiet(mark, quiet_s, prober.pace.bounded_s(_MOST_QUIET_S))
    if watch.problem is not None:
        exam.misses(LOST, slug)
    elif not any(probe.is_accepted for probe in probes):
        exam.cannot_tell(probes[0].seen, slug)
    elif not (done := first_run.counted(calls, run_id)):
        exam.cannot_tell("the handler did nothing for the run", slug)
    else:

        async def judge(calls: Sequence[SeenCall]) -> None:
            await _judge_pair(exam, slug, probes, counted(calls, run_id))

        await _judge_pair(exam, slug, probes, done)
        exam.passes_unless(slug, "the work was done once", judge)


async def _judge_pair(exam: HandlerExam, slug: str, probes: Sequence[Probe], done: Counter[str]) -> None:
    """Settle a check with two deliveries of a run if the handler has `done` more than for one delivery."""
    once = exam.first_run.effects
    if more := done - once:
        what, count = more.most_common(1)[0]
        seen = f"two deliveries of one run led to {count + once[what]} calls of {what}"
        severity = CheckSeverity.FAILURE if exam.subject.via_agent else None
        await exam.fails(slug, seen, probes, severity=severity)


async def _check_many(exam: HandlerExam, watch: SandboxWatch) -> None:
    if not exam.wants("ten-runs"):
        return
    mark = await watch.mark()
    sent = await exam.prober.together("ten-runs", "one of ten concurrent runs", _RUNS)
    probes = [probe for probe in sent if probe.is_accepted]
    if len(probes) < _PAIR:
        exam.cannot_tell("the handler accepted fewer than two of ten concurrent runs", "ten-runs")
        return
    await _judge_each(exam, watch, "ten-runs", probes, mark)


async def _judge_each(exam: HandlerExam, watch: SandboxWatch, slug: str, probes: Sequence[Probe], mark: int) -> None:
    """Settle a check that expects one report for each of several runs."""
    first_run, runs = exam.first_run, [probe.run_id or "" for probe in probes]
    calls = await await_runs(exam, watch, runs, mark)
    wrong = [probe for probe in probes if not first_run.is_done(calls, probe.run_id or "")]
    if watch.problem is not None:
        exam.misses(LOST, slug)
    elif wrong:
        exam.prober.pace.require_time()
        await exam.fails(slug, f"the results of {len(wrong)} of {len(probes)} runs were not reported", wrong)
    else:
        exam.passes(slug, f"the results of all {len(probes)} runs were reported")
