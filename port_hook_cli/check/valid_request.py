"""The first check: whether the handler accepts a valid request."""

from __future__ import annotations

from port_hook_cli.check.exam import LONGER_WAIT, HandlerExam
from port_hook_cli.check.forgeries import badly_signed
from port_hook_cli.check.pace import LeftHandler
from port_hook_cli.check.reactions import NO_ROUTE, Probe, Reaction
from port_hook_cli.check.rejected_request import NO_RESPONSE, has_worked_for, judge_failed_work, name_the_mistake
from port_hook_cli.check.subject import extended
from port_hook_cli.invocations.hints import is_refusal

_STRICT = "the handler rejects unknown fields, so unusual characters and numbers were not tried"
_RESPOND = "Respond with 2xx to each valid request."


async def check_valid(exam: HandlerExam) -> None:
    """Send a badly signed and a valid request, and if the handler rejects the valid request, find out why.

    Raises LeftHandler if the handler responds to neither request, or if `port-hook listen` responds instead of the
    handler.
    """
    prober = exam.prober
    trying = exam.subject.trying()
    run_id, draft = prober.draft("valid", body=trying)
    request = badly_signed(draft, prober.signing)
    exam.control = await prober.send("valid", "a badly signed request", request, run_id)
    if is_refusal(exam.control.delivery):
        await _blame_listener(exam, exam.control)
    if prober.means.watch is not None:
        exam.mark = await prober.means.watch.mark()
    probe = await prober.accept("valid", "a valid request", body=trying)
    if probe.is_accepted and probe.seems_rejected and exam.control.seems_rejected:
        await name_the_mistake(exam, probe, trying)
    elif probe.is_accepted:
        exam.accepts(probe)
        exam.passes("valid", probe.outcome)
    elif prober.hangs_too_often or probe.reaction is Reaction.HUNG:
        await _judge_silence(exam, probe)
    elif await has_worked_for(exam, probe):
        await judge_failed_work(exam, probe)
    elif not await _uses_post(exam, probe) and not await _is_strict(exam):
        await name_the_mistake(exam, probe, trying)


async def check_second(exam: HandlerExam) -> None:
    """Send a second valid request, because some work can be done only once."""
    probe = await exam.prober.accept("valid", "a second valid request")
    exam.second, exam.takes_more = probe, exam.is_accepted(probe)
    exam.works_once = probe.has_response and not exam.takes_more and probe.reaction is not Reaction.LIMITED


async def _blame_listener(exam: HandlerExam, control: Probe) -> None:
    """Settle the check if `listen` verifies the requests, because then they show nothing about the handler.

    Always raises LeftHandler.
    """
    await exam.fails(
        "valid",
        control.seen,
        [control],
        failure="does not get the requests, because `port-hook listen` verifies them",
        fix="Pass the handler's own port to --to.",
    )
    raise LeftHandler("`port-hook listen`, not the handler, verifies the requests")


async def _judge_silence(exam: HandlerExam, probe: Probe) -> None:
    """Judge a handler that does not respond. If it did its work, the sandbox shows which other requests it accepts.

    Raises LeftHandler if the sandbox shows no work.
    """
    if not await has_worked_for(exam, probe):
        await exam.fails("valid", probe.seen, [probe], failure=NO_RESPONSE, fix=f"{_RESPOND} {LONGER_WAIT}")
        raise LeftHandler("the handler did not respond to a valid request")
    seen = f"{probe.seen}. Port does not document what it does then"
    await exam.fails(
        "valid", seen, [probe], failure="does its work, but never responds", fix=f"{_RESPOND} {LONGER_WAIT}"
    )
    exam.prober.silent_run = exam.first_run
    exam.prober.hung.clear()
    exam.accepts(probe)


async def _uses_post(exam: HandlerExam, refused: Probe) -> bool:
    """Return whether the handler accepts the request with POST, but not with the method of the action."""
    prober = exam.prober
    own = exam.subject
    if refused.delivery.status not in NO_ROUTE or own.request.method == "POST":
        return False
    prober.subject = own.with_method("POST")
    probe = await prober.accept("method", "a request with POST")
    if not probe.is_accepted:
        prober.subject = own
        return False
    exam.control = None  # no route handled the request, so its status means nothing
    exam.accepts(probe)
    await exam.fails("method", f"a request with {own.request.method} got {refused.outcome}", [refused])
    exam.passes("valid", f"a request with POST got {probe.outcome}")
    return True


async def _is_strict(exam: HandlerExam) -> bool:
    """Return whether the handler rejects payloads with unknown fields."""
    subject, prober = exam.subject, exam.prober
    if subject.trying() == subject.request.body:
        return False
    probe = await prober.accept("valid", "a valid request")
    if not probe.is_accepted:
        return False
    neutral = extended(subject.request.body, f'"{subject.spare_name}":"x"')
    if (await prober.accept("valid", "a valid request with an unknown field", body=neutral)).is_accepted:
        return False
    exam.is_strict = True
    exam.accepts(probe)
    exam.passes("valid", f"{probe.outcome} ({_STRICT})")
    return True
