"""The other checks of signatures: malformed requests, and a missing secret."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from port_hook_cli.check.catalog import CheckSeverity
from port_hook_cli.check.exam import LOOK, STOPS, HandlerExam
from port_hook_cli.check.forgeries import FORGERIES, MALFORMED, unsigned
from port_hook_cli.check.pace import LeftHandler
from port_hook_cli.check.reactions import Probe, Reaction, first_seen, outcomes, stops_seen
from port_hook_cli.errors import PortHookError

if TYPE_CHECKING:
    from port_hook_cli.listener.handler_process import HandlerProcess

_SECRET = "PORT_CLIENT_SECRET"  # noqa: S105 - a name
_IN_USE = re.compile(rb"in use|EADDRINUSE|only one usage of each socket", re.IGNORECASE)


async def check_survival(exam: HandlerExam) -> None:
    """Send malformed signatures and bodies, then a valid request. Call this last, because it may end the handler."""
    if not exam.wants("survives"):
        return
    prober = exam.prober
    for label, make in MALFORMED.items():
        if prober.hangs_too_often:
            break
        run_id, draft = prober.draft("survives")
        await prober.send("survives", label, make(draft, prober.signing), run_id)
    control = [exam.control] if exam.control is not None else []
    probes = [*control, *_hung_or_dead(exam), *prober.probes_of("survives")]
    after = await prober.accept("survives", "a valid request afterward") if exam.baseline is not None else None
    await _judge_survival(exam, probes, after)


def _hung_or_dead(exam: HandlerExam) -> Iterator[Probe]:
    """Yield the forgeries without a response."""
    for slug in FORGERIES:
        yield from (probe for probe in exam.prober.probes_of(slug) if not probe.has_response)


async def _judge_survival(exam: HandlerExam, probes: Sequence[Probe], after: Probe | None) -> None:
    dead = [probe for probe in probes if probe.died]
    silent = [probe for probe in probes if not probe.has_response and not exam.is_silent]
    # A 5xx response to every rejected request is another finding.
    knows = exam.has_found("rejection-status") or exam.judges_by_calls
    broken = [probe for probe in probes if probe.reaction is Reaction.FAILED and not knows]
    if dead:
        await exam.fails("survives", first_seen(dead), dead, failure="crashes on malformed requests")
    elif after is not None and not after.is_accepted and not (exam.works_once and after.has_response):
        await exam.fails("survives", after.seen, [*probes[-1:], after])
    elif stops := exam.stops:
        await exam.fails("survives", stops_seen(stops), stops, failure=STOPS, fix=LOOK)
    elif harmed := silent or broken:
        await exam.fails("survives", first_seen(harmed), harmed, severity=CheckSeverity.WARNING)
    elif after is not None and (after.is_accepted or after.has_response):
        exam.passes("survives", outcomes(probes))
    else:
        exam.misses(exam.never_accepted, "survives")


async def check_unset_secret(exam: HandlerExam) -> None:
    """Start the handler without its secret, and send requests that it must reject. Call this last."""
    handler = exam.prober.means.handler
    if handler is None or not exam.wants("secret-unset") or not await _starts_without_secret(exam, handler):
        return
    prober = exam.prober
    run_id, draft = prober.draft("secret-unset")
    probes: list[Probe] = []
    try:
        for forgery in unsigned(draft, prober.signing):
            probes.append(await prober.send("secret-unset", forgery.label, forgery.request, run_id))
            if exam.is_accepted(probes[-1]) or probes[-1].reaction is Reaction.HUNG:
                break
    except LeftHandler:
        if prober.pace.left_s <= 0:
            raise
        # The handler ended, so it cannot accept requests.
    await _judge_unset_secret(exam, probes)


async def _judge_unset_secret(exam: HandlerExam, probes: Sequence[Probe]) -> None:
    slug, last = "secret-unset", probes[-1] if probes else None
    if last is None:
        exam.passes(slug, "the command ended")
    elif exam.is_accepted(last) and exam.hides_rejections:
        exam.cannot_tell("the handler rejects requests with a 2xx status", slug)
    elif exam.is_accepted(last):
        await exam.fails(slug, last.seen, [last])
    elif last.reaction is Reaction.HUNG:
        exam.misses(last.seen, slug)
    else:
        exam.passes(slug, outcomes(probes))


async def _starts_without_secret(exam: HandlerExam, handler: HandlerProcess) -> bool:
    """Start the handler without its secret, and return whether it accepts connections. If not, settle the check."""
    from port_hook_cli.listener.handler_process import NotReadyError

    slug = "secret-unset"
    environ = {name: value for name, value in exam.prober.means.environ.items() if name != _SECRET}
    try:
        await exam.prober.recovery.restart(handler, environ)
    except NotReadyError as problem:
        if problem.exit_code is None or _IN_USE.search(problem.output):
            exam.cannot_tell(f"the restarted command failed for another reason: {problem.message}", slug)
        else:
            exam.passes(slug, f"the command does not start: {problem.message}")
        return False
    except PortHookError as problem:
        exam.cannot_tell(problem.message, slug)
        return False
    return True
