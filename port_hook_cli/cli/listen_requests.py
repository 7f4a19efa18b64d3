"""The options of `listen` about requests: target, verification, response and storage."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from port_hook_cli.captures.database.conditions import LARGEST_VALUE
from port_hook_cli.cli import options
from port_hook_cli.cli.option_groups import (
    ANY_VALUE,
    HANDLER_HERE,
    NoEffect,
    Trust,
    also,
    argument,
    option,
    option_group,
    short_option,
)
from port_hook_cli.cli.options import seconds, size
from port_hook_cli.errors import SourceError, UsageError
from port_hook_cli.http.limits import format_size
from port_hook_cli.invocations.models import DROP, Response
from port_hook_cli.invocations.routes import BadRoute, RouteBy, RouteRule, Routes, split_route
from port_hook_cli.invocations.targets import is_on_this_machine, read_target
from port_hook_cli.listener.responses import OK, BadResponse, parse_response

_MIB = 1024.0 * 1024.0
_LEAST_STORE = 1024 * 1024
_NO_HANDLER = NoEffect("Nothing is forwarded", without=("HANDLER", "--forward-to", "--route"))


class Verify(StrEnum):
    """How `listen` verifies signatures, and what it does with requests that fail verification."""

    ON = "on"
    STRICT = "strict"
    WARN = "warn"
    OFF = "off"


@option_group("Target")
class ListenTarget:
    """The options for the targets of forwarded requests."""

    handler: Annotated[
        str | None,
        argument(
            name="HANDLER",
            metavar="[HANDLER]",
            help="Your handler's port or URL. A URL's path precedes Port's path, or replaces it for --retarget.",
        ),
    ] = None
    command_to_run: Annotated[
        list[str] | None,
        argument(
            name="a command after --",
            metavar="-- COMMAND...",
            help="The command that starts your handler. `listen` shows its output and ends with it.",
        ),
    ] = None
    forward_to: Annotated[
        str | None,
        short_option(
            "--forward-to",
            "-f",
            metavar="URL|PORT",
            help="The same as HANDLER.",
            trust=HANDLER_HERE,
            no_effect=(NoEffect("HANDLER is the target", beside=("HANDLER",)),),
        ),
    ] = None
    route: Annotated[
        list[str] | None,
        short_option(
            "--route",
            metavar="RULE=URL",
            help="Another handler for an ACTION, blueprint:NAME, WORKFLOW#NODE or jq:EXPRESSION (repeatable). The first"
            " match wins.",
            trust=HANDLER_HERE,
            completes="rules",
        ),
    ] = None
    only: Annotated[
        list[str] | None,
        short_option(
            "--only",
            metavar="NAME",
            help="Accept only this action or WORKFLOW#NODE. Others get 404 (repeatable).",
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
    timeout: Annotated[
        float,
        seconds("--timeout", "Wait S seconds for the handler; 0 waits indefinitely.", trust=Trust(0.001, 30.0)),
        also(in_short_help=True),
    ] = 30.0
    wait_for_handler: Annotated[
        float,
        seconds(
            "--wait-for-handler",
            "If the handler refuses the connection, such as during a restart, try again for S seconds.",
            trust=Trust(0.0, 5.0),
        ),
    ] = 5.0

    @property
    def target(self) -> str | None:
        """The handler, from HANDLER or `--forward-to`."""
        return self.forward_to if self.handler is None else self.handler

    def routes(self, path: str) -> Routes:
        """Return the targets of requests to `path`. Raises UsageError if an option or the path is invalid."""
        return read_routes(self.target, self.route or [], path)

    def refuse_command_elsewhere(self, routes: Routes) -> None:
        """Raise UsageError for a command whose handler has no address on this machine."""
        if self.command_to_run and not (routes.default and is_on_this_machine(routes.default)):
            raise UsageError(
                "A command after -- needs a handler on this machine.",
                hint="Pass the port that the command listens on: `port-hook listen 8000 -- COMMAND`.",
            )

    def nodes(self, routes: Routes) -> set[str]:
        """Return the nodes of `--only` and `--route`."""
        names = (*(self.only or ()), *(rule.name for rule in routes.rules if rule.by is RouteBy.NODE))
        return {name for name in names if "#" in name}


def read_routes(handler: str | None, routes: list[str], path: str) -> Routes:
    """Return the targets of invocations, from HANDLER, `--route` and `--path`.

    Raises UsageError if one of these options is invalid.
    """
    if not path.startswith("/") or "?" in path:
        raise UsageError(f"--path {path!r} is not a path.", hint="Use a path such as /webhook.")
    return Routes(
        default=read_target(handler, "HANDLER") if handler is not None else None,
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
        short_option(
            "--port",
            "-p",
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

    secret_file: options.SecretFile = None
    org: options.Org = None
    tolerance: options.Tolerance = 300.0
    verify: Annotated[
        Verify,
        short_option(
            "--verify",
            metavar="MODE",
            help="on, strict (only signatures over the raw body), warn (forward anyway) or off.",
            trust=Trust(words=(Verify.STRICT.value,)),
        ),
    ] = Verify.ON


@option_group("Responses")
class ListenResponses:
    """The options for the listener's responses."""

    respond: Annotated[
        str | None,
        short_option(
            "--respond",
            metavar="STATUS[:BODY]",
            help="Respond with this, or with STATUS:@FILE, instead of forwarding. `drop` closes the connection without"
            " a response.",
            excludes=("HANDLER", "--forward-to"),
        ),
    ] = None
    delay: Annotated[float, seconds("--delay", "Wait S seconds before responding.", trust=Trust(0.0, 60.0))] = 0.0
    fail_first: Annotated[
        int, option("--fail-first", metavar="N", min=0, help="Respond with 500 to the first N invocations.")
    ] = 0

    def response(self, cwd: Path) -> Response | None:
        """Return the listener's own response, or None for `drop`. Raises UsageError for an invalid `--respond`."""
        if not self.respond:
            return OK
        if self.respond == DROP:
            return None
        try:
            return parse_response(self.respond, lambda name: (cwd / name).read_bytes())
        except BadResponse as error:
            raise UsageError(
                f"--respond: {error}.", hint="Write it as 503, 200:'{\"ok\":true}', 200:@response.json or `drop`."
            ) from None
        except OSError as error:
            raise SourceError(
                f"--respond: The file cannot be read: {error.strerror}.", hint="Check the path after @."
            ) from None


@option_group("Storage")
class ListenStorage:
    """The options for the capture store and its limits."""

    store: options.Store = None
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
