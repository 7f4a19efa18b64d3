"""The options of `listen`, in the groups of its help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from port_hook_cli.cli import options
from port_hook_cli.cli.listen_values import read_delay, read_public_url, read_routes, read_tunnel
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
from port_hook_cli.cli.options import finite, one_of, seconds, size
from port_hook_cli.errors import UsageError
from port_hook_cli.http.limits import API_TIMEOUT_S
from port_hook_cli.listener.policy import DelayRange
from port_hook_cli.tunnels.registry import all_values, tunnel_help

if TYPE_CHECKING:
    from port_hook_cli.invocations.routes import Routes
    from port_hook_cli.listener.public_url import TunnelOptions
    from port_hook_cli.listener.screen import Reveal
    from port_hook_cli.listener.session import Retarget
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.runtime import Runtime
    from port_hook_cli.terminal.prompts import Ask
    from port_hook_cli.text.secret import Secret

_MIB = 1024.0 * 1024.0
_NO_HANDLER = NoEffect("Nothing is forwarded", without=("--forward-to", "--route"))
_NO_INSPECTOR = NoEffect("There is no inspector", without=("--inspect",))
_NO_KAFKA = NoEffect("No messages are read", without=("--kafka",))
_NO_GROUP = NoEffect("No group is joined", without=("--group",))


def _delay(text: str) -> DelayRange:
    try:
        return read_delay(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@option_group("Target")
class ListenTarget:
    """Where requests are forwarded to."""

    forward_to: Annotated[
        str | None,
        option(
            "--forward-to",
            metavar="URL|PORT",
            help="Your handler. The path of a URL replaces Port's path.",
            trust=HANDLER_HERE,
        ),
    ] = None
    route: Annotated[
        list[str] | None,
        option(
            "--route",
            metavar="RULE=URL",
            help="Another handler for an ACTION, blueprint:NAME, WORKFLOW#NODE or jq:EXPRESSION (repeatable; the first"
            " match wins).",
            trust=HANDLER_HERE,
            completes="rules",
        ),
    ] = None
    only: Annotated[
        list[str] | None,
        option(
            "--only",
            metavar="ACTION",
            help="Show and forward only this action; others get 200 (repeatable).",
            completes="names",
        ),
    ] = None
    max_in_flight: Annotated[
        int | None,
        option(
            "--max-in-flight",
            metavar="N",
            min=1,
            help="Forward N requests at a time at most; the others wait for their turn.",
            trust=ANY_VALUE,
            no_effect=(_NO_HANDLER,),
        ),
    ] = None
    in_order: Annotated[
        bool,
        option(
            "--in-order/--no-in-order",
            help="Forward the requests of one run one after the other, as they arrive.",
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

    def routes(self, path: str) -> Routes:
        """Return where the requests to `path` go; raises UsageError."""
        return read_routes(self.forward_to, self.route or [], path)


@option_group("Server")
class ListenServer:
    """Where the listener listens."""

    port: Annotated[
        int,
        option(
            "--port",
            metavar="N",
            min=0,
            max=65535,
            help="The port to listen on; 0 takes any free one.",
            trust=ANY_VALUE,
        ),
    ] = 8787
    host: Annotated[
        str,
        option(
            "--host",
            metavar="ADDRESS",
            help="The address to listen on. Any address but loopback exposes it to your network.",
        ),
    ] = "127.0.0.1"
    path: Annotated[
        str, option("--path", metavar="P", help="Serve only this path and the paths below it.", trust=ANY_VALUE)
    ] = "/"


@option_group("Tunnel")
class ListenTunnel:
    """The tunnel that makes the listener public."""

    name: Annotated[
        str | None,
        option(
            "--tunnel",
            metavar="NAME|URL",
            help=tunnel_help(),
            choices=tuple(value for value in all_values() if value.replace(".", "").isalpha()),
        ),
    ] = None
    public_url: Annotated[
        str | None, option("--public-url", metavar="URL", help="The public URL of a tunnel that you run yourself.")
    ] = None
    domain: Annotated[str | None, option("--domain", metavar="NAME", help="Your static domain (--tunnel ngrok).")] = (
        None
    )
    accept_host_key: Annotated[
        str | None,
        option(
            "--accept-host-key",
            metavar="SHA256:…",
            help="Trust an SSH server's key with this fingerprint without asking.",
        ),
    ] = None
    probe_interval: Annotated[
        float, seconds("--probe-interval", "Check the public URL every S seconds; 0 disables the check.")
    ] = 30.0
    exit_on_tunnel_loss: Annotated[
        float | None,
        seconds(
            "--exit-on-tunnel-loss", "Exit with code 10 after S seconds without a working tunnel.", trust=ANY_VALUE
        ),
    ] = None
    copy: Annotated[bool, option("--copy", help="Copy the public URL to the clipboard.")] = False

    def read(self, *, is_needed: bool) -> TunnelOptions:
        """Return the tunnel to open; by default none, unless one `is_needed`. Raises UsageError."""
        from port_hook_cli.listener.public_url import TunnelOptions

        given = {"--public-url": self.public_url, "--domain": self.domain, "--accept-host-key": self.accept_host_key}
        name = self.name if is_needed or self.name or any(given.values()) else "none"
        return TunnelOptions(
            choice=read_tunnel(name, given),
            public_url=read_public_url(self.public_url),
            domain=self.domain,
            accept_host_key=self.accept_host_key,
            probe_interval_s=self.probe_interval,
            exit_after_s=self.exit_on_tunnel_loss,
        )


@option_group("Kafka")
class ListenKafka:
    """Which Kafka messages are read."""

    is_read: Annotated[
        bool,
        option("--kafka", help="Also read the Kafka topics of Port's execution agent, without taking its messages."),
    ] = False
    since: Annotated[
        str | None,
        option(
            "--since",
            metavar="TIME",
            help="Start with messages since this time: 10m, 2h, or 2026-05-01T13:30.",
            excludes=("--from-end",),
            no_effect=(_NO_KAFKA,),
        ),
    ] = None
    from_end: Annotated[
        bool,
        option(
            "--from-end",
            help="Start at the end, not where the last listener with this store stopped.",
            no_effect=(_NO_KAFKA,),
        ),
    ] = False
    group: Annotated[
        str | None,
        option(
            "--group",
            metavar="NAME",
            help="Join a consumer group; its name must start with your org's id.",
            no_effect=(_NO_KAFKA,),
        ),
    ] = None
    take_over: Annotated[
        bool,
        option(
            "--take-over",
            help="Join the agent's own group: the agent does not get the messages that this listener gets.",
            no_effect=(_NO_KAFKA, _NO_GROUP),
        ),
    ] = False


@option_group("Actions and workflows in Port")
class ListenRetarget:
    """What `listen` changes in Port, and how it calls Port's API."""

    names: Annotated[
        list[str] | None,
        option(
            "--retarget",
            metavar="NAME",
            help="Point an action, or a workflow's node (WORKFLOW#NODE), in Port at the public URL until listen ends"
            " (repeatable).",
            completes="names",
        ),
    ] = None
    yes: Annotated[
        bool, option("--yes", help="Do not ask before --retarget changes anything or --take-over begins.")
    ] = False
    api_timeout: options.ApiTimeout = API_TIMEOUT_S
    insecure_api: options.InsecureApi = False

    def refuse_incomplete(self, ask: Ask | None) -> None:
        """Raise UsageError for an incomplete name, or if nobody can be asked."""
        from port_hook_cli.retarget.entry import split_name

        for name in self.names or ():
            split_name(name)
        if self.names and ask is None and not self.yes:
            raise UsageError(
                "--retarget makes changes in Port and needs confirmation, but there is no terminal.", hint="Add --yes."
            )

    def with_access(self, access: PortAccess, ask: Ask | None) -> Retarget | None:
        """Return what to retarget, None without --retarget."""
        from port_hook_cli.listener.session import Retarget

        return Retarget(names=self.names, access=access, ask=None if self.yes else ask) if self.names else None


