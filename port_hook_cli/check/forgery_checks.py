"""The checks of forged requests: the handler rejects them, and does no work for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from port_hook_cli.check.catalog import RULE
from port_hook_cli.check.effects import work_of
from port_hook_cli.check.exam import LIMITED, LONGER_WAIT, MORE_TIME, ONLY_ONCE, HandlerExam
from port_hook_cli.check.forgeries import FORGERIES
from port_hook_cli.check.probing import Outgoing, Prober
from port_hook_cli.check.reactions import Probe, Reaction, first_seen, outcomes
from port_hook_cli.check.report_checks import await_valid_run, observe_first_run

if TYPE_CHECKING:
    from port_hook_cli.runs.seen_calls import SeenCall

_UNVERIFIED = "does not verify signatures and accepts every forged request"
_NO_SIGNATURE = "no-signature"
_VERIFY = f"{RULE} Respond with 401 if they differ. This also fixes the other checks of forged requests."
_HUNG = "the handler did not respond to two invalid requests"


async def check_forgeries(exam: HandlerExam) -> None:
    """Send requests that a handler must reject.

    Then judge all responses together, because the work takes time to show.
    """
    if exam.baseline is None and exam.work_status is None and not exam.judges_by_calls:
        reason = f"{exam.never_accepted}, so a rejected request proves nothing"
        exam.misses(reason, *FORGERIES, "rejection-status")
        return
    watch = exam.prober.means.watch
    mark = 0 if watch is None else await watch.mark()
    wanted = [slug for slug in FORGERIES if exam.wants("rejection-status", slug)]
    sent = await _send_forgeries(exam, wanted)
    work = await _observe_work(exam, [probe for probes in sent.values() for probe in probes], mark)
    exam.hides_rejections = any(
        probe.is_accepted and probe.run_id in work.idle | work.unknown for probes in sent.values() for probe in probes
    )
    verifies_nothing = await _judge_all(exam, sent, work)
    for slug, probes in sent.items():
        await _judge_forgeries(exam, slug, probes, work, part_of=_NO_SIGNATURE if verifies_nothing else "")
    # Nobody can create a request with a valid signature in the other unit: Port does not, and others lack the secret.
    attacks = [probe for slug, probes in sent.items() for probe in (probes[:1] if slug == "old" else probes)]
    await _judge_statuses(exam, attacks, work)
    if attacks and exam.baseline is not None and not exam.prober.hangs_too_often:
        await exam.accepts_again("rejection-status", attacks[-1])


async def _send_forgeries(exam: HandlerExam, slugs: Iterable[str]) -> Mapping[str, Sequence[Probe]]:
    """Send the forgeries of these checks, each for its own run, and return them with their outcomes.

    Checks whose forgeries were not all sent are settled, and left out.
    """
    outgoing = {slug: list(_outgoing(exam.prober, slug)) for slug in slugs}
    probes = iter(await exam.prober.send_each([each for requests in outgoing.values() for each in requests]))
    sent = {slug: list(islice(probes, len(requests))) for slug, requests in outgoing.items()}
    unsent = [slug for slug, requests in outgoing.items() if len(sent[slug]) < len(requests)]
    exam.misses(_HUNG, *unsent, fix=LONGER_WAIT)
    return {slug: probes for slug, probes in sent.items() if slug not in unsent}


def _outgoing(prober: Prober, slug: str) -> Iterator[Outgoing]:
    """Yield the forgeries of a check, each for its own run."""
    forge = FORGERIES[slug]
    for number, _ in enumerate(forge(prober.draft(slug)[1], prober.signing)):
        run_id, draft = prober.draft(slug)
        forgery = next(islice(forge(draft, prober.signing), number, None))
        yield Outgoing(slug, forgery.label, forgery.request, run_id)


class _ForgedWork(NamedTuple):
    """The runs of forgeries, grouped by the work that the handler did for them, as far as the sandbox shows it.

    For a run in `done`, the handler did the work of a valid run. For a run in `idle`, its response did not show that it
    rejected the request, but it did nothing. For a run in `unknown`, it may do the work later. Other runs are judged by
    their responses.
    """

    done: frozenset[str | None] = frozenset()
    idle: frozenset[str | None] = frozenset()
    unknown: frozenset[str | None] = frozenset()


async def _observe_work(exam: HandlerExam, probes: Sequence[Probe], mark: int) -> _ForgedWork:
    """Return the work that the handler did for forgeries. Only calls with numbers after `mark` count."""
    watch = exam.prober.means.watch
    doubtful = {probe.run_id for probe in probes if _is_doubtful(exam, probe)}
    if doubtful:
        await observe_first_run(exam)
    if watch is None or not exam.first_run.work:
        return _ForgedWork()
    # Queued work has ended when the work of a later request has ended.
    label = "a valid request after forged requests"
    is_over = not doubtful or await await_valid_run(exam, watch, "rejection-status", label)
    calls = await watch.wait_for(lambda _: False, mark, exam.prober.pace.bounded_s(exam.first_run.settling_s))
    runs, work = {probe.run_id for probe in probes}, exam.first_run.work
    done = frozenset(run for run in runs if run and work & work_of(calls, run))
    idle = frozenset(doubtful - done)
    if is_over and watch.problem is None:
        return _ForgedWork(done, idle)
    return _ForgedWork(done, unknown=idle)


def _is_doubtful(exam: HandlerExam, probe: Probe) -> bool:
    """Return whether the response alone does not show that the handler rejected the request."""
    if exam.is_silent:
        return probe.is_accepted or not probe.has_response
    return probe.is_accepted or exam.judges_by_calls or probe.reaction is Reaction.CLOSED


async def _judge_all(exam: HandlerExam, sent: Mapping[str, Sequence[Probe]], work: _ForgedWork) -> bool:
    """If the handler accepted every forgery, report this in one finding, and return True."""
    if sent.keys() != FORGERIES.keys() or not all(
        _is_taken(exam, each, work) for group in sent.values() for each in group
    ):
        return False
    seen = _accepted_seen(exam, sent[_NO_SIGNATURE])
    await exam.fails(_NO_SIGNATURE, seen, sent[_NO_SIGNATURE], failure=_UNVERIFIED, fix=_VERIFY)
    return True


def _accepted_seen(exam: HandlerExam, probes: Sequence[Probe]) -> str:
    contradicts = "" if exam.is_accepted(probes[0]) else ", but the handler did its work"
    return f"{first_seen(probes)}{contradicts}"


async def _judge_forgeries(
    exam: HandlerExam, slug: str, probes: Sequence[Probe], work: _ForgedWork, *, part_of: str
) -> None:
    accepted = [probe for probe in probes if _is_taken(exam, probe, work)]
    if slug == "old" and accepted and accepted[0] is not probes[0] and await _accepts_future(exam):
        accepted = []  # the handler reads the other unit as a time in the far future, which is another finding
    if accepted:
        await exam.fails(slug, _accepted_seen(exam, accepted), accepted, part_of=part_of)
    elif not probes:
        exam.cannot_tell("the body has no value to change", slug)
    elif not _proves_nothing(exam, slug, probes, work):

        async def judge(calls: Sequence[SeenCall]) -> None:
            if worked := [probe for probe in probes if _has_worked(exam, calls, probe)]:
                await exam.fails(slug, f"{first_seen(worked)}, but the handler did its work later", worked)

        exam.passes_unless(slug, outcomes(probes), judge)


def _proves_nothing(exam: HandlerExam, slug: str, probes: Sequence[Probe], work: _ForgedWork) -> bool:
    """Settle the check if its forgeries were not accepted, but not clearly rejected either."""
    if any(probe.run_id in work.unknown for probe in probes):
        exam.misses(f"{probes[0].seen}, and the work of a valid request did not end in time", slug, fix=MORE_TIME)
    elif any(probe.reaction is Reaction.LIMITED for probe in probes):
        exam.cannot_tell(LIMITED, slug)
    elif silent := [probe for probe in probes if not probe.has_response and probe.run_id not in work.idle]:
        exam.misses(silent[0].seen, slug, fix=LONGER_WAIT)
    elif any(_is_like_second(exam, probe) for probe in probes):
        exam.misses(ONLY_ONCE, slug)
    else:
        return False
    return True


def _has_worked(exam: HandlerExam, calls: Sequence[SeenCall], probe: Probe) -> bool:
    """Return whether calls show the work of a valid run for a forgery, or any work if a valid run showed none."""
    done = work_of(calls, probe.run_id or "", with_failures=bool(exam.first_run.work))
    return bool(done & exam.first_run.work if exam.first_run.work else done)


def _is_like_second(exam: HandlerExam, probe: Probe) -> bool:
    """Return whether the handler responded as it did to a valid request that it did not accept again."""
    return exam.works_once and exam.second is not None and probe.delivery.status == exam.second.delivery.status


async def _accepts_future(exam: HandlerExam) -> bool:
    """Return whether the handler accepts a timestamp in the future."""
    sent = exam.prober.probes_of("future")
    if not sent:
        sent = await exam.prober.send_each(list(_outgoing(exam.prober, "future")))
    return any(exam.is_accepted(probe) for probe in sent)


async def _judge_statuses(exam: HandlerExam, probes: Sequence[Probe], work: _ForgedWork) -> None:
    if not exam.wants("rejection-status"):
        return
    control = [exam.control] if exam.control is not None and not exam.judges_by_calls else []
    judged = [probe for probe in (*control, *probes) if probe.run_id not in work.unknown]
    refused = [each for each in judged if each.has_response and not _is_taken(exam, each, work)]
    wrong = [probe for probe in refused if probe.reaction not in {Reaction.REJECTED, Reaction.LIMITED}]
    if wrong:
        await exam.fails("rejection-status", first_seen(wrong), wrong)
    elif refused:
        exam.passes("rejection-status", outcomes(refused))
    else:
        exam.cannot_tell("the handler rejected no request", "rejection-status")


def _is_taken(exam: HandlerExam, probe: Probe, work: _ForgedWork) -> bool:
    """Return whether the handler accepted a forgery: a call for its run is proof, whatever the status."""
    return probe.run_id in work.done or (exam.is_accepted(probe) and probe.run_id not in work.idle | work.unknown)
