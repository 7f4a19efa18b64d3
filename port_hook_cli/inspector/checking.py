"""Checks the handler for the page: returns what a check would send, and runs one check at a time.

The requests go directly to the handler. A listener verifies signatures itself, so a check through it would test the
listener.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from dataclasses import field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from port_hook_cli.captures.browsing.query import CaptureQuery
from port_hook_cli.captures.store.finder import CaptureUse, Finder, FoundRequest
from port_hook_cli.errors import PortHookError, SettingsError, UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.inspector.page_hints import hint_of, page_hint
from port_hook_cli.inspector.reading import CaptureReader
from port_hook_cli.inspector.records import message
from port_hook_cli.inspector.sending import named_target
from port_hook_cli.inspector.setup import InspectorSetup
from port_hook_cli.invocations.handlers import HandlerRule, handler_of
from port_hook_cli.invocations.models import Capture, Status
from port_hook_cli.invocations.probes import is_probe
from port_hook_cli.invocations.targets import is_on_this_machine, masked_url
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.replay.store import keep_in_thread
from port_hook_cli.text.remark import Remark
from port_hook_cli.text.secret import Secret

if TYPE_CHECKING:
    from port_hook_cli.check.findings import CheckFinding
    from port_hook_cli.check.plan import CheckPlan
    from port_hook_cli.check.session import CheckBegins
    from port_hook_cli.check.sources import FoundSubject, SubjectName, SubjectSource

_WITHIN_S = 50.0  # a check that has begun takes up to 10 seconds more
_LOOKED_AT = 60
_NO_TARGET_HINT = "Enter the port or URL of your handler."


@frozen(kw_only=True)
class CheckWanted:
    """The request to check with: a capture (by default, the latest one from Port), or an action in the user's files.

    `inputs` are the inputs of the action. `to` is the URL of the handler. `only` and `skip` contain slugs and groups of
    checks.
    """

    capture: str | None = None
    action: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    to: str | None = None
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()


class CheckInProgress(UsageError):
    """A check cannot start because another check is in progress."""


class PortOwner(NamedTuple):
    """A port that port-hook itself uses, and the name of its owner."""

    port: int
    name: str


class HandlerChecks:
    """Checks handlers, one at a time."""

    def __init__(self, setup: InspectorSetup, captures: CaptureReader) -> None:
        self._setup, self._captures = setup, captures
        self._is_running = False

    async def plan(self, wanted: CheckWanted, own: tuple[PortOwner, ...]) -> dict[str, Any]:
        """Return what a check would send, or why it cannot run, and the groups of checks. Doesn't send anything."""
        from port_hook_cli.check.catalog import CheckGroup

        groups = [{"name": str(group), "about": group.about} for group in CheckGroup]
        try:
            subject = self._subject(wanted, own)
            plan, secret = _plan(wanted), self._secret()
            found = await subject.find(None, lambda: secret)
        except PortHookError as error:
            problem = {"error": error.message, "hint": hint_of(error)}
            return message({"groups": groups, "plan": None, "problem": problem})
        return message({"groups": groups, "plan": _planned(found, plan, subject.notes), "problem": None})

    async def run(self, wanted: CheckWanted, own: tuple[PortOwner, ...]) -> AsyncGenerator[dict[str, Any], None]:
        """Check a handler and yield the records: `begin`, one record for each finished check, and `summary`.

        The check ends when the iterator is closed. Raises CheckInProgress, and before the first record the errors of
        `CheckSession.run`.
        """
        if self._is_running:
            raise CheckInProgress("Another check is running.", hint="Wait until it ends, or cancel it.")
        records = asyncio.Queue[dict[str, Any] | None]()
        self._is_running = True
        task = asyncio.create_task(self._check(wanted, own, records.put_nowait))
        task.add_done_callback(lambda _: records.put_nowait(None))
        try:
            while (record := await records.get()) is not None:
                yield record
            await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._is_running = False

    async def _check(
        self, wanted: CheckWanted, own: tuple[PortOwner, ...], tell: Callable[[dict[str, Any]], None]
    ) -> None:
        from port_hook_cli.check.session import CheckSession

        subject, plan, told = self._subject(wanted, own), _plan(wanted), set[str]()

        async def begin(begins: CheckBegins) -> None:
            planned = _planned(subject.found, plan, subject.notes)
            tell(message({"type": "begin", **planned, "sees_reports": begins.sees_reports}))

        def settle(finding: CheckFinding) -> None:
            if finding.check.slug not in told:
                told.add(finding.check.slug)
                tell({**finding.record, "fix": page_hint(finding.record["fix"] or "") or None})

        session = CheckSession(
            name=None,
            source=subject,
            plan=plan,
            access=self._access(self._secret()),
            runtime=self._setup.runtime,
            keep=lambda secret, masker: partial(keep_in_thread, self._setup.store, secret, masker=masker),
        )
        report = await session.run(begin, settle)
        for finding in report.findings:  # the checks that do not apply to this request
            settle(finding)
        tell(report.record())

    def _secret(self) -> Secret:
        if self._setup.secret is None:
            raise SettingsError(
                "The inspector has no client secret to sign with.",
                hint="Set PORT_CLIENT_SECRET and restart the inspector. `listen --verify off` doesn't read it.",
            )
        return self._setup.secret

    def _access(self, secret: Secret) -> PortAccess:
        """Return the access to a running sandbox, with the secret that signs requests."""
        settings = Settings()
        with suppress(SettingsError):
            settings = self._setup.access.settings
        return PortAccess.known(replace(settings, client_secret=secret), self._setup.runtime)

    def _subject(self, wanted: CheckWanted, own: tuple[PortOwner, ...]) -> _PageSubject:
        return _PageSubject(wanted, self._setup, self._captures, own)


