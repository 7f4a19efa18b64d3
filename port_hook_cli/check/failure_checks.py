"""The checks of failures: the handler reports, or responds, that its work for bad inputs failed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from port_hook_cli.actions.sample_inputs import bad_inputs
from port_hook_cli.check.effects import endings
from port_hook_cli.check.exam import LOST, UNRESPONSIVE, HandlerExam
from port_hook_cli.check.reactions import Probe, Reaction, first_seen, outcomes
from port_hook_cli.check.report_checks import NO_END, await_runs, is_failure
from port_hook_cli.check.subject import document_of
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.payload import find_run_id

if TYPE_CHECKING:
    from port_hook_cli.runs.seen_calls import SeenCall

_HANDLED = "the handler handled or rejected every bad input"
_BREAKS = frozenset({Reaction.FAILED, Reaction.CLOSED, Reaction.HUNG})
_SAYS_FAILED = re.compile(rb"error|fail|exception|\"(?:ok|success)\": ?false", re.IGNORECASE)
_MAX_READ = 2_000


async def check_failures(exam: HandlerExam) -> None:
    """Send inputs that the handler probably cannot process, and judge how the handler ends these runs."""
    if exam.wants("sync-status"):
        await _judge_responses(exam, await _send_bad_inputs(exam, "sync-status"))
    watch = exam.prober.means.watch
    if watch is None or not exam.wants("failure-reported"):
        return
    if not exam.first_run.has_ended:
        exam.cannot_tell(NO_END, "failure-reported")
        return
    mark = await watch.mark()
    probes = await _send_bad_inputs(exam, "failure-reported")
    runs = [probe.run_id or "" for probe in probes if probe.is_accepted]
    calls = await await_runs(exam, watch, runs, mark)
    if watch.problem is not None:
        exam.misses(LOST, "failure-reported")
    else:
        await _judge_failures(exam, probes, calls)


async def _send_bad_inputs(exam: HandlerExam, slug: str) -> list[Probe]:
    bodies = {f"a request with {name}": body for name, body in _bad_bodies(exam)}
    return await exam.prober.accept_each(slug, bodies)


def _bad_bodies(exam: HandlerExam) -> Iterator[tuple[str, bytes]]:
    """Yield bodies with bad inputs, each with a description of the bad input. Each body still contains its run ID."""
    subject = exam.subject
    for name, inputs in bad_inputs(subject.inputs) if isinstance(subject.document, dict) else ():
        body = subject.edited(inputs)
        if find_run_id(document_of(body), Headers(subject.request.headers.items)) == subject.run_id:
            yield name, body


async def _judge_failures(exam: HandlerExam, probes: Sequence[Probe], calls: Sequence[SeenCall]) -> None:
    ends = {probe: endings(calls, probe.run_id or "") for probe in probes}
    silent = [probe for probe in probes if probe.is_accepted and not ends[probe]]
    # Port can send the first variation, because its inputs have the right types.
    broken = [probe for probe in probes[:1] if probe.reaction in _BREAKS and not ends[probe]]
    reported = [probe for probe in probes if any(map(is_failure, ends[probe]))]
    if bad := silent or broken:
        exam.prober.pace.require_time()
        await exam.fails("failure-reported", f"{bad[0].seen}, and the run was not ended in time", bad)
    elif reported:
        exam.passes("failure-reported", f"{reported[0].label} was reported as failed")
    elif exam.prober.hangs_too_often:
        exam.misses(UNRESPONSIVE, "failure-reported")
    else:
        exam.cannot_tell(f"{_HANDLED} ({outcomes(probes)})", "failure-reported")


def _says_failed(probe: Probe) -> bool:
    return bool(_SAYS_FAILED.search(probe.delivery.body[:_MAX_READ]))


async def _judge_responses(exam: HandlerExam, probes: Sequence[Probe]) -> None:
    # A handler may mention errors in every response.
    says_more = exam.baseline is None or not _says_failed(exam.baseline)
    wrong = [probe for probe in probes if says_more and probe.is_accepted and _says_failed(probe)]
    if wrong:
        await exam.fails("sync-status", first_seen(wrong), wrong)
    elif refused := [probe for probe in probes if not probe.is_accepted]:
        exam.passes("sync-status", refused[0].seen)
    else:
        exam.cannot_tell(_HANDLED, "sync-status")
