"""Actions and workflow nodes that point at a listener while it runs, and their restoration."""

from __future__ import annotations

from port_hook_cli.registry import CommandRow, Feature
from port_hook_cli.runtime import Runtime

# The directory of retarget/journal.py in the home directory. It is repeated here, so that checking it doesn't need an
# import.
_RETARGETS = ".port-hook/retargets"

FEATURE = Feature(
    commands={
        "restore": CommandRow(
            "port_hook_cli.cli.restore:restore",
            examples=("port-hook restore", "port-hook restore create_vm --dry-run"),
        )
    },
    options={"listen": ("port_hook_cli.cli.listen_retarget:ListenRetarget",)},
    before_commands="port_hook_cli.features.retarget:tell_of_leftovers",
    quiet_for=("restore", "doctor"),  # these commands already report it
)


def tell_of_leftovers(runtime: Runtime) -> None:
    """Print how many actions still point at a listener that has ended.

    Most home directories have no journal.
    """
    try:
        has_any = any(path.suffix == ".json" for path in (runtime.home / _RETARGETS).iterdir())
    except OSError:
        return
    if has_any:
        from port_hook_cli.retarget.journal import Journal
        from port_hook_cli.retarget.view import leftover_line
        from port_hook_cli.terminal.console import tell

        if count := Journal(runtime.home).count_leftovers():
            tell(leftover_line(count), runtime)
