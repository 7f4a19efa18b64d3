"""Asks the sandbox on this machine about a run that `trigger` made itself, and follows the run in the sandbox."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from port_hook_cli.errors import PortHookError, UsageError
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.runs.updates import ended_status
from port_hook_cli.text.remark import Say, note
from port_hook_cli.text.safe import printable

if TYPE_CHECKING:
    from port_hook_cli.trigger.in_port import LogLine, RunChanged

ASK_TIMEOUT_S = 2.0
"""The number of seconds that a question to the sandbox may take before a response is shown."""

_PAUSES_S = (0.02, 0.04, 0.08, 0.16, 0.3)

Found = TypeVar("Found")


async def asked_for_a_moment(ask: Callable[[], Awaitable[Found | None]]) -> Found | None:
    """Call `ask` until it returns a result other than None, a few times at most, and return its last result.

    Quick handlers often respond first, and report the result up to 0.1 s later.
    """
    for pause_s in _PAUSES_S:
        if (answer := await ask()) is not None:
            return answer
        await asyncio.sleep(pause_s)
    return await ask()


async def require_sandbox(access: PortAccess) -> None:
    """Raise an error if there is no sandbox in which a run can be followed.

    Raises UsageError if the settings point to Port, SettingsError if there are no credentials, and PortApiError if the
    sandbox cannot be reached.
    """
    if not access.is_api_on_this_machine:
        raise UsageError(
            "--wait follows the run in a sandbox on this machine, but the URL of Port's API is "
            f"{access.settings.api_url}.",
            hint="Start `port-hook sandbox` and set the variables that it prints. Add --via-port to run it in Port.",
        )
    async with access.client(retries=False) as api:
        await api.check_access()


async def ended_in_sandbox(access: PortAccess, run_id: str) -> str | None:
    """Return the final status of a run in the sandbox.

    Returns None if the run has not ended a moment later, if there is no sandbox, or if the sandbox does not know the
    run. This function takes at most 2 seconds.
    """
    with contextlib.suppress(PortHookError, TimeoutError):
        if not access.has_sandbox:
            return None
        async with (
            asyncio.timeout(ASK_TIMEOUT_S),
            access.client(timeout_s=ASK_TIMEOUT_S, retries=False) as api,
        ):

            async def ask() -> str | None:
                return ended_status(await api.get_run(run_id))

            return await asked_for_a_moment(ask)
    return None


async def follow_in_sandbox(
    access: PortAccess, run_id: str, *, wait_s: float, on_event: Callable[[RunChanged | LogLine], None], say: Say
) -> Mapping[str, Any]:
    """Follow a run in the sandbox until it ends or `wait_s` seconds have passed. Return the last state of the run.

    `on_event` gets each change of the run and each entry of its log. Raises PortApiError.
    """
    from port_hook_cli.trigger.in_port import follow  # imported here so that `trigger` starts faster

    async with access.client(on_retry=lambda text: say(note(printable(text)))) as api:
        return await follow(api, {"id": run_id, "status": "IN_PROGRESS"}, wait_s=wait_s, on_event=on_event)
