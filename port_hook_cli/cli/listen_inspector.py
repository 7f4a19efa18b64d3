"""The options of `listen` for the inspector beside the listener."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from port_hook_cli.cli import options
from port_hook_cli.cli.listen_additions import Addition, Listen, ListenOptions
from port_hook_cli.cli.option_groups import NoEffect, also, option_group, short_option

if TYPE_CHECKING:
    from port_hook_cli.listener.serving import ListenPlan

_NO_INSPECTOR = NoEffect("The inspector does not run", without=("--inspect",))


@option_group("Inspector", after="ListenKey")
class ListenInspector(ListenOptions):
    """The options for the inspector beside the listener."""

    inspect: Annotated[bool, short_option("--inspect", help="Show requests in the browser, hold and respond.")] = False
    inspect_port: Annotated[options.InspectPort, also(no_effect=(_NO_INSPECTOR,))] = 0

    def addition(self, listen: Listen, plan: ListenPlan) -> Addition:
        """Return the inspector, if it runs."""
        if not self.inspect:
            return Addition()
        from port_hook_cli.cli.inspect import beside_listener

        observer, companion, open_page = beside_listener(
            plan, listen.runtime, port=self.inspect_port, access=listen.access, private_key=listen.private_key
        )
        return Addition(observers=[observer], companions=[companion], open_page=open_page)
