"""Finds out why a handler rejects a valid request: its way of signing, its work, or another process on its port."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from port_hook_cli.check.catalog import CheckSeverity
from port_hook_cli.check.effects import rejected, work_of
from port_hook_cli.check.exam import HandlerExam
from port_hook_cli.check.fault import VARIABLE, FaultDelivery, FaultKind, FaultSearch, FoundFault, find_fault
from port_hook_cli.check.languages import fix_in
from port_hook_cli.check.pace import LeftHandler
from port_hook_cli.check.reactions import Probe, Reaction
from port_hook_cli.check.report_checks import seen_run
from port_hook_cli.check.subject import document_of
from port_hook_cli.invocations.masking import masked_delivery
from port_hook_cli.invocations.payload import find_run_id
from port_hook_cli.signatures.signing import SigningKeys, TimestampUnit
from port_hook_cli.signatures.way_rows import MILLISECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from port_hook_cli.invocations.models import Delivery, Invocation
    from port_hook_cli.runs.seen_calls import SeenCall

_WORK_FAILED = 500
_UNEXPLAINED = frozenset({FaultKind.NOT_FOUND, FaultKind.PATH, FaultKind.REQUEST})
_ABOUT_SIGNING = frozenset({FaultKind.WRONG_WAY, FaultKind.REWRITES})
_UNAUTHORIZED = frozenset({401, 403})
_END_S = 1.0
NO_RESPONSE = "does not respond to a valid request"
_FAILS = "fails on a valid request"
_SEE_LOG = "Find the error in the handler's log. The handler probably accepted the signature, then failed."
_OTHER_INPUTS = (
    "Find the reason in the handler's response or log. If it rejects the inputs, choose others with --input or "
    "--with entity=FILE, or use a capture."
)
_OTHER_DATA = (
    "Choose a request for which the sandbox has data, with --input or --with entity=FILE, or create the data in a "
    "running `port-hook sandbox`."
)
_NOT_THE_DATA = frozenset({401, 403, 429})
_WORK_S, _FAILED_WORK_S = 0.5, 2.0
_MOST_WORKS = 5
_LOOK = "Respond to each request with a complete HTTP response. See the handler's log for the error."


class _Sent(NamedTuple):
    """A request of the search, and the request that was sent for it."""

    request: Invocation
    probe: Probe


class _Working(Exception):
    """The handler works for requests that it should reject, so the search for its way of signing ends."""


async def has_worked_for(exam: HandlerExam, probe: Probe) -> bool:
    """Return whether the handler did something for a valid request that it did not accept."""
    wait_s = _WORK_S if probe.reaction is Reaction.REJECTED else _FAILED_WORK_S
    run = await seen_run(exam, probe, wait_s, wait_s)
    has_worked = _has_worked(run.calls, probe)
    if has_worked:
        exam.first_run = run
    return has_worked


def _has_worked(calls: Sequence[SeenCall], probe: Probe) -> bool:
    """Return whether the calls show work for a request.

    Reports of a failed run don't count if the response is 4xx, because a handler may report what it rejects.
    """
    is_rejection = probe.reaction is Reaction.REJECTED
    return bool(work_of(calls, probe.run_id or "", with_failures=not is_rejection))


async def name_the_mistake(exam: HandlerExam, refused: Probe, trying: bytes) -> None:
    """Find out why the handler rejected the valid request with the body `trying`, and settle the check."""
    fault, proof = await _found_fault(exam, refused, trying)
    if fault is None:
        await judge_failed_work(exam, refused)
    elif fault.way is not None and fault.way.slug == MILLISECONDS and not fault.rewrites_too:
        exam.fault = fault
        await _accept_milliseconds(exam, refused, fault, proof)
    elif fault.kind is FaultKind.WORK:
        await _judge_work(exam, refused)
    elif fault.kind is FaultKind.NOTHING:
        exam.accepts(await exam.prober.accept("valid", "a valid request"))
        again = f"{refused.seen}, but the handler accepted the request the second time"
        exam.misses(again, "valid", fix="Run the check again.")
    elif fault.kind not in _UNEXPLAINED or not await _blames_another_process(exam, refused):
        exam.fault = fault
        failure = NO_RESPONSE if fault.kind is FaultKind.NO_RESPONSE else _clause(fault)
        await exam.fails("valid", refused.seen, proof, failure=failure, fix=fault.fix)
        if refused.is_accepted and fault.kind is FaultKind.UNVERIFIED:
            raise LeftHandler(f"{refused.seen}, like every forged request")
        if fault.kind in _ABOUT_SIGNING or refused.delivery.status in _UNAUTHORIZED:
            raise LeftHandler(exam.never_accepted)


async def _found_fault(exam: HandlerExam, refused: Probe, trying: bytes) -> tuple[FoundFault | None, Sequence[Probe]]:
    """Return the handler's mistake and the requests that prove it: first the valid request.

    The mistake is None if the handler works for the requests that it seems to reject.
    """
    sent = list[_Sent]()
    try:
        fault = await find_fault(_search(exam, trying, sent))
    except _Working:
        await has_worked_for(exam, refused)
        return None, []
    # The work may have taken as long as the search.
    if fault.kind is FaultKind.NOT_FOUND and await has_worked_for(exam, refused):
        return None, []
    if fault.kind is FaultKind.NOT_FOUND and exam.prober.means.handler is not None:
        fault = replace(fault, fix=f"{fault.fix} {VARIABLE}")
    proof = [probe for each in fault.requests for request, probe in sent if request is each.request]
    return await _kept(exam, replace(fault, fix=fault.fix or _LOOK), proof), proof[1:]


async def _kept(exam: HandlerExam, fault: FoundFault, proof: Sequence[Probe]) -> FoundFault:
    """Return a fault for display: with its requests saved, secrets masked, and the fix in the handler's language."""
    means, requests = exam.prober.means, list[FaultDelivery]()
    for each, probe in zip(fault.requests, proof, strict=True):
        captures = await exam.save([probe])
        delivery = masked_delivery(each.delivery, means.masker)
        requests.append(each._replace(delivery=delivery, capture="".join(captures)))
    return replace(
        fault,
        sentence=means.masker.text(fault.sentence),
        fix=fix_in(means.language, fault.fix),
        requests=tuple(requests),
    )


