"""The options of `listen` about requests: target, verification, response and storage."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from port_hook_cli.captures.database.conditions import LARGEST_VALUE
from port_hook_cli.cli import options
from port_hook_cli.cli.option_groups import (
    ANY_VALUE,
    HANDLER_HERE,
    NoEffect,
    Trust,
    also,
    option,
    option_group,
    refuse_contradictions,
)
from port_hook_cli.cli.options import finite, seconds, size
from port_hook_cli.errors import SourceError, UsageError
from port_hook_cli.http.limits import format_size
from port_hook_cli.invocations.models import Response
from port_hook_cli.invocations.routes import BadRoute, RouteRule, Routes, split_route
from port_hook_cli.invocations.targets import read_target
from port_hook_cli.listener.policy import DelayRange
from port_hook_cli.listener.responses import BadResponse, parse_response

if TYPE_CHECKING:
    from port_hook_cli.invocations.routes import Routes
from port_hook_cli.listener.responses import OK

_MIB = 1024.0 * 1024.0
_LEAST_STORE = 1024 * 1024
_NO_HANDLER = NoEffect("Nothing is forwarded", without=("--forward-to", "--route"))


@option_group("Target")
class ListenTarget:
    """The options for the targets of forwarded requests."""

    forward_to: Annotated[
        str | None,
        option(
            "--forward-to",
            "-f",
            is_common=True,
            metavar="URL|PORT",
            help="Your handler. The path of a URL replaces Port's path.",
            trust=HANDLER_HERE,
        ),
    ] = None
    route: Annotated[
        list[str] | None,
        option(
            "--route",
            is_common=True,
            metavar="RULE=URL",
            help="Another handler for an ACTION, blueprint:NAME, WORKFLOW#NODE or jq:EXPRESSION (repeatable). The first"
            " match wins.",
            trust=HANDLER_HERE,
            completes="rules",
        ),
    ] = None
    only: Annotated[
        list[str] | None,
        option(
            "--only",
            is_common=True,
            metavar="ACTION",
            help="Show and forward only this action (repeatable). Other requests get a 200 response.",
            completes="names",
        ),
    ] = None
    max_in_flight: Annotated[
        int | None,
        option(
            "--max-in-flight",
            metavar="N",
            min=1,
            help="Forward at most N requests at a time. The others wait.",
            trust=ANY_VALUE,
            no_effect=(_NO_HANDLER,),
        ),
    ] = None
    in_order: Annotated[
        bool,
        option(
            "--in-order/--no-in-order",
            help="Forward requests of the same run one at a time, in order.",
            trust=ANY_VALUE,
            no_effect=(_NO_HANDLER,),
        ),
    ] = True
    forward_timeout: Annotated[
        float,
        seconds(
            "--forward-timeout",
            "Wait S seconds for the handler's response; 0 waits indefinitely.",
            trust=Trust(0.001, 30.0),
        ),
    ] = 30.0
    wait_for_handler: Annotated[
        float,
        seconds(
            "--wait-for-handler",
            "If the handler refuses the connection, such as during a restart, try again for S seconds.",
            trust=Trust(0.0, 5.0),
        ),
    ] = 5.0

    def routes(self, path: str) -> Routes:
        """Return the targets of requests to `path`. Raises UsageError if an option or the path is invalid."""
        return read_routes(self.forward_to, self.route or [], path)


def read_routes(forward_to: str | None, routes: list[str], path: str) -> Routes:
    """Return the targets of invocations, from `--forward-to`, `--route` and `--path`.

    Raises UsageError if one of these options is invalid.
    """
    if not path.startswith("/") or "?" in path:
        raise UsageError(f"--path {path!r} is not a path.", hint="Use a path such as /webhook.")
    return Routes(
        default=read_target(forward_to, "--forward-to") if forward_to else None,
        rules=tuple(map(_read_route, routes)),
        mount=path,
    )


def _read_route(text: str) -> RouteRule:
    try:
        by, name, target, label = split_route(text)
    except BadRoute:
        raise UsageError(
            f"--route {text!r} is not RULE=URL.",
            hint="Write it as --route create_vm=8001, blueprint:vm=8001, WORKFLOW#NODE=8001 or 'jq:EXPRESSION=8001'.",
        ) from None
    return RouteRule(by, name, read_target(target, "--route"), label)


@option_group("Server")
class ListenServer:
    """The options for the address, port and path of the listener."""

    port: Annotated[
        int,
        option(
            "--port",
            "-p",
            is_common=True,
            metavar="N",
            min=0,
            max=65535,
            help="The port to listen on; 0 chooses a free port.",
            trust=ANY_VALUE,
        ),
    ] = 8787
    host: Annotated[
        str,
        option(
            "--host",
            metavar="ADDRESS",
            help="The address to listen on. Any address except loopback exposes the listener to your network.",
        ),
    ] = "127.0.0.1"
    path: Annotated[
        str, option("--path", metavar="P", help="Serve only this path and the paths below it.", trust=ANY_VALUE)
    ] = "/"


@option_group("Verification")
class ListenVerification:
    """The options for verifying signatures."""

    secret_file: Annotated[options.SecretFile, also(is_common=True)] = None
    org: options.Org = None
    tolerance: options.Tolerance = 300.0
    strict: Annotated[
        bool,
        option(
            "--strict", help="Forward a request only if its signature matches the raw body ('valid').", trust=ANY_VALUE
        ),
    ] = False
    refuse_replays: Annotated[
        bool,
        option(
            "--refuse-replays",
            help="Respond with 401 if a signature was already used within the tolerance.",
            trust=ANY_VALUE,
        ),
    ] = False
    allow_unverified: Annotated[
        bool,
        option(
            "--allow-unverified",
            help="Verify signatures, but forward requests even if they fail verification.",
            excludes=("--no-verify", "--strict"),
        ),
    ] = False
    no_verify: Annotated[
        bool,
        option(
            "--no-verify",
            help="Don't verify signatures. Doesn't need a secret.",
            excludes=("--strict", "--refuse-replays", "--report", "--follow"),
        ),
    ] = False


def read_delay(text: str) -> DelayRange:
    """Return the delay in text such as `2`, `2s` or `2s..5s`. Raises BadParameter for any other text."""
    least, dots, most = text.partition("..")
    delay = DelayRange(_seconds(least), _seconds(most if dots else least))
    if not 0 <= delay.least_s <= delay.most_s:
        raise typer.BadParameter(f"{text!r} is not a range of seconds. Put the smaller number first, such as 2s..5s.")
    return delay


def _seconds(text: str) -> float:
    try:
        seconds = float(text.strip().removesuffix("s"))
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds) or seconds < 0:
        raise typer.BadParameter(f"{text!r} is not a number of seconds.")
    return seconds


@option_group("Responses")
class ListenResponses:
    """The options for the listener's responses."""

    respond: Annotated[
        str | None,
        option(
            "--respond",
            is_common=True,
            metavar="STATUS[:BODY|:@FILE]",
            help="Respond with this instead of forwarding. Default: 200.",
            excludes=("--forward-to",),
        ),
    ] = None
    delay: Annotated[
        DelayRange,
        option(
            "--delay",
            metavar="S|S..S",
            help="Wait S seconds before responding, or a random time such as 2s..5s.",
            parser=read_delay,
            trust=Trust(0.0, 60.0),
        ),
    ] = "0"  # type: ignore[assignment] # parsed by its parser
    fail_first: Annotated[
        int, option("--fail-first", metavar="N", min=0, help="Respond with 500 to the first N invocations.")
    ] = 0
    fail_rate: Annotated[
        float,
        option(
            "--fail-rate",
            metavar="P",
            min=0,
            max=1,
            help="Respond with 500 to each invocation with probability P, from 0 to 1.",
            callback=finite,
        ),
    ] = 0.0
    seed: Annotated[
        int | None,
        option("--seed", metavar="N", help="Repeat the random choices of --fail-rate and --delay.", trust=ANY_VALUE),
    ] = None
    drop: Annotated[
        bool,
        option(
            "--drop",
            help="Save the request, then close the connection without a response. With --fail-first or --fail-rate,"
            " only for failed invocations.",
        ),
    ] = False
    max_response: Annotated[
        int,
        option(
            "--max-response",
            metavar="SIZE",
            help="Respond with 502 if the handler's response is larger than SIZE, such as 500KiB.",
            parser=size,
        ),
    ] = "32MiB"  # type: ignore[assignment] # parsed by its parser

    def refuse_seed_without_chance(self) -> None:
        """Raise UsageError for --seed if nothing is random."""
        is_random = self.fail_rate or self.delay.least_s < self.delay.most_s
        reason = "Nothing is random without --fail-rate or a range in --delay"
        refuse_contradictions(pointless={reason: {"--seed": self.seed is not None and not is_random}})

    def response(self, cwd: Path) -> Response:
        """Return the listener's own response. Raises UsageError for an invalid `--respond`."""
        if not self.respond:
            return OK
        try:
            return parse_response(self.respond, lambda name: (cwd / name).read_bytes())
        except BadResponse as error:
            raise UsageError(
                f"--respond: {error}.", hint="Write it as 503, 200:'{\"ok\":true}' or 200:@response.json."
            ) from None
        except OSError as error:
            raise SourceError(
                f"--respond: The file cannot be read: {error.strerror}.", hint="Check the path after @."
            ) from None


