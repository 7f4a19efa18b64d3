"""Questions to the user during a session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.prompts import can_ask, confirm_in_loop
from port_hook_cli.text.safe import printable_lines
from port_hook_cli.tunnels.protocol import decline


def asker(runtime: Runtime) -> Callable[[str], Awaitable[bool]]:
    """Return a function that asks the user a yes-or-no question; without a terminal, the answer is no."""
    if not can_ask(runtime):
        return decline

    async def ask(question: str) -> bool:
        return await confirm_in_loop(printable_lines(question), runtime, default=False)

    return ask