async def _blames_another_process(exam: HandlerExam, refused: Probe) -> bool:
    """Settle the check if the command has ended or is about to end, because then another process has the port.

    Returns whether the check is settled.
    """
    handler = exam.prober.means.handler
    if handler is None:
        return False
    with suppress(TimeoutError):
        await asyncio.wait_for(handler.wait_ended(), max(0.0, min(_END_S, exam.prober.pace.left_s)))
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


def _search(exam: HandlerExam, body: bytes, sent: list[_Sent]) -> FaultSearch:
    """Return the search, which adds its requests to `sent`."""
    prober, means = exam.prober, exam.prober.means

    async def send(request: Invocation) -> Delivery:
        run_id = find_run_id(document_of(request.body), request.headers)
        probe = await prober.send("valid", "a request signed in another way", request, run_id or prober.new_run_id())
        sent.append(_Sent(request, probe))
        if means.watch is not None:
            calls = await means.watch.calls(exam.mark)
            if sum(_has_worked(calls, each.probe) for each in sent) >= _MOST_WORKS:
                raise _Working
        return replace(probe.delivery, fault="unreachable") if probe.died else probe.delivery

    keys = SigningKeys(means.secret, means.client_id, means.other_secret, means.other_secret_place)
    return FaultSearch(lambda: prober.draft("valid", body=body)[1], keys, means.now, send, exam.on_search)


async def _accept_milliseconds(exam: HandlerExam, refused: Probe, fault: FoundFault, proof: Sequence[Probe]) -> None:
    """Continue with milliseconds, which several sample handlers that Port published expect."""
    exam.prober.unit = TimestampUnit.MILLISECONDS
    probe = await exam.prober.accept("valid", "a valid request with a timestamp in milliseconds")
    if probe.is_accepted:
        exam.accepts(probe)
        warning = CheckSeverity.WARNING
        await exam.fails("valid", refused.seen, proof, severity=warning, failure=_clause(fault), fix=fault.fix)
        return
    exam.work_status = probe.delivery.status
    failure = f"{_clause(fault)}, and then fails on a valid request"
    await exam.fails("valid", f"{refused.seen}, and {probe.seen}", [*proof[:1], probe], failure=failure, fix=fault.fix)


async def _judge_work(exam: HandlerExam, refused: Probe) -> None:
    """Judge a handler that accepts the signature of the valid request, but then fails or rejects its content."""
    control = exam.control
    # If both have the same status, responses do not distinguish forged and valid requests.
    if control is None or control.delivery.status != refused.delivery.status:
        exam.work_status = refused.delivery.status
    seen = f"{refused.seen}, and a badly signed request got {control.outcome if control else 'nothing'}"
    if (call := await _sandbox_refusal(exam, refused)) is not None:
        exam.misses(f"{refused.seen}, after the sandbox rejected {call.method} {call.path}", "valid", fix=_OTHER_DATA)
    elif (refused.delivery.status or 0) >= _WORK_FAILED:
        await exam.fails("valid", seen, [refused], failure=_FAILS, fix=_SEE_LOG)
    else:
        await exam.fails("valid", seen, [refused], fix=_OTHER_INPUTS)


async def judge_failed_work(exam: HandlerExam, probe: Probe) -> None:
    """Judge a handler that works for a valid request, and responds with an error."""
    control = exam.control
    is_told_apart = control is not None and control.delivery.status != probe.delivery.status
    exam.work_status = probe.delivery.status if is_told_apart else None
    await exam.fails("valid", f"{probe.seen}, but the handler did its work", [probe], failure=_FAILS, fix=_SEE_LOG)


async def _sandbox_refusal(exam: HandlerExam, probe: Probe) -> SeenCall | None:
    """Return the handler's last call for the valid request that the sandbox rejected, or None.

    A call without a valid token is the handler's own mistake.
    """
    watch = exam.prober.means.watch
    calls = [] if watch is None else await watch.calls(exam.mark)
    own = [call for call in rejected(calls) if call.run_id in {None, probe.run_id} and call.status not in _NOT_THE_DATA]
    return own[-1] if own else None


def _clause(fault: FoundFault) -> str:
    return fault.sentence.removeprefix("The handler ").rstrip(".")
