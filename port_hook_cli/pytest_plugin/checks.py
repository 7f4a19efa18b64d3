"""The checks of `port-hook check` in a test, with the sandbox of the test."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import pytest

from port_hook_cli.check.findings import CheckFinding, CheckReport, CheckStatus
from port_hook_cli.check.plan import WITHIN_S, CheckLimits, CheckPlan
from port_hook_cli.check.session import CheckBegins, CheckSession
from port_hook_cli.check.sources import FoundSubject, SubjectName, SubjectSource
from port_hook_cli.errors import TargetError, UsageError
from port_hook_cli.invocations.masking import masked_delivery, masked_request
from port_hook_cli.invocations.targets import parse_target
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.pytest_plugin.definitions import find_file, load_action, names_a_node
from port_hook_cli.pytest_plugin.requests import RunOptions, run_data
from port_hook_cli.replay.rewriting import KeptReplay
from port_hook_cli.runtime import Runtime, silent_runtime
from port_hook_cli.text.durations import format_latency
from port_hook_cli.text.remark import say_nothing
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.text.secret import Masker, Secret
from port_hook_cli.trigger.action import RunTarget

if TYPE_CHECKING:
    from port_hook_cli.invocations.models import Delivery, Invocation
    from port_hook_cli.pytest_plugin.sandbox import PortSandbox
    from port_hook_cli.pytest_plugin.world import World

CheckSource: TypeAlias = str | PurePath | Mapping[str, Any] | bytes | None
"""The request to check: an action as for `invoke`, FILE#NODE, a payload (a mapping or bytes), or None for create_vm."""

_SAMPLE = "create_vm"
_BLOCKED = "The test blocked its own event loop while it waited: in an async test, await acheck."


class SingleCheckOptions(RunOptions, total=False):
    """Options of one check.

    With `strict`, a warning fails the test. The check ends after `within_s` seconds. `secret` is the handler's client
    secret, if it differs from the sandbox's secret. In this case, the handler is not expected to call the sandbox.
    `method` replaces the method of the request, which is POST for a payload.
    """

    strict: bool
    method: str
    within_s: float
    secret: str | None


class CheckOptions(SingleCheckOptions, total=False):
    """Options of several checks.

    `only` contains checks or groups to make, and `skip` contains checks or groups to omit.
    """

    only: str | Sequence[str]
    skip: str | Sequence[str]


class HandlerCheckWarning(UserWarning):
    """A finding that is only a warning."""


class HandlerCheckFailed(AssertionError):
    """A handler did not pass a check. `report` has all findings."""

    def __init__(self, message: str, report: CheckReport) -> None:
        super().__init__(message)
        self.report = report


class CheckedHandler(NamedTuple):
    """The findings of a check, and the requests that prove the findings, by the IDs in the findings."""

    report: CheckReport
    requests: Mapping[str, tuple[Invocation, Delivery]]


def subject_name(source: CheckSource, sandbox: PortSandbox) -> SubjectName:
    """Return the request that a test selected, with the action from its file or from the sandbox. Raises UsageError."""
    if isinstance(source, Mapping | bytes):
        return source
    if source is not None and names_a_node(source, sandbox.folders):
        file, _, node = str(source).rpartition("#")
        return f"{find_file(Path(file), sandbox.folders)}#{node}"
    identifier = _SAMPLE if source is None else str(source)
    action = None if source is None else load_action(source, sandbox.folders)
    if action is not None:
        return action
    known = sandbox.actions
    if identifier not in known:
        raise UsageError(f"The sandbox has no action {identifier}. Its actions are: {', '.join(known)}.")
    return known[identifier]


async def examine(
    world: World, to: str | int, name: SubjectName, inputs: Mapping[str, Any] | None, options: CheckOptions
) -> CheckedHandler:
    """Check the handler at `to`. This function must be called in the event loop's thread.

    Raises UsageError, TargetError for a handler that doesn't accept connections, and TypeError for unknown options.
    """
    known = CheckOptions.__annotations__.keys()
    if unknown := options.keys() - known:
        raise TypeError(f"unknown arguments: {', '.join(sorted(unknown))} (known: {', '.join(known)})")
    own = world.sandbox.client_secret
    secret = Secret(options.get("secret") or own.reveal())
    runtime = silent_runtime()
    requests: dict[str, tuple[Invocation, Delivery]] = {}

    async def keep(masker: Masker, request: Invocation, delivery: Delivery) -> KeptReplay:
        requests[request.id] = masked_request(request, masker), masked_delivery(delivery, masker)
        return KeptReplay(request.id)

    source = _source(world, runtime, parse_target(str(to)), inputs, options)
    session = CheckSession(
        name=name,
        source=_TestSubject(source, options.get("method")),
        plan=_plan(options),
        access=PortAccess.known(Settings(client_id=world.sandbox.client_id, client_secret=secret), runtime),
        runtime=runtime,
        sandbox=world.sandbox if secret.reveal() == own.reveal() else None,
        keep=lambda _, masker: partial(keep, masker),
    )
    try:
        return CheckedHandler(await session.run(_begin), requests)
    except TargetError as error:
        raise TargetError(error.message, hint="Start the server before the check.") from None