@option_group("Verification")
class ListenVerification:
    """How signatures are verified."""

    secret_file: options.SecretFile = None
    org: options.Org = None
    tolerance: options.Tolerance = 300.0
    strict: Annotated[
        bool,
        option(
            "--strict", help="Forward only requests whose signature matches the raw bytes ('valid').", trust=ANY_VALUE
        ),
    ] = False
    refuse_replays: Annotated[
        bool,
        option(
            "--refuse-replays",
            help="Respond 401 to a signature that was used before within the tolerance.",
            trust=ANY_VALUE,
        ),
    ] = False
    allow_unverified: Annotated[
        bool,
        option(
            "--allow-unverified",
            help="Verify signatures, but forward requests that fail verification too.",
            excludes=("--no-verify", "--strict"),
        ),
    ] = False
    no_verify: Annotated[
        bool,
        option(
            "--no-verify",
            help="Verify nothing; no client secret is needed.",
            excludes=("--strict", "--refuse-replays", "--report", "--follow"),
        ),
    ] = False


@option_group("Responses")
class ListenResponses:
    """How the listener responds."""

    respond: Annotated[
        str | None,
        option(
            "--respond",
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
            parser=_delay,
            trust=Trust(0.0, 60.0),
        ),
    ] = "0"  # type: ignore[assignment] # its parser reads it
    fail_first: Annotated[
        int, option("--fail-first", metavar="N", min=0, help="Respond 500 to the first N invocations.")
    ] = 0
    fail_rate: Annotated[
        float,
        option(
            "--fail-rate",
            metavar="P",
            min=0,
            max=1,
            help="Respond 500 to each invocation with the probability P, from 0 to 1.",
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
            help="Close the connection without a response, after saving; with --fail-first or --fail-rate, only for"
            " invocations that fail.",
        ),
    ] = False
    max_response: Annotated[
        int,
        option(
            "--max-response",
            metavar="SIZE",
            help="Respond 502 when the handler's response is larger than SIZE, such as 500KiB.",
            parser=size,
        ),
    ] = "32MiB"  # type: ignore[assignment] # its parser reads it

    def refuse_seed_without_chance(self) -> None:
        """Raise UsageError for a seed if nothing is random."""
        is_random = self.fail_rate or self.delay.least_s < self.delay.most_s
        reason = "Nothing is random without --fail-rate or a range in --delay"
        refuse_contradictions(pointless={reason: {"--seed": self.seed is not None and not is_random}})


