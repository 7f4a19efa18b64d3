"""The checks of runs: the handler does the work of each run once, and reports the result to Port."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from port_hook_cli.actions.sample_inputs import bad_inputs
from port_hook_cli.check.catalog import CheckGroup, CheckSeverity, slugs_of
from port_hook_cli.check.exam import LIMITED, NO_SANDBOX, ONLY_ONCE, HandlerExam
from port_hook_cli.check.reactions import Probe, Reaction, first_seen
from port_hook_cli.check.subject import document_of
from port_hook_cli.check.watching import FAILED_ENDS, effects, endings, work_of
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.payload import find_run_id
from port_hook_cli.text.durations import format_duration

if TYPE_CHECKING:
    from port_hook_cli.check.probing import Prober
    from port_hook_cli.check.watching import SandboxWatch
    from port_hook_cli.runs.seen_calls import SeenCall

_NO_RUN = "the payload belongs to no run"
_LOST = "the sandbox stopped responding"
_NO_CALL = "the handler did not call the sandbox (does it use PORT_API_URL?)"
_NO_EFFECT = "the handler changed nothing in the sandbox"
_NO_END = "the handler did not report the result of a valid run"
_MOMENT_S, _FIRST_CALL_S, _LATE_CALL_S, _END_S = 0.5, 2.0, 4.0, 10.0
_QUIET_S = 0.15
_RUNS = 10
_PAIR = 2
_ORDER_S = (0.0, -5.0, -10.0)
_SAYS_FAILED = re.compile(rb"error|fail|exception|\"(?:ok|success)\": ?false", re.IGNORECASE)
_HTTP_ERROR = 400
_AUTHORIZE = (
    "Request a token with POST /v1/auth/access_token, and send it in each call as `Authorization: Bearer TOKEN`."
)
_ABOUT_RUNS = slugs_of(CheckGroup.REPEATS, CheckGroup.REPORTS)
_SEEN_ELSEWHERE = frozenset({"order", "sync-status"})  # the response tells


async def watch_first_run(exam: HandlerExam) -> None:
    """Wait briefly for the end of the first run. No other request was sent yet, so all calls belong to this run."""
    if exam.prober.means.watch is None or exam.subject.run_id is None or not exam.wants(*_ABOUT_RUNS):
        return
    calls = await _calls_of_baseline(exam, _MOMENT_S, _MOMENT_S)
    if endings(calls, _first_run(exam)) or (exam.subject.synchronized and calls):
        exam.is_alone = True
        _learn(exam, calls)


async def check_runs(exam: HandlerExam) -> None:
    """Judge what the handler reports, then what it does with repeated runs and bad inputs.

    A handler that has not called the sandbox yet may do so later: `check_runs_again` judges it.
    """
    await _check_reports(exam)
    if exam.has_called or exam.prober.means.watch is None or exam.subject.run_id is None:
        await _check_repeats(exam)
        await _check_failures(exam)


async def check_runs_again(exam: HandlerExam) -> None:
    """Judge a handler that had not called the sandbox when `check_runs` ended."""
    watch = exam.prober.means.watch
    if exam.has_called or watch is None or not exam.wants(*_ABOUT_RUNS):
        return
    if await observe_first_run(exam, _LATE_CALL_S):
        await _judge_first_run(exam)
    else:
        reason = _LOST if watch.problem is not None else _NO_CALL
        exam.cannot_tell(reason, *set(_ABOUT_RUNS) - _SEEN_ELSEWHERE)
    await _check_repeats(exam)
    await _check_failures(exam)


async def _check_reports(exam: HandlerExam) -> None:
    """Wait for the report of the first run, and judge it. Without a sandbox, these checks are not observed."""
    if not exam.wants(*_ABOUT_RUNS):
        return
    if exam.prober.means.watch is None or exam.subject.run_id is None:
        reason = _NO_RUN if exam.subject.run_id is None else NO_SANDBOX
        exam.cannot_tell(reason, *set(_ABOUT_RUNS) - _SEEN_ELSEWHERE)
    elif await observe_first_run(exam):
        await _judge_first_run(exam)


async def observe_first_run(exam: HandlerExam, first_s: float = _FIRST_CALL_S) -> bool:
    """Record what the handler did for the first valid request, and return whether that is known.

    `first_s` is how long to wait for its first call, in seconds since the request.
    """
    if exam.has_called or exam.baseline is None or exam.prober.means.watch is None or exam.subject.run_id is None:
        return exam.has_called
    calls = await _calls_of_baseline(exam, first_s, _END_S)
    if calls and exam.prober.means.watch.problem is None:
        _learn(exam, calls)
    return exam.has_called


async def _calls_of_baseline(exam: HandlerExam, first_s: float, end_s: float) -> Sequence[SeenCall]:
    """Return the calls since the first valid request, after its run has ended and late calls had time to arrive.

    `first_s` and `end_s` are how long to wait for the first call and for the end, in seconds since the request.
    """
    watch, baseline, run_id = exam.prober.means.watch, exam.baseline, _first_run(exam)
    assert watch is not None
    assert baseline is not None

    def left_s(patience_s: float) -> float:
        waited_s = exam.prober.means.now() - baseline.request.received_at
        return max(0.0, min(patience_s - waited_s, exam.prober.left_s))

    calls = await watch.wait_for(bool, exam.mark, left_s(first_s))
    if not calls:
        return calls
    if not exam.subject.synchronized:
        calls = await watch.wait_for(lambda seen: bool(endings(seen, run_id)), exam.mark, left_s(end_s))
        if not endings(calls, run_id):
            return calls
    last = max((call.at for call in effects(calls, run_id)), default=0.0)
    duration_s = max(0.0, last - baseline.request.received_at)
    return await _until_quiet(exam, exam.mark, min(2.0, max(2 * _QUIET_S, 1.5 * duration_s)))


async def _until_quiet(exam: HandlerExam, mark: int, quiet_s: float) -> Sequence[SeenCall]:
    """Wait until the handler has made no call for `quiet_s` seconds, and return the calls after `mark`."""
    watch = exam.prober.means.watch
    assert watch is not None
    calls = await watch.calls(mark)
    until = exam.prober.left_s - _END_S
    while exam.prober.left_s > max(0.0, until):
        count = len(calls)
        calls = await watch.wait_for(partial(_has_more, count), mark, quiet_s)
        if len(calls) == count:
            break
    return calls


def _has_more(count: int, calls: Sequence[SeenCall]) -> bool:
    return len(calls) > count


def _first_run(exam: HandlerExam) -> str:
    assert exam.baseline is not None
    return exam.baseline.run_id or ""


def _learn(exam: HandlerExam, calls: Sequence[SeenCall]) -> None:
    """Record what the handler did for the first run."""
    assert exam.baseline is not None
    run_id = _first_run(exam)
    exam.has_called = True
    exam.has_ended = any(call.status < _HTTP_ERROR for call in endings(calls, run_id))
    exam.effects = _counted(exam, calls, run_id)
    exam.work = work_of(calls, run_id, with_failures=False) or work_of(calls, run_id)
    if own := effects(calls, run_id):
        exam.duration_s = max(0.0, max(call.at for call in own) - exam.baseline.request.received_at)


async def _judge_first_run(exam: HandlerExam) -> None:
    """Judge the first run by all calls so far, including late calls."""
    watch, baseline, run_id = exam.prober.means.watch, exam.baseline, _first_run(exam)
    assert watch is not None
    assert baseline is not None
    calls = await watch.calls(exam.mark)
    exam.effects |= Counter(_kind(call, run_id) for call in effects(calls, run_id))
    await _judge_end(exam, baseline, calls, endings(calls, run_id))


async def _judge_end(exam: HandlerExam, baseline: Probe, calls: Sequence[SeenCall], ends: Sequence[SeenCall]) -> None:
    run_id = baseline.run_id or ""
    taken = [call for call in ends if call.status < _HTTP_ERROR]
    if exam.subject.is_node:
        await _judge_node(exam, baseline, calls, taken)
    if not taken:
        seen = "the run stayed IN_PROGRESS"
        if refused := next((call for call in reversed(calls) if call.status >= _HTTP_ERROR), None):
            seen += f", and the sandbox responded to {refused.method} {refused.path} with {refused.status}"
        fix = _AUTHORIZE if refused is not None and refused.status == HTTPStatus.UNAUTHORIZED else ""
        await exam.fails("terminal", seen, [baseline], fix=fix)
        exam.cannot_tell(_NO_END, "once", "after-work")
        return
    exam.passes("terminal", f"{taken[0].ends} was reported after {format_duration(exam.duration_s)}")
    if len(ends) > 1:
        await exam.fails("once", f"one request led to {len(ends)} reports that end its run", [baseline])
    else:
        exam.passes("once", "the result was reported once")
    late = [call for call in effects(calls, run_id) if call.number > taken[0].number and not _is_log(call)]
    late = [call for call in late if call not in ends]
    if late:
        seen = f"{late[0].method} {late[0].path} came after the report of {taken[0].ends}"
        await exam.fails("after-work", seen, [baseline])
    else:
        exam.passes("after-work", "nothing changed after the report")


async def _judge_node(exam: HandlerExam, baseline: Probe, calls: Sequence[SeenCall], taken: Sequence[SeenCall]) -> None:
    if result := next((call.result for call in taken if call.result), ""):
        exam.passes("node-result", f"COMPLETED with {result}")
        return
    own = effects(calls, baseline.run_id or "")
    seen = (
        f"the last of {len(own)} calls was {own[-1].method} {own[-1].path}" if own else "the handler reported nothing"
    )
    await exam.fails("node-result", f"{seen}, and the node run is not COMPLETED", [baseline])


def _is_log(call: SeenCall) -> bool:
    """Return whether a call adds a log, which Port accepts even after the run ends."""
    return call.path.endswith("/logs")


def _counted(exam: HandlerExam, calls: Sequence[SeenCall], run_id: str) -> Counter[str]:
    """Count what was done for a run, by method and path without the run's id."""
    done = effects(calls, run_id)
    if exam.is_alone:
        done += [call for call in effects(calls) if call.run_id is None]
    return Counter(_kind(call, run_id) for call in done)


