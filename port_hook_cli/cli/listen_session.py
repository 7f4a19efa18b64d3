"""The options of `listen` about the session: the tunnel, Kafka, Port, the end of the session, and the output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from port_hook_cli.cli import options
from port_hook_cli.cli.option_groups import ANY_VALUE, NoEffect, also, option, option_group
from port_hook_cli.cli.options import one_of, seconds
from port_hook_cli.errors import UsageError
from port_hook_cli.tunnels.registry import (
    AUTO,
    NO_TUNNEL,
    TunnelChoice,
    all_values,
    parse_tunnel,
    refuse_options,
    tunnel_help,
)

if TYPE_CHECKING:
    from port_hook_cli.listener.public_url import TunnelOptions
    from port_hook_cli.listener.screen import Reveal
    from port_hook_cli.listener.session import Retarget
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.runtime import Runtime
    from port_hook_cli.terminal.prompts import Ask
    from port_hook_cli.text.secret import Secret

_NO_INSPECTOR = NoEffect("The inspector does not run", without=("--inspect",))
_NO_KAFKA = NoEffect("No messages are read", without=("--kafka",))
_NO_GROUP = NoEffect("No group is joined", without=("--group",))


@option_group("Tunnel")
class ListenTunnel:
    """The options for the tunnel that makes the listener public."""

    name: Annotated[
        str | None,
        option(
            "--tunnel",
            is_common=True,
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
        """Return the tunnel to open.

        By default, open a tunnel only if one `is_needed`. Raises UsageError for invalid options.
        """
        from port_hook_cli.listener.public_url import TunnelOptions

        given = {"--public-url": self.public_url, "--domain": self.domain, "--accept-host-key": self.accept_host_key}
        name = self.name if is_needed or self.name or any(given.values()) else "none"
        return TunnelOptions(
            choice=_read_tunnel(name, given),
            public_url=_read_public_url(self.public_url),
            domain=self.domain,
            accept_host_key=self.accept_host_key,
            probe_interval_s=self.probe_interval,
            exit_after_s=self.exit_on_tunnel_loss,
        )


def _read_tunnel(text: str | None, options: Mapping[str, str | None]) -> TunnelChoice:
    """Return the tunnel to open: the tunnel in `text`, otherwise `none` with `--public-url`, otherwise `auto`.

    `options` contains the values of the options that only some tunnels accept. Raises UsageError for an unknown tunnel,
    and for options that it doesn't accept.
    """
    choice = parse_tunnel(text) if text else NO_TUNNEL if options.get("--public-url") else AUTO
    refuse_options(choice, [name for name, value in options.items() if value])
    return choice


def _read_public_url(text: str | None) -> str | None:
    """Return `--public-url`. Raises UsageError if it is not a URL."""
    if text and not _is_web_url(text):
        raise UsageError(f"--public-url {text!r} is not a URL.", hint="Write it as https://…")
    return text


def _is_web_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"https", "http"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a bad port, or brackets without an IPv6 address
        return False


@option_group("Kafka")
class ListenKafka:
    """The options for the Kafka messages to read."""

    is_read: Annotated[
        bool,
        option("--kafka", help="Also read the execution agent's Kafka topics, without consuming its messages."),
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
            help="Start at the end of the topics instead of where this store's last listener stopped.",
            no_effect=(_NO_KAFKA,),
        ),
    ] = False
    group: Annotated[
        str | None,
        option(
            "--group",
            metavar="NAME",
            help="Join this consumer group. Its name must start with your organization's ID.",
            no_effect=(_NO_KAFKA,),
        ),
    ] = None
    take_over: Annotated[
        bool,
        option(
            "--take-over",
            help="Join the agent's consumer group. Messages read here don't reach the agent.",
            no_effect=(_NO_KAFKA, _NO_GROUP),
        ),
    ] = False


@option_group("Actions and workflows in Port")
class ListenRetarget:
    """The options for changes in Port, and for calls of Port's API."""

    names: Annotated[
        list[str] | None,
        option(
            "--retarget",
            is_common=True,
            metavar="NAME",
            help="Point a workflow node (WORKFLOW#NODE) or an action in Port at the public URL until `listen` ends"
            " (repeatable).",
            completes="names",
        ),
    ] = None
    yes: Annotated[bool, option("--yes", "-y", help="Skip the confirmations of --retarget and --take-over.")] = False

    def refuse_incomplete(self, ask: Ask | None) -> None:
        """Raise UsageError for an incomplete name, or if port-hook cannot ask for confirmation."""
        from port_hook_cli.retarget.entry import split_name

        for name in self.names or ():
            split_name(name)
        if self.names and ask is None and not self.yes:
            raise UsageError(
                "--retarget makes changes in Port. port-hook cannot ask for confirmation because this is not a "
                "terminal.",
                hint="Pass --yes.",
            )

    def with_access(self, access: PortAccess, ask: Ask | None) -> Retarget | None:
        """Return the actions and nodes to retarget, or None without --retarget."""
        from port_hook_cli.listener.session import Retarget

        return Retarget(names=self.names, access=access, ask=None if self.yes else ask) if self.names else None


