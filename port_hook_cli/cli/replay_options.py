"""The options of `replay`, in the groups of its help, and the values that they build."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from port_hook_cli.cli import options
from port_hook_cli.cli.option_groups import (
    ANY_VALUE,
    HANDLER_HERE,
    NoEffect,
    also,
    is_typed,
    option,
    option_group,
    short_option,
)
from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.statuses import Expectation
from port_hook_cli.invocations.targets import read_target
from port_hook_cli.registry import features, load
from port_hook_cli.replay.rewriting import Edit, parse_header
from port_hook_cli.replay.sending import MOST_SENDS, Series, endpoint_url, parse_rate
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import TimestampUnit

if TYPE_CHECKING:
    from port_hook_cli.captures.comparison import Ignoring
    from port_hook_cli.cli.exit_codes import ExitCode
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.replay.rewriting import ReadyReplay
    from port_hook_cli.signatures.signing import Signer

_LAMBDA = "lambda://"
_CAPTURED = NoEffect("--as-captured sends the captured request unchanged", beside=("--as-captured",))
_MISSED = NoEffect("No missed runs are searched", without=("--missed",))
_DRY = NoEffect("--dry-run does not send requests", beside=("--dry-run",))


class OtherTarget(Protocol):
    """A target that a feature adds to `replay --to`, made from the value of --to."""

    def refuse(
        self,
        places: ReplaySources,
        changes: ReplayChanges,
        responses: ReplayResponses,
        repeated: ReplaySeries,
        signature: ReplaySignature,
    ) -> None:
        """Raise UsageError for options without effect."""

    async def send(
        self,
        readies: Sequence[ReadyReplay],
        signer: Signer | None,
        timeout_s: float,
        output: ReplayOutput,
        access: PortAccess,
        runtime: Runtime,
    ) -> ExitCode:
        """Send requests in another form, or print them with --dry-run."""
        ...


@option_group("Target")
class ReplayTarget:
    """The options for the target of requests."""

    to: Annotated[
        str | None,
        options.target(
            "Default: where it went before, your handler, or 8000. Also lambda:// or kafka://HOST:PORT.",
            trust=HANDLER_HERE,
        ),
        also(in_short_help=True),
    ] = None
    timeout_s: options.ResponseTimeout = 40.0

    @property
    def is_lambda(self) -> bool:
        """Whether requests invoke a Lambda function."""
        return self.to is not None and self.to.startswith(_LAMBDA)

    def elsewhere(self) -> OtherTarget | None:
        """Return the target of a feature, or None for a target of requests. Raises UsageError for an invalid --to."""
        for feature in features().values():
            for beginning, path in feature.targets.items():
                if self.to is not None and self.to.startswith(beginning):
                    found: OtherTarget = load(path)(self.to)
                    return found
        return None

    def url(self) -> str | None:
        """Return the target, or None if each capture has its own target. Raises UsageError for an invalid --to."""
        if self.to is None:
            return None
        return endpoint_url(self.to.removeprefix(_LAMBDA)) if self.is_lambda else read_target(self.to, "--to")


@option_group("Responses")
class ReplayResponses:
    """The options for the expected responses."""

    compare: Annotated[
        bool,
        short_option(
            "--compare", help="Compare with the recorded response. Exits with code 1 if they differ.", no_effect=(_DRY,)
        ),
    ] = False
    ignore: Annotated[
        list[str] | None,
        option(
            "--ignore",
            metavar="PATH|header:NAME",
            help="With --compare: ignore a value of the response body, or a header (repeatable).",
            no_effect=(NoEffect("Nothing is compared", without=("--compare",)),),
        ),
    ] = None
    expect_status: Annotated[options.ExpectStatus, also(in_short_help=True)] = None

    def expectation(self) -> Expectation | None:
        """Return the expected status, or None without --expect-status.

        Raises UsageError if --expect-status is not a status.
        """
        return None if self.expect_status is None else Expectation.parse(self.expect_status)

    def ignoring(self) -> Ignoring | None:
        """Return the differences that a comparison ignores, or None without --compare.

        Raises UsageError for a bad --ignore.
        """
        if not self.compare:
            return None
        from port_hook_cli.captures.comparison import Ignoring
        from port_hook_cli.replay.comparing import NEVER_COMPARED

        return Ignoring.parse(self.ignore or (), headers=NEVER_COMPARED)


@option_group("Changes")
class ReplayChanges:
    """The options for the changes to a request."""

    set: Annotated[
        list[str] | None,
        short_option(
            "--set",
            metavar="PATH=JSON",
            help="Change a value; +PATH=JSON adds one (repeatable).",
            no_effect=(_CAPTURED,),
        ),
    ] = None
    unset: Annotated[
        list[str] | None,
        option(
            "--unset", metavar="PATH", help="Remove a value, before any --set (repeatable).", no_effect=(_CAPTURED,)
        ),
    ] = None
    edit: Annotated[
        bool, short_option("--edit", help="Edit the body in your editor first.", no_effect=(_CAPTURED,))
    ] = False
    method: Annotated[str | None, option("--method", "-X", metavar="M", help="Send the request with this method.")] = (
        None
    )
    header: Annotated[
        list[str] | None,
        option("--header", "-H", metavar="K:V", help="Set a header (repeatable). An empty value removes it."),
    ] = None

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers to set. Raises UsageError for an invalid header."""
        return tuple(map(parse_header, self.header or ()))

    def body_edit(self, runtime: Runtime) -> Edit | None:
        """Return the function that changes a body: --unset and --set, then the user's editor.

        Raises UsageError for an invalid path.
        """
        if not (self.set or self.unset or self.edit):
            return None
        from port_hook_cli.javascript.paths import JsonPath
        from port_hook_cli.replay.editing import Assignment, Edits, for_editor, from_editor
        from port_hook_cli.terminal.programs import edit

        edits = Edits(
            unset=tuple(map(JsonPath.parse, self.unset or ())),
            assignments=tuple(map(Assignment.parse, self.set or ())),
            dashes="--",
        )
        if not self.edit:
            return edits.apply

        def edit_by_hand(body: bytes) -> tuple[bytes, Sequence[str]]:
            body, notes = edits.apply(body) if edits else (body, ())
            shown = for_editor(body)
            return edit(
                shown, lambda text: body if text == shown else from_editor(text), environ=runtime.environ
            ), notes

        return edit_by_hand