def _kind(call: SeenCall, run_id: str) -> str:
    return f"{call.method} {call.path.replace(run_id, 'ID')}"


async def _check_repeats(exam: HandlerExam) -> None:
    """Deliver runs twice and many runs together, and compare the calls with the calls for one delivery."""
    watch = exam.prober.means.watch
    if watch is not None and exam.effects:
        await _until_quiet(exam, await watch.mark(), _QUIET_S)  # earlier requests may still be in progress
    await _check_order(exam)
    if watch is None or not exam.effects:
        exam.cannot_tell(_NO_EFFECT, "same-delivery", "same-run", "same-run-at-once", "ten-runs")
        return
    for slug, deliver in _PAIRS.items():
        if exam.wants(slug):
            mark = await watch.mark()
            probes = await deliver(exam.prober, slug)
            run_id = probes[0].run_id or ""
            await watch.wait_for(partial(_is_done, exam, run_id), mark, _patience_s(exam))
            calls = await _until_quiet(exam, mark, exam.settling_s)
            if watch.problem is not None:
                exam.cannot_tell(_LOST, slug)
                continue
            await _judge_pair(exam, slug, probes, _counted(exam, calls, run_id))
    await _check_many(exam, watch)


async def _same_delivery(prober: Prober, slug: str) -> Sequence[Probe]:
    first = await prober.accept(slug, "a request")
    return first, await prober.send(slug, "the same bytes again", first.request, first.run_id or "")


