"""The options of `listen` about the session: the tunnel, Kafka, Port, the end of the session, and the output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from port_hook_cli.cli import options
from port_hook_cli.cli.option_groups import ANY_VALUE, NoEffect, also, option, option_group, short_option
from port_hook_cli.cli.options import one_of, seconds
from port_hook_cli.errors import UsageError
from port_hook_cli.tunnels.registry import (
    NO_TUNNEL,
    TunnelChoice,
    all_values,
    parse_tunnel,
    refuse_host_key,
    tunnel_help,
)

if TYPE_CHECKING:
    from port_hook_cli.listener.public_url import TunnelOptions
    from port_hook_cli.listener.screen import Reveal
    from port_hook_cli.listener.session import Pointing
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
        short_option(
            "--tunnel",
            metavar="NAME|URL",
            help=tunnel_help(),
            choices=tuple(value for value in all_values() if value.replace(".", "").isalpha()),
        ),
    ] = None
    accept_host_key: Annotated[
        str | None,
        option(
            "--accept-host-key",
            metavar="SHA256:…",
            help="Trust an SSH server's key with this fingerprint without asking.",
        ),
    ] = None
    exit_on_tunnel_loss: Annotated[
        float | None,
        seconds(
            "--exit-on-tunnel-loss", "Exit with code 10 after S seconds without a working tunnel.", trust=ANY_VALUE
        ),
    ] = None

    def read(self, default: TunnelChoice, *, probe_interval_s: float = 30.0) -> TunnelOptions:
        """Return the tunnel to open, by default `default`. Raises UsageError for invalid options."""
        from port_hook_cli.listener.public_url import TunnelOptions

        choice = parse_tunnel(self.name) if self.name else default
        if self.accept_host_key:
            refuse_host_key(choice)
        return TunnelOptions(
            choice=choice,
            accept_host_key=self.accept_host_key,
            probe_interval_s=probe_interval_s,
            exit_after_s=self.exit_on_tunnel_loss,
        )


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
            help="Start with messages since this time: now, 10m, 2h, or 2026-05-01T13:30. Default: where this store's"
            " last listener stopped.",
            no_effect=(_NO_KAFKA,),
        ),
    ] = None
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
        short_option(
            "--retarget",
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

    def refuse_without_url(self, tunnel: TunnelOptions, *, has_sandbox: bool) -> None:
        """Raise UsageError if Port gets no URL. A sandbox on this machine gets the listener's local URL."""
        if self.names and tunnel.choice == NO_TUNNEL and not has_sandbox:
            from port_hook_cli.retarget.pointing import no_public_url

            raise no_public_url()

    def pointing(self, access: PortAccess, runtime: Runtime, ask: Ask | None) -> Pointing | None:
        """Return what points the actions and nodes at the listener, or None without --retarget."""
        if not self.names:
            return None
        from port_hook_cli.retarget.pointing import pointing_at

        return pointing_at(self.names, access, runtime, None if self.yes else ask)


@option_group("Runs in Port")
class ListenRuns:
    """The options for runs in Port after the response."""

    follow: Annotated[
        bool, option("--follow", help="Watch each run in Port after a 2xx response, and show its logs and status.")
    ] = False
    report: Annotated[
        str | None,
        short_option(
            "--report",
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
    stop_after: Annotated[
        float | None,
        seconds(
            "--stop-after",
            "Stop after S seconds. Exits with code 1 if --count was not reached.",
            trust=ANY_VALUE,
        ),
    ] = None
    expect_status: options.ExpectStatus = None


@option_group("Output")
class ListenOutput:
    """The options for showing invocations."""

    compact: Annotated[
        bool, short_option("--compact/--no-compact", help="One line per request.", show_default=False, trust=ANY_VALUE)
    ] = False
    json: Annotated[options.Json, also(excludes=("--compact", "--decrypt"))] = False
    decrypt: Annotated[
        bool,
        option("--decrypt", help="Decrypt the inputs that the payload lists as encrypted, in the terminal only."),
    ] = False
    private_key: options.PrivateKey = None

    def reveal(self, secret: Secret | None, runtime: Runtime) -> Reveal | None:
        """Return the function that decrypts inputs for display, or None.

        This method may ask for the passphrase of the private key.
        """
        if not self.decrypt:
            return None
        from port_hook_cli.cli.encryption import build_decrypter

        return build_decrypter(secret, self.private_key, runtime).reveal


@option_group("Inspector")
class ListenInspector:
    """The options for the inspector beside the listener."""

    inspect: Annotated[bool, short_option("--inspect", help="Show requests in the browser, hold and respond.")] = False
    inspect_port: Annotated[options.InspectPort, also(no_effect=(_NO_INSPECTOR,))] = 0