@option_group("Storage")
class ListenStorage:
    """The options for the capture store and its limits."""

    store: options.Store = None
    max_captures: Annotated[int, option("--max-captures", metavar="N", min=1, help="Retain the latest N captures.")] = (
        10_000
    )
    max_store: Annotated[
        int,
        option(
            "--max-store",
            metavar="SIZE",
            help="Use at most SIZE on disk, such as 512MiB. The oldest unverified captures are deleted first.",
            parser=size,
        ),
    ] = "1GiB"  # type: ignore[assignment] # parsed by its parser
    max_body: Annotated[
        int,
        option(
            "--max-body",
            metavar="SIZE",
            help="Respond with 413 to bodies larger than SIZE, such as 20MiB.",
            parser=size,
            trust=Trust(1.0, 10 * _MIB),
        ),
    ] = "10MiB"  # type: ignore[assignment] # parsed by its parser
    keep_secrets: Annotated[bool, option("--keep-secrets", help="Save authorization headers and cookies unmasked.")] = (
        False
    )

    def most_on_disk(self) -> int:
        """Return `--max-store` in bytes. Raises UsageError for invalid sizes."""
        if self.max_body > LARGEST_VALUE:
            raise UsageError(
                f"--max-body {format_size(self.max_body)} is too large: the maximum is {format_size(LARGEST_VALUE)}.",
                hint="Lower --max-body. Port sends much smaller bodies.",
            )
        least = max(_LEAST_STORE, 2 * self.max_body)
        if self.max_store < least:
            raise UsageError(
                f"--max-store {format_size(self.max_store)} is too small: the minimum is {format_size(least)}, "
                "twice --max-body.",
                hint="Raise --max-store or lower --max-body.",
            )
        return self.max_store