@option_group("Runs in Port")
class ListenRuns:
    """What happens to runs in Port after the response."""

    follow: Annotated[
        bool, option("--follow", help="Watch each run in Port after a 2xx response, and show its logs and status.")
    ] = False
    follow_timeout: Annotated[float, seconds("--follow-timeout", "Follow a run for S seconds at most.")] = 600.0
    report: Annotated[
        str | None,
        option(
            "--report",
            metavar="success|failure",
            help="End each run in Port after the handler's response; success means FAILURE where the handler failed.",
            parser=one_of(("success", "failure")),
        ),
    ] = None


@option_group("When to stop")
class ListenEnd:
    """When `listen` stops, and with which exit code."""

    count: Annotated[
        int | None, option("--count", metavar="N", min=1, help="Stop after N invocations.", trust=ANY_VALUE)
    ] = None
    once: Annotated[
        bool, option("--once", help="Stop after one invocation.", trust=ANY_VALUE, excludes=("--count",))
    ] = False
    timeout: Annotated[
        float | None,
        seconds("--timeout", "Stop after S seconds; exit with code 1 if --count was not reached.", trust=ANY_VALUE),
    ] = None
    expect_status: options.ExpectStatus = None


@option_group("Output")
class ListenOutput:
    """What is shown of each invocation."""

    compact: Annotated[
        bool, option("--compact", help="Show one line per invocation.", trust=ANY_VALUE, excludes=("--full",))
    ] = False
    full: Annotated[
        bool, option("--full", help="Show everything about each invocation (the default).", trust=ANY_VALUE)
    ] = False
    json: Annotated[options.Json, also(excludes=("--compact", "--full", "--decrypt", "--decrypt-path"))] = False
    decrypt: Annotated[bool, option("--decrypt", help="Decrypt encrypted inputs, in the terminal only.")] = False
    decrypt_path: Annotated[
        list[str] | None,
        option(
            "--decrypt-path",
            metavar="PATH",
            help="Decrypt this property instead of those that the payload names (repeatable).",
        ),
    ] = None
    private_key: options.PrivateKey = None

    def reveal(self, secret: Secret | None, runtime: Runtime) -> Reveal | None:
        """Return what decrypts the inputs that are shown, if any is; may ask for the passphrase of the key."""
        if not (self.decrypt or self.decrypt_path):
            return None
        from port_hook_cli.cli.encryption import build_decrypter
        from port_hook_cli.javascript.paths import JsonPath

        paths = tuple(map(JsonPath.parse, self.decrypt_path or ()))
        return build_decrypter(secret, self.private_key, runtime, paths=paths).reveal


@option_group("Inspector")
class ListenInspector:
    """The inspector beside the listener."""

    inspect: Annotated[
        bool, option("--inspect", help="Open the inspector: a page in the browser that shows what arrives.")
    ] = False
    inspect_port: Annotated[options.InspectPort, also(no_effect=(_NO_INSPECTOR,))] = 0
    actions: Annotated[options.InspectActions, also(no_effect=(_NO_INSPECTOR,))] = None
    open_browser: Annotated[options.OpenBrowser, also(no_effect=(_NO_INSPECTOR,))] = False


@option_group("Storage")
class ListenStorage:
    """What is saved, and for how long."""

    store: options.Store = None
    max_captures: Annotated[int, option("--max-captures", metavar="N", min=1, help="Keep the newest N captures.")] = (
        10_000
    )
    max_store: Annotated[
        int,
        option(
            "--max-store",
            metavar="SIZE",
            help="Keep at most SIZE on disk, such as 512MiB. The oldest unverified captures are dropped first.",
            parser=size,
        ),
    ] = "1GiB"  # type: ignore[assignment] # its parser reads it
    max_body: Annotated[
        int,
        option(
            "--max-body",
            metavar="SIZE",
            help="Respond 413 to bodies larger than SIZE, such as 20MiB.",
            parser=size,
            trust=Trust(1.0, 10 * _MIB),
        ),
    ] = "10MiB"  # type: ignore[assignment] # its parser reads it
    keep_secrets: Annotated[bool, option("--keep-secrets", help="Save authorization headers and cookies unmasked.")] = (
        False
    )
