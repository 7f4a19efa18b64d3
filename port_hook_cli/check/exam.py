"""The state of a check: what is known about the handler, and the findings so far."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from port_hook_cli.check.catalog import BY_SLUG, CHECKS, CheckGroup, CheckSeverity, slugs_of
from port_hook_cli.check.effects import NOT_SEEN, FirstRun
from port_hook_cli.check.findings import CheckFinding, CheckStatus, found, not_observed, passed
from port_hook_cli.check.languages import fix_in
from port_hook_cli.check.pace import TIME_UP, LeftHandler
from port_hook_cli.check.probing import Prober
from port_hook_cli.check.reactions import Probe, Reaction
from port_hook_cli.check.subject import CheckSubject
from port_hook_cli.runs.seen_calls import SeenCall

if TYPE_CHECKING:
    from port_hook_cli.check.fault import FoundFault

LOST = "the sandbox stopped responding"
UNRESPONSIVE = "the handler did not respond to earlier requests"
LIMITED = "the handler responded with 429"
MORE_TIME = "Pass a longer --within."
LONGER_WAIT = "If the handler needs more time to respond, raise --timeout."
ONLY_ONCE = "the handler stopped accepting valid requests, maybe because its work can be done only once"
STOPS = "stops while it serves requests"
LOOK = "Find the error in the handler's log."
_STOPPED = "the handler stopped several times, which can lose or repeat work"
_NEEDS_A_RUNNING_HANDLER = frozenset({*slugs_of(CheckGroup.REPEATS, CheckGroup.REPORTS), "at-once", "cut-off"})
_LOCKED = "rejects valid requests after an unusual one"
_UNLOCK = (
    "Verify the signature before you store anything of a request. Do not lock out senders, because anyone can send."
)
_LEAST_LATE_S, _MOST_LATE_S = 1.0, 5.0


class PassedSoFar(NamedTuple):
    """A check that passed at `at`, a time of the event loop, but may still fail because of later calls to the sandbox.

    `judge` settles the check by all calls, the later ones included.
    """

    slug: str
    seen: str
    judge: Callable[[Sequence[SeenCall]], Awaitable[None]]
    at: float


@dataclass(slots=True, kw_only=True)
class HandlerExam:
    """One check of one handler.

    `original` is the ID of the capture that the new captures replay. `control` is the badly signed request.
    `baseline` is the first valid request that the handler accepted, `mark` is the sandbox's last call before
    `baseline`, and `first_run` is the handler's work for `baseline`. `work_status` is the status of a valid request
    that the handler verified, but whose work failed. The checks in `passed_so_far` are judged again at the end. With
    `is_strict`, the handler rejects unknown fields. With `hides_rejections`, it rejects requests with a 2xx status.
    With `works_once`, it accepted only the first of several identical requests. With `takes_more`, it accepted two of
    them. `second` is the second of them. `output` is the output of the handler's process. `fault` is the result of the
    search for the reason why it rejected the valid request.
    """

    prober: Prober
    slugs: frozenset[str]
    on_finding: Callable[[CheckFinding], None]
    on_search: Callable[[int, str], None] = lambda _number, _what: None
    original: str | None = None
    control: Probe | None = None
    baseline: Probe | None = None
    second: Probe | None = None
    work_status: int | None = None
    is_strict: bool = False
    hides_rejections: bool = False
    works_once: bool = False
    takes_more: bool = False
    mark: int = 0
    first_run: FirstRun = NOT_SEEN
    output: bytes | None = None
    fault: FoundFault | None = None
    findings: dict[str, CheckFinding] = field(default_factory=dict)
    passed_so_far: list[PassedSoFar] = field(default_factory=list)

    @property
    def subject(self) -> CheckSubject:
        """The request under check."""
        return self.prober.subject

    def wants(self, *slugs: str) -> bool:
        """Return whether at least one of the checks is wanted and not settled yet."""
        return any(slug in self.slugs and slug not in self.findings for slug in slugs)

    @property
    def is_silent(self) -> bool:
        """Whether the handler did not respond to a valid request, but did its work."""
        return self.prober.silent_run is not None

    @property
    def judges_by_calls(self) -> bool:
        """Whether only the sandbox shows which requests the handler accepts, because its responses do not."""
        return self.is_silent or (self.baseline is None and self.work_status is None and bool(self.first_run.work))

    @property
    def never_accepted(self) -> str:
        """Why nothing can be judged without an accepted request: the outcome of the valid request."""
        valid = next((probe for probe in self.prober.probes_of("valid") if probe is not self.control), None)
        return valid.seen if valid else "no valid request was accepted"

    def has_found(self, slug: str) -> bool:
        """Return whether a check has found a mistake."""
        finding = self.findings.get(slug)
        return finding is not None and finding.is_wrong

    @property
    def stops(self) -> list[Probe]:
        """The requests after which the handler stopped once, except requests of checks that report the stop."""
        told = self.prober.recovery.fatal | {slug for slug, finding in self.findings.items() if finding.is_wrong}
        return [probe for probe in self.prober.recovery.stops if probe.slug not in told]

    def accepts(self, probe: Probe) -> None:
        """Record a valid request that the handler accepted."""
        self.baseline = self.baseline or probe

    def is_accepted(self, probe: Probe) -> bool:
        """Return whether the handler accepted a request, as far as its status and its effects show."""
        if self.work_status is not None:
            return probe.delivery.status == self.work_status
        return probe.is_accepted and not self._only_says_so(probe)

    def _only_says_so(self, probe: Probe) -> bool:
        """Return whether a 2xx response rejects the request, unlike the response to the valid request.

        A 2xx response rejects the request if its text says that, or if the badly signed request got the same response.
        """
        if self.baseline is None:
            return probe.seems_rejected
        if probe.seems_rejected and not self.baseline.seems_rejected:
            return True
        if self.control is None or self.control is probe:
            return False
        return probe.response == self.control.response != self.baseline.response

    def passes(self, slug: str, seen: str) -> None:
        """Settle a check that the handler passed."""
        self._settle(passed(BY_SLUG[slug], seen))

    def passes_unless(self, slug: str, seen: str, judge: Callable[[Sequence[SeenCall]], Awaitable[None]]) -> None:
        """Let a check pass at the end, unless `judge` settles it by all calls.

        Handlers may repeat work after a pause.
        """
        if self.wants(slug):
            self.passed_so_far.append(PassedSoFar(slug, seen, judge, asyncio.get_running_loop().time()))

    async def judge_late_calls(self) -> None:
        """Settle the checks that passed so far by all calls since the first valid request."""
        watch, pace, waiting = self.prober.means.watch, self.prober.pace, self.passed_so_far
        self.passed_so_far = []
        with suppress(TimeoutError):
            async with asyncio.timeout(max(_LEAST_LATE_S, pace.bounded_s(_MOST_LATE_S))):
                if watch is not None and waiting:
                    wait_s = waiting[-1].at + pace.waits.late_s - asyncio.get_running_loop().time()
                    calls = await watch.wait_for(lambda _: False, self.mark, max(0.0, wait_s))
                    if watch.problem is None:
                        self.first_run = self.first_run._replace(later=tuple(calls))
                        for each in waiting:
                            await each.judge(calls)
        for each in waiting:
            self.passes(each.slug, each.seen)

    def cannot_tell(self, reason: str, *slugs: str, is_gap: bool = False, fix: str = "") -> None:
        """Settle checks as not observed, for this reason."""
        for slug in slugs:
            self._settle(not_observed(BY_SLUG[slug], reason, is_gap=is_gap, fix=fix))

    def misses(self, reason: str, *slugs: str, fix: str = "") -> None:
        """Settle checks as not observed although they apply: no time was left, or the handler did too little."""
        self.cannot_tell(reason, *slugs, is_gap=True, fix=fix)

    async def fails(
        self,
        slug: str,
        seen: str,
        probes: Iterable[Probe] = (),
        *,
        severity: CheckSeverity | None = None,
        failure: str = "",
        fix: str = "",
        part_of: str = "",
    ) -> None:
        """Settle a check that the handler did not pass, and save the requests that prove the finding."""
        # Without a valid request, nothing is proved, so that finding is told even if its check is not wanted.
        if slug in self.findings or (slug not in self.slugs and not (slug == "valid" and severity is None)):
            return
        if slug in _NEEDS_A_RUNNING_HANDLER and any(probe.slug != slug for probe in self.stops):
            self.cannot_tell(_STOPPED, slug)
            return
        finding = found(BY_SLUG[slug], seen, severity=severity, failure=failure, fix=fix)
        finding = finding._replace(fix=fix_in(self.prober.means.language, finding.fix), part_of=part_of)
        if finding.is_wrong:
            finding = finding._replace(captures=await self.save(list(probes)))
        self._settle(finding)

    async def save(self, probes: Sequence[Probe]) -> tuple[str, ...]:
        """Save requests that prove a finding, and return their IDs."""
        return await self.prober.save(probes, await self._original())

    async def accepts_again(self, slug: str, after: Probe) -> bool:
        """Return whether the handler still accepts an ordinary request after `after`, a request of a check.

        Raises LeftHandler if the handler now responds as it did to the control request, although it accepted a second
        request before. This means that an earlier request has changed how the handler verifies requests.
        """
        if not self.works_once:
            probe = await self.prober.accept(slug, f"a valid request after {after.label}")
            rejects = probe.has_response and not probe.is_accepted
            if rejects and self.takes_more and self.control is not None and probe.response == self.control.response:
                await self.fails("survives", probe.seen, [after, probe], failure=_LOCKED, fix=_UNLOCK)
                raise LeftHandler(f"{probe.seen}, like a badly signed request")
            self.works_once = rejects
        return not self.works_once

    async def judge_acceptance(self, slug: str, probe: Probe) -> None:
        """Settle a check that expects a valid request to be accepted."""
        if probe.reaction is Reaction.LIMITED:
            self.cannot_tell(LIMITED, slug)
        elif self.is_accepted(probe):
            self.passes(slug, probe.outcome)
        elif probe.has_response and not await self.accepts_again(slug, probe):
            self.misses(ONLY_ONCE, slug)
        else:
            await self.fails(slug, probe.seen, [probe])

    def hold_output(self) -> None:
        """Save the output of the handler's process, unless an earlier call has saved it."""
        handler = self.prober.means.handler
        if handler is not None and self.output is None:
            self.output = handler.output()

    def leave(self, reason: str) -> None:
        """Settle all remaining checks as not observed, because the check ends here."""
        fix = MORE_TIME if reason == TIME_UP else ""
        self.misses(reason, *(check.slug for check in CHECKS if self.wants(check.slug)), fix=fix)

    async def _original(self) -> str | None:
        """Return the ID of the original that saved probes replay: the source.

        Without a source, save the baseline and return its ID.
        """
        if self.original is None and self.baseline is not None:
            saved = await self.prober.save([self.baseline], None)
            self.original = saved[0] if saved else None
        return self.original

    def _settle(self, finding: CheckFinding) -> None:
        slug = finding.check.slug
        if slug not in self.findings and (slug in self.slugs or finding.status is CheckStatus.FAILED):
            masker = self.prober.means.masker
            finding = finding._replace(seen=masker.text(finding.seen), failure=masker.text(finding.failure))
            self.findings[slug] = finding
            self.on_finding(finding)
