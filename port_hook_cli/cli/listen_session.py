"""The options of `listen` about the session: the tunnel, questions, the end of the session, and the output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from port_hook_cli.cli import options
from port_hook_cli.cli.option_groups import ANY_VALUE, also, option, option_group, short_option
from port_hook_cli.cli.options import seconds
from port_hook_cli.tunnels.registry import (
    TunnelChoice,
    all_values,
    parse_tunnel,
    refuse_host_key,
    tunnel_help,
)

if TYPE_CHECKING:
    from port_hook_cli.listener.public_url import TunnelOptions


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


@option_group("Actions and workflows in Port")
class ListenConfirmation:
    """The option for the questions of `listen`."""

    yes: Annotated[bool, option("--yes", "-y", help="Skip the confirmations of --retarget and --take-over.")] = False


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


@option_group("Output")
class ListenKey:
    """The option for the key that decrypts inputs."""

    private_key: options.PrivateKey = None