@option_group("Signature")
class ReplaySignature:
    """The options for signing requests."""

    secret_file: options.SecretFile = None
    org: options.Org = None
    unit: Annotated[TimestampUnit, options.TIMESTAMP_UNIT, also(no_effect=(_CAPTURED,))] = TimestampUnit.SECONDS
    as_captured: Annotated[
        bool, option("--as-captured", help="Send the captured body, timestamp and signature. Doesn't need a secret.")
    ] = False


@option_group("Series")
class ReplaySeries:
    """The options for sending each source several times."""

    times: Annotated[
        int, short_option("--times", metavar="N", min=1, max=MOST_SENDS, help="Send it N times, and print percentiles.")
    ] = 1
    concurrency: Annotated[
        int, option("--concurrency", metavar="N", min=1, help="Send N requests at a time.", no_effect=(_DRY,))
    ] = 1
    rate: Annotated[
        str | None,
        option(
            "--rate",
            metavar="N/s",
            help="Send at most N requests a second (N/s) or a minute (N/m), evenly spaced.",
            trust=ANY_VALUE,
            no_effect=(_DRY,),
        ),
    ] = None

    def series(self) -> Series:
        """Return the series. Raises UsageError for an invalid rate."""
        rate_per_s = None if self.rate is None else parse_rate(self.rate)
        return Series(times=self.times, concurrency=self.concurrency, rate_per_s=rate_per_s)

    def refuse_unused(self, ctx: typer.Context, *, has_several: bool) -> None:
        """Raise UsageError for options on the command line about several requests if only one request is sent."""
        is_concurrent = self.concurrency > 1 and is_typed(ctx, "concurrency")
        if (is_concurrent or is_typed(ctx, "rate")) and not has_several and self.times == 1:
            unused = "--concurrency" if is_concurrent else "--rate"
            raise UsageError(f"{unused} needs more than one request.", hint="Add --times N or another source.")

    def refuse_too_many(self, sources: int) -> None:
        """Raise UsageError if this number of sources leads to more requests than one series may send."""
        if sources * self.times > MOST_SENDS:
            raise UsageError(
                f"{sources:,} sources sent {self.times:,} times are {sources * self.times:,} requests, but the maximum "
                f"is {MOST_SENDS:,}.",
                hint="Lower --times, or pass fewer sources.",
            )


@option_group("Output")
class ReplayOutput:
    """The output options."""

    dry_run: Annotated[options.DryRun, also(in_short_help=True)] = False
    json: Annotated[options.Json, also(no_effect=(_DRY,))] = False


@option_group("Sources")
class ReplaySources:
    """The options for the sources of requests."""

    failed: Annotated[
        bool,
        short_option(
            "--failed",
            help="Send the captures that your handler failed, oldest first. Rejected requests are not sent.",
            excludes=("a SOURCE",),
        ),
    ] = False
    missed: Annotated[
        bool,
        short_option(
            "--missed",
            help="Send the requests of runs in progress that no listener here received.",
            excludes=("a SOURCE", "--failed", "--as-captured", "--compare", "--times"),
        ),
    ] = False
    action: Annotated[
        str | None,
        option(
            "--action",
            metavar="NAME",
            help="With --missed: send the missed requests of this action, even if another URL received them.",
            completes="captured_actions",
            no_effect=(_MISSED,),
        ),
    ] = None
    yes: Annotated[bool, option("--yes", "-y", help="With --missed: send without asking.", no_effect=(_MISSED,))] = (
        False
    )
    since: Annotated[
        str | None,
        short_option(
            "--since",
            metavar="TIME",
            help="With --failed or --missed: since 10m, 2h, yesterday or a date.",
            no_effect=(NoEffect("Nothing is searched", without=("--failed", "--missed")),),
        ),
    ] = None
    store: options.Store = None

    def since_s(self, runtime: Runtime) -> float | None:
        """Return the time of the oldest capture to send, in seconds since the epoch.

        Raises UsageError for an invalid time.
        """
        if self.since is None:
            return None
        from port_hook_cli.text.durations import parse_since

        return parse_since(self.since, now=runtime.now())