async def _begin(_: CheckBegins) -> None:
    """Print nothing before the first request, because a test knows what it checks."""


class _TestSubject(NamedTuple):
    """Finds the request of a test, with the method that the test chose, if any."""

    source: SubjectSource
    method: str | None

    async def find(self, name: SubjectName | None, secret: Callable[[], Secret], /) -> FoundSubject:
        """Return the request that the test checks."""
        found = await self.source.find(name, secret)
        return found if self.method is None else found._replace(subject=found.subject.with_method(self.method))


def settle(checked: CheckedHandler, *, strict: bool, blocks: bool) -> None:
    """Raise HandlerCheckFailed unless the handler passes, issue warnings, and skip the test if nothing was observed.

    A test that checks one of `ESSENTIAL` fails if this check has no result.

    `blocks` means that the check blocked the event loop of the test.
    """
    __tracebackhide__ = True
    report = checked.report
    if not report.has_results and not report.unproved:
        pytest.skip(f"not observed: {report.findings[0].seen}{f'. {_BLOCKED}' if blocks else ''}")
    if not report.ok(strict=strict):
        failure = HandlerCheckFailed(_described(checked, strict=strict), report)
        if blocks:
            failure.add_note(f"hint: {_BLOCKED}")
        raise failure
    for finding in report.findings:
        if finding.status is CheckStatus.WARNING:
            text = f"{finding.check.slug}: the handler {finding.failure}: {finding.seen}. Fix: {finding.fix}"
            warnings.warn(text, HandlerCheckWarning, stacklevel=_depth_of_test())


def _depth_of_test() -> int:
    """Return the number of plugin frames between a warning and the test, for `stacklevel`."""
    depth, frame = 1, sys._getframe(1)  # noqa: SLF001 - `inspect` reads source files
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("port_hook_cli."):
        depth, frame = depth + 1, frame.f_back
    return depth


def _plan(options: CheckOptions) -> CheckPlan:
    limits = CheckLimits(within_s=options.get("within_s", WITHIN_S))
    return CheckPlan.of(_names(options.get("only", ())), _names(options.get("skip", ())), limits)


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _source(
    world: World, runtime: Runtime, url: str, inputs: Mapping[str, Any] | None, options: CheckOptions
) -> SubjectSource:
    from port_hook_cli.captures.store.finder import CaptureUse, Finder

    sandbox = world.sandbox
    settings = Settings(client_id=sandbox.client_id, client_secret=sandbox.client_secret, api_url=sandbox.url)
    return SubjectSource(
        finder=Finder(None, runtime, CaptureUse.SEND, say_nothing),
        access=PortAccess.known(settings, runtime),
        runtime=runtime,
        say=say_nothing,
        target=RunTarget(to=url),
        run_data=lambda _: run_data(inputs or {}, options),
        outputs=options.get("outputs"),
        invoker=world.invoker,
    )


def _described(checked: CheckedHandler, *, strict: bool) -> str:
    """Return why a test fails: each finding with its fix, and the requests that prove the finding."""
    report = checked.report
    wrong = [each for each in report.findings if each.fails(strict=strict)]
    first = [f"{len(wrong)} of {len(report.findings)} checks failed."] if len(report.findings) > 1 else []
    shown = [each for each in wrong if not each.part_of]
    return "\n".join([*first, *(line for each in shown for line in _finding_lines(each, checked))])


def _finding_lines(finding: CheckFinding, checked: CheckedHandler) -> Iterator[str]:
    yield f"{finding.check.slug}: {finding.problem}."
    if parts := finding.parts(checked.report.findings):
        yield f"  also      {', '.join(parts)}"
    yield f"  seen      {finding.seen}"
    yield f"  why       {finding.check.why}"
    if finding.fix:
        yield f"  fix       {finding.fix}"
    for request, delivery in (checked.requests[each] for each in finding.captures if each in checked.requests):
        yield f"  request   {printable(request.method)} {brief(delivery.url)} ({len(request.body)} bytes)"
        if delivery.status is None:
            yield f"  no response: {brief(delivery.error or '')}"
        else:
            text = brief(delivery.body.decode("utf-8", "replace"))
            yield f"  responded {delivery.status} in {format_latency(delivery.latency_ms)}  {text}".rstrip()