class _PageSubject:
    """Finds the request that the page selected, and rejects targets that are not handlers on this machine."""

    def __init__(
        self, wanted: CheckWanted, setup: InspectorSetup, captures: CaptureReader, own: tuple[PortOwner, ...]
    ) -> None:
        self._wanted, self._setup, self._captures, self._own = wanted, setup, captures, own
        self._found: FoundSubject | None = None
        self.notes: list[str] = []

    @property
    def found(self) -> FoundSubject:
        """The result of `find`."""
        assert self._found is not None
        return self._found

    async def find(self, _: SubjectName | None, secret: Callable[[], Secret]) -> FoundSubject:
        """Return the request to check with. Raises UsageError, StoreError, SettingsError and RenderError."""
        self.notes.clear()
        self._found = await self._find(secret)
        self._refuse(self._found.subject.url)
        return self._found

    async def _find(self, secret: Callable[[], Secret]) -> FoundSubject:
        wanted = self._wanted
        if wanted.action is not None:
            found = await self._setup.actions.find(wanted.action)
            if isinstance(found, Mapping):
                return await self._of_action(found, secret)
            return await self._source(await self._target()).of_node(found, secret)
        if (capture := await self._capture()) is not None:
            to = await self._target(capture)
            return self._source(to).of_request(FoundRequest(capture.invocation.id, capture, is_stored=True))
        from port_hook_cli.actions.samples import create_vm_action

        self.notes.append(
            "The store has no HTTP request with a valid signature, so the check uses the sample action create_vm."
        )
        return await self._of_action(create_vm_action(), secret)

    async def _capture(self) -> Capture | None:
        """Return the selected capture, or the latest capture with a valid signature that doesn't come from a check."""
        if self._wanted.capture is not None:
            return await self._captures.get(self._wanted.capture)
        page = await self._captures.page(CaptureQuery(verdicts=(Status.VALID,)), latest=None, limit=_LOOKED_AT)
        for row in page.rows:
            capture = await self._captures.get(row["id"]) if row["source"] == "http" else None
            if capture is not None and not is_probe(capture.invocation.headers):
                return capture
        return None

    async def _of_action(self, document: Mapping[str, Any], secret: Callable[[], Secret]) -> FoundSubject:
        return await self._source(await self._target()).of_action(document, secret)

    async def _target(self, capture: Capture | None = None) -> str | None:
        if self._wanted.to is not None:
            return named_target(self._wanted.to, None if capture is None else capture.invocation)
        last = await self._captures.last_target()
        rule = HandlerRule(project=self._setup.handler, last=lambda: last)
        to = rule.url(None if capture is None else handler_of(capture))
        if capture is not None and to is None:
            raise UsageError("This capture was not forwarded to a handler on this machine.", hint=_NO_TARGET_HINT)
        return to

    def _source(self, to: str | None) -> SubjectSource:
        from port_hook_cli.check.sources import SubjectSource
        from port_hook_cli.trigger.action import RunTarget

        setup = self._setup
        return SubjectSource(
            finder=Finder(setup.store, setup.runtime, CaptureUse.SEND, self._say, reads_files=False),
            access=setup.access,
            runtime=setup.runtime,
            say=self._say,
            target=RunTarget(to=to, to_its_url=True),  # `_refuse` rejects the URL later if it is on another machine
            run_data=lambda _: setup.actions.run_data(self._wanted.inputs),
        )

    def _say(self, remark: Remark) -> None:
        text = remark.text[:1].upper() + remark.text[1:]
        self.notes.append(text if text.endswith((".", "!", "?")) else f"{text}.")

    def _refuse(self, url: str) -> None:
        from port_hook_cli.listener.handler_check import handler_address

        if not is_on_this_machine(url):
            what = "The inspector checks only handlers on this machine"
            raise UsageError(f"{what}, but {url[:200]} is not.", hint=_NO_TARGET_HINT)
        _, port = handler_address(url)
        if owner := next((each.name for each in self._own if each.port == port), None):
            raise UsageError(f"{url[:200]} is {owner} itself.", hint=_NO_TARGET_HINT)


def _plan(wanted: CheckWanted) -> CheckPlan:
    from port_hook_cli.check.plan import CheckLimits, CheckPlan

    return CheckPlan.of(wanted.only, wanted.skip, CheckLimits(within_s=_WITHIN_S))


def _planned(found: FoundSubject, plan: CheckPlan, notes: list[str]) -> dict[str, Any]:
    subject = found.subject
    made = plan.expected(subject, starts_handler=False)
    return {
        "name": subject.name[:200],
        "capture": found.original,
        "target": masked_url(subject.url, found.masker.text)[:2_000],
        "checks": len(made | (plan.named & plan.slugs)),
        "works": plan.works(subject, starts_handler=False),
        "notes": list(notes),
    }
