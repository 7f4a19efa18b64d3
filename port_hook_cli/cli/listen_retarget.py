"""The option of `listen` that points actions and workflow nodes at the listener."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated

from port_hook_cli.cli.listen_additions import Addition, Listen, ListenOptions
from port_hook_cli.cli.option_groups import option_group, short_option
from port_hook_cli.errors import UsageError
from port_hook_cli.tunnels.registry import NO_TUNNEL

if TYPE_CHECKING:
    from port_hook_cli.listener.serving import ListenPlan


@option_group("Actions and workflows in Port", after="ListenTunnel")
class ListenRetarget(ListenOptions):
    """The `--retarget` option."""

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

    @property
    def needs_access(self) -> bool:
        """Whether anything in Port is changed."""
        return bool(self.names)

    @property
    def named_nodes(self) -> Collection[str]:
        """The retargeted nodes, whose requests have their own paths."""
        return self.names or ()

    def refuse(self, listen: Listen) -> None:
        """Raise UsageError if a name is incomplete, Port has no URL to call, or port-hook cannot ask for confirmation.

        A sandbox on this machine gets the listener's local URL.
        """
        if not self.names:
            return
        from port_hook_cli.retarget.entry import split_name
        from port_hook_cli.retarget.pointing import no_public_url

        for name in self.names:
            split_name(name)
        if listen.ask is None and not listen.is_confirmed:
            raise UsageError(
                "--retarget makes changes in Port. port-hook cannot ask for confirmation because this is not a "
                "terminal.",
                hint="Pass --yes.",
            )
        if listen.tunnel.choice == NO_TUNNEL and not listen.has_sandbox:
            raise no_public_url()

    def addition(self, listen: Listen, plan: ListenPlan) -> Addition:
        """Return what points the actions and nodes at the listener."""
        del plan
        if not self.names:
            return Addition()
        from port_hook_cli.retarget.pointing import pointing_at

        ask = None if listen.is_confirmed else listen.ask
        return Addition(pointing=pointing_at(self.names, listen.access, listen.runtime, ask))