async def _same_run(prober: Prober, slug: str) -> Sequence[Probe]:
    first = await prober.accept(slug, "a request")
    # Another timestamp, so that the signature differs.
    return first, await prober.accept(slug, "the same run, newly signed", run_id=first.run_id, shift_s=-1.0)


async def _same_run_together(prober: Prober, slug: str) -> Sequence[Probe]:
    return await prober.together(slug, "one of two identical requests", _PAIR, run_id=prober.new_run_id())


_PAIRS: Mapping[str, Callable[[Prober, str], Awaitable[Sequence[Probe]]]] = {
    "same-delivery": _same_delivery,
    "same-run": _same_run,
    "same-run-at-once": _same_run_together,
}


async def _judge_pair(exam: HandlerExam, slug: str, probes: Sequence[Probe], done: Counter[str]) -> None:
    if not any(probe.is_accepted for probe in probes):
        exam.cannot_tell(probes[0].seen, slug)
    elif more := done - exam.effects:
        what, count = more.most_common(1)[0]
        seen = f"two deliveries of one run led to {count + exam.effects[what]} calls of {what.strip()}"
        severity = CheckSeverity.FAILURE if exam.subject.via_agent else None
        await exam.fails(slug, seen, probes, severity=severity)
    elif not done:
        exam.cannot_tell("the handler did nothing for the run", slug)
    else:
        exam.passes(slug, "the work was done once")


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
    runs = [probe.run_id or "" for probe in probes]
    calls = await watch.wait_for(lambda seen: _all_done(exam, seen, runs), mark, _patience_s(exam))
    if watch.problem is not None:
        exam.cannot_tell(_LOST, slug)
        return
    wrong = [probe for probe in probes if not _is_done(exam, probe.run_id or "", calls)]
    if wrong:
        await exam.fails(slug, f"the results of {len(wrong)} of {len(probes)} runs were not reported", wrong)
    else:
        exam.passes(slug, f"the results of all {len(probes)} runs were reported")


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
    elif len(refused) == len(probes) and not await exam.accepts_again("order"):
        exam.cannot_tell(ONLY_ONCE, "order")
    elif refused:
        await exam.fails("order", first_seen(refused), refused)
    elif watch is None or not exam.effects:
        exam.passes("order", "all runs were accepted")
    else:
        await _judge_each(exam, watch, "order", probes, mark)