@option_group("Runs in Port")
class ListenRuns:
    """The options for runs in Port after the response."""

    follow: Annotated[
        bool, option("--follow", help="Watch each run in Port after a 2xx response, and show its logs and status.")
    ] = False
    follow_timeout: Annotated[float, seconds("--follow-timeout", "Follow a run for at most S seconds.")] = 600.0
    report: Annotated[
        str | None,
        option(
            "--report",
            is_common=True,
            metavar="success|failure",
            help="Report each run's result to Port after the handler's response. With success, a run ends as FAILURE"
            " if the response is not a 2xx.",
            parser=one_of(("success", "failure")),
        ),
    ] = None


@option_group("When to stop")
class ListenEnd:
    """The options for when `listen` stops, and with which exit code."""

    count: Annotated[
        int | None, option("--count", metavar="N", min=1, help="Stop after N invocations.", trust=ANY_VALUE)
    ] = None
    once: Annotated[
        bool, option("--once", help="Stop after one invocation.", trust=ANY_VALUE, excludes=("--count",))
    ] = False
    timeout: Annotated[
        float | None,
        seconds(
            "--stop-after",
            "Stop after S seconds. Exits with code 1 if --count was not reached.",
            trust=ANY_VALUE,
            old=("--timeout",),
        ),
    ] = None
    expect_status: options.ExpectStatus = None


@option_group("Output")
class ListenOutput:
    """The options for showing invocations."""

    compact: Annotated[
        bool,
        option(
            "--compact",
            help="Show one line per invocation.",
            trust=ANY_VALUE,
            excludes=("--full",),
            is_common=True,
        ),
    ] = False
    full: Annotated[
        bool, option("--full", help="Show everything about each invocation (the default).", trust=ANY_VALUE)
    ] = False
    json: Annotated[
        options.Json, also(excludes=("--compact", "--full", "--decrypt", "--decrypt-path"), is_common=True)
    ] = False
    decrypt: Annotated[bool, option("--decrypt", help="Decrypt encrypted inputs, in the terminal only.")] = False
    decrypt_path: Annotated[
        list[str] | None,
        option(
            "--decrypt-path",
            metavar="PATH",
            help="Decrypt this property (repeatable). Default: the properties that the payload lists as encrypted.",
        ),
    ] = None
    private_key: options.PrivateKey = None

    def reveal(self, secret: Secret | None, runtime: Runtime) -> Reveal | None:
        """Return the function that decrypts inputs for display, or None.

        This method may ask for the passphrase of the private key.
        """
        if not (self.decrypt or self.decrypt_path):
            return None
        from port_hook_cli.cli.encryption import build_decrypter
        from port_hook_cli.javascript.paths import JsonPath

        paths = tuple(map(JsonPath.parse, self.decrypt_path or ()))
        return build_decrypter(secret, self.private_key, runtime, paths=paths).reveal


@option_group("Inspector")
class ListenInspector:
    """The options for the inspector beside the listener."""

    inspect: Annotated[
        bool,
        option(
            "--inspect",
            help="Serve the inspector, a browser page that shows requests as they arrive, and can hold and respond to "
            "them.",
            is_common=True,
        ),
    ] = False
    inspect_port: Annotated[options.InspectPort, also(no_effect=(_NO_INSPECTOR,))] = 0
    actions: Annotated[options.InspectActions, also(no_effect=(_NO_INSPECTOR,))] = None
