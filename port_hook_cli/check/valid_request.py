"""The first check: does the handler accept a valid request? If not, port-hook finds the handler's mistake."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from port_hook_cli.check.catalog import CheckSeverity
from port_hook_cli.check.effects import effects
from port_hook_cli.check.exam import HandlerExam
from port_hook_cli.check.fault import FaultKind, FaultSearch, FoundFault, find_fault
from port_hook_cli.check.forgeries import badly_signed
from port_hook_cli.check.plain_body import ladder
from port_hook_cli.check.probing import LeftHandler
from port_hook_cli.check.reactions import Probe, Reaction
from port_hook_cli.check.subject import extended
from port_hook_cli.check.way_rows import MILLISECONDS
from port_hook_cli.check.wrong_ways import SigningKeys
from port_hook_cli.listener.responses import is_refusal
from port_hook_cli.signatures.signing import TimestampUnit

if TYPE_CHECKING:
    from port_hook_cli.invocations.models import Delivery, Invocation

_NO_ROUTE = frozenset({404, 405, 501})
_WORK_FAILED = 500
_UNEXPLAINED = frozenset({FaultKind.NOT_FOUND, FaultKind.PATH, FaultKind.REQUEST})
_END_S = 1.0
_STRICT = "the handler rejects unknown fields, so unusual characters and numbers were not tried"
_NO_RESPONSE = "does not respond to a valid request"
_LOOK = "Respond to each request with a complete HTTP response. See the handler's log for the error."
_VARIABLE = "The command gets the secret as PORT_CLIENT_SECRET."


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
    if is_refusal(exam.control.delivery.status, exam.control.delivery.body):
        await _blame_listener(exam, exam.control)
    if prober.means.watch is not None:
        exam.mark = await prober.means.watch.mark()
    probe = await prober.accept("valid", "a valid request", body=trying)
    if probe.is_accepted and probe.seems_rejected and exam.control.seems_rejected:
        await _name_the_mistake(exam, probe, trying)
    elif probe.is_accepted:
        exam.accepts(probe)
        exam.passes("valid", probe.outcome)
    elif exam.hangs_too_often or probe.reaction is Reaction.HUNG:
        await _judge_by_calls(exam, probe)
    elif not await _uses_post(exam, probe) and not await _is_strict(exam):
        await _name_the_mistake(exam, probe, trying)


async def check_second(exam: HandlerExam) -> None:
    """Send a second valid request, because some work can be done only once."""
    probe = await exam.prober.accept("valid", "a second valid request")
    exam.takes_more = exam.is_accepted(probe)
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


async def _judge_by_calls(exam: HandlerExam, probe: Probe) -> None:
    """Judge a handler that does not respond by its calls to the sandbox. Always raises LeftHandler."""
    watch = exam.prober.means.watch
    calls = [] if watch is None else await watch.calls(exam.mark)
    if effects(calls, probe.run_id):
        exam.passes("valid", f"{probe.seen}, but the handler did its work")
    else:
        await exam.fails(
            "valid",
            probe.seen,
            [probe],
            failure=_NO_RESPONSE,
            fix="Respond before you do the work. If the handler needs more time to respond, raise --timeout.",
        )
    raise LeftHandler("the handler did not respond to a valid request")


async def _uses_post(exam: HandlerExam, refused: Probe) -> bool:
    """Return whether the handler accepts the request with POST, but not with the method of the action."""
    prober = exam.prober
    own = exam.subject
    if refused.delivery.status not in _NO_ROUTE or own.request.method == "POST":
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


async def _name_the_mistake(exam: HandlerExam, refused: Probe, trying: bytes) -> None:
    fault = await find_fault(_search(exam, trying))
    if fault.way is not None and fault.way.slug == MILLISECONDS:
        await _accept_milliseconds(exam, refused, fault)
    elif fault.kind is FaultKind.REWRITES:
        await exam.fails("valid", refused.seen, [refused], failure=_clause(fault), fix=fault.fix)
        await _go_on_with_plain_body(exam)
    elif fault.kind is FaultKind.WORK:
        await _judge_work(exam, refused)
    elif fault.kind is FaultKind.NOTHING:
        exam.accepts(await exam.prober.accept("valid", "a valid request"))
        exam.cannot_tell(f"{refused.seen}, but the handler accepted the request the second time", "valid")
    elif fault.kind not in _UNEXPLAINED or not await _blames_another_process(exam, refused):
        is_unknown = fault.kind is FaultKind.NOT_FOUND and exam.prober.means.handler is not None
        fix = f"{fault.fix} {_VARIABLE}" if is_unknown else fault.fix
        failure = _NO_RESPONSE if fault.kind is FaultKind.NO_RESPONSE else _clause(fault)
        await exam.fails("valid", refused.seen, [refused], failure=failure, fix=fix or _LOOK)


async def _blames_another_process(exam: HandlerExam, refused: Probe) -> bool:
    """Settle the check if the command has ended or is about to end, because then another process has the port.

    Returns whether the check is settled.
    """
    handler = exam.prober.means.handler
    if handler is None:
        return False
    with suppress(TimeoutError):
        await asyncio.wait_for(handler.wait_ended(), max(0.0, min(_END_S, exam.prober.left_s)))
    if not handler.has_ended:
        return False
    await exam.fails(
        "valid",
        f"{refused.seen}, and the command ended with exit code {handler.exit_code}",
        [refused],
        failure="does not get the requests, because another process listens on its port",
        fix="Choose another port, or end the other process. See the command's output.",
    )
    return True


def _search(exam: HandlerExam, body: bytes) -> FaultSearch:
    prober, means = exam.prober, exam.prober.means

    async def send(request: Invocation) -> Delivery:
        probe = await prober.send("valid", "a request signed in another way", request, prober.new_run_id())
        return replace(probe.delivery, fault="unreachable") if probe.died else probe.delivery

    keys = SigningKeys(means.secret, means.client_id, means.other_secret, means.other_secret_place)
    return FaultSearch(lambda: prober.draft("valid", body=body)[1], keys, means.now, send)


async def _accept_milliseconds(exam: HandlerExam, refused: Probe, fault: FoundFault) -> None:
    """Continue with milliseconds, which several sample handlers that Port published expect."""
    exam.prober.unit = TimestampUnit.MILLISECONDS
    probe = await exam.prober.accept("valid", "a valid request with a timestamp in milliseconds")
    if probe.is_accepted:
        exam.accepts(probe)
    severity = CheckSeverity.FAILURE if fault.rewrites_too else CheckSeverity.WARNING
    await exam.fails("valid", refused.seen, [refused], severity=severity, failure=_clause(fault), fix=fault.fix)
    if fault.rewrites_too and not probe.is_accepted:
        await _go_on_with_plain_body(exam)


async def _go_on_with_plain_body(exam: HandlerExam) -> None:
    """Continue with a plain body, which every serializer writes in the same way."""
    prober = exam.prober
    probe = await prober.accept("valid", "a valid request without unusual characters")
    if not probe.is_accepted:
        prober.subject = exam.subject.with_body(ladder(exam.subject.request.body)[0].body)
        probe = await prober.accept("valid", "a valid request with a plain body")
    if probe.is_accepted:
        exam.accepts(probe)


async def _judge_work(exam: HandlerExam, refused: Probe) -> None:
    """Judge a handler that accepts the signature of the valid request, but then fails or rejects its content."""
    control = exam.control
    # If both have the same status, responses do not distinguish forged and valid requests.
    if control is None or control.delivery.status != refused.delivery.status:
        exam.work_status = refused.delivery.status
    if (refused.delivery.status or 0) >= _WORK_FAILED:
        await exam.fails(
            "valid",
            f"{refused.seen}, and a badly signed request got {control.outcome if control else 'nothing'}",
            [refused],
            failure="fails on a valid request",
            fix="Find the error in the handler's log. The handler probably accepted the signature, then failed.",
        )
    else:
        exam.cannot_tell(
            f"{refused.seen} and the handler probably accepted its signature. Choose another request",
            "valid",
        )


def _clause(fault: FoundFault) -> str:
    return fault.sentence.removeprefix("The handler ").rstrip(".")