async def await_valid_run(exam: HandlerExam, slug: str, label: str) -> bool:
    """Send a valid request, and return whether the work of its run was done in time.

    Handlers that work one request after another have done the work of earlier requests then.
    """
    watch = exam.prober.means.watch
    assert watch is not None
    mark = await watch.mark()
    run_id = (await exam.prober.accept(slug, label)).run_id or ""
    is_done = partial(_is_done, exam, run_id)
    return is_done(await watch.wait_for(is_done, mark, max(0.0, min(_END_S, exam.prober.left_s))))


def _all_done(exam: HandlerExam, calls: Sequence[SeenCall], runs: Iterable[str]) -> bool:
    return all(_is_done(exam, run_id, calls) for run_id in runs)


def _is_done(exam: HandlerExam, run_id: str, calls: Sequence[SeenCall]) -> bool:
    """Return whether a run has ended or, if the handler ends no runs, whether it made the calls of one run."""
    if exam.has_ended:
        return bool(endings(calls, run_id))
    return not exam.effects - _counted(exam, calls, run_id)


def _patience_s(exam: HandlerExam) -> float:
    """Return how long to wait for the report of a run, in seconds."""
    return max(0.0, min(_END_S, max(1.0, 10 * exam.duration_s), exam.prober.left_s))


async def _check_failures(exam: HandlerExam) -> None:
    """Send inputs that the work probably cannot handle, and judge how the handler ends these runs."""
    if not exam.wants("failure-reported", "sync-status"):
        return
    watch = exam.prober.means.watch
    slug = "sync-status" if exam.subject.synchronized else "failure-reported"
    if slug == "failure-reported" and not exam.has_ended:
        exam.cannot_tell(_NO_END, slug)
        return
    mark = 0 if watch is None else await watch.mark()
    probes = [await exam.prober.accept(slug, f"a request with {name}", body=body) for name, body in _bad_bodies(exam)]
    if slug == "sync-status":
        await _judge_sync(exam, probes)
    elif watch is not None:
        accepted = [probe for probe in probes if probe.is_accepted]
        runs = [probe.run_id or "" for probe in accepted]
        calls = await watch.wait_for(lambda seen: _all_done(exam, seen, runs), mark, _patience_s(exam))
        if watch.problem is not None:
            exam.cannot_tell(_LOST, slug)
        else:
            await _judge_failures(exam, probes, calls)


def _bad_bodies(exam: HandlerExam) -> Iterator[tuple[str, bytes]]:
    """Yield bodies with bad inputs, and what is bad about each. Each still contains its run id."""
    subject = exam.subject
    for name, inputs in bad_inputs(subject.inputs) if isinstance(subject.document, dict) else ():
        body = subject.edited(inputs)
        if find_run_id(document_of(body), Headers(subject.request.headers.items)) == subject.run_id:
            yield name, body


async def _judge_failures(exam: HandlerExam, probes: Sequence[Probe], calls: Sequence[SeenCall]) -> None:
    ends = {probe: endings(calls, probe.run_id or "") for probe in probes}
    silent = [probe for probe in probes if probe.is_accepted and not ends[probe]]
    # Port can send the first variation: its inputs have the right types.
    broken = [probe for probe in probes[:1] if probe.reaction is Reaction.FAILED and not ends[probe]]
    reported = [probe for probe in probes if any({call.ends, call.result} & FAILED_ENDS for call in ends[probe])]
    if bad := silent or broken:
        await exam.fails("failure-reported", f"{bad[0].seen}, and the run stayed IN_PROGRESS", bad)
    elif reported:
        exam.passes("failure-reported", f"{reported[0].label} was reported as failed")
    else:
        exam.cannot_tell("the handler did not fail", "failure-reported")


def _says_failed(probe: Probe) -> bool:
    return bool(_SAYS_FAILED.search(probe.delivery.body[:2_000]))


async def _judge_sync(exam: HandlerExam, probes: Sequence[Probe]) -> None:
    # A handler may say something about errors in every response.
    says_more = exam.baseline is None or not _says_failed(exam.baseline)
    wrong = [probe for probe in probes if says_more and probe.is_accepted and _says_failed(probe)]
    if wrong:
        await exam.fails("sync-status", first_seen(wrong), wrong)
    elif refused := [probe for probe in probes if not probe.is_accepted]:
        exam.passes("sync-status", refused[0].seen)
    else:
        exam.cannot_tell("the handler did not fail", "sync-status")
