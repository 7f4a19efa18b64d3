"""All checks at once, each with a time limit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from port_hook_cli.doctor.check import CheckResult, CheckState
from port_hook_cli.doctor.credentials import Account, check_api, check_credentials
from port_hook_cli.doctor.handler import check_handler
from port_hook_cli.doctor.installation import check_extras, check_versions
from port_hook_cli.doctor.retargets import check_retargets
from port_hook_cli.doctor.store import check_store
from port_hook_cli.doctor.tunnels import check_tunnels
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.threads import UnwaitedThreads

TIMEOUT_S = 3.0
# The credentials may be in a keyring that does not respond, and then the API is not asked.
_MARGIN_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What to check. `handler` is the URL of the handler that the user named, or None."""

    account: Account = field(default_factory=Account)
    store: Path | None = None
    handler: str | None = None
    timeout_s: float = TIMEOUT_S


async def examine(wanted: Examination, runtime: Runtime) -> list[CheckResult]:
    """Return the results of all checks, in the order of the table. They run at the same time."""
    asyncio.get_running_loop().set_default_executor(UnwaitedThreads())
    groups = await asyncio.gather(
        _account(wanted, runtime),
        _within(wanted.timeout_s, "tunnel", lambda: asyncio.to_thread(check_tunnels, runtime)),
        _store_and_handler(wanted, runtime),
        _within(wanted.timeout_s, "retargets", lambda: _one(lambda: check_retargets(runtime.home))),
        _within(wanted.timeout_s, "versions", lambda: _one(check_versions)),
        _within(wanted.timeout_s, "extra", lambda: asyncio.to_thread(check_extras)),
    )
    return [result for group in groups for result in group]


async def _account(wanted: Examination, runtime: Runtime) -> list[CheckResult]:
    try:
        async with asyncio.timeout(wanted.timeout_s + _MARGIN_S):
            settings, credentials = await asyncio.to_thread(check_credentials, wanted.account, runtime)
    except TimeoutError:
        return [_unfinished("credentials", wanted.timeout_s)]
    return [credentials, *await check_api(settings, runtime, wanted.timeout_s)]


async def _store_and_handler(wanted: Examination, runtime: Runtime) -> list[CheckResult]:
    target = wanted.handler
    try:
        async with asyncio.timeout(wanted.timeout_s):
            store, last_target = await asyncio.to_thread(check_store, wanted.store, runtime)
            target = target or last_target
    except TimeoutError:
        store = _unfinished("store", wanted.timeout_s)
    is_chosen = wanted.handler is not None
    has_store = store.details.get("exists") is not False
    checking = partial(_handler, target, is_chosen=is_chosen, has_store=has_store)
    return [store, *await _within(wanted.timeout_s, "handler", checking)]


async def _within(
    timeout_s: float, check: str, start: Callable[[], Awaitable[Sequence[CheckResult]]]
) -> Sequence[CheckResult]:
    try:
        async with asyncio.timeout(timeout_s):
            return await start()
    except TimeoutError:
        return [_unfinished(check, timeout_s)]


async def _one(check: Callable[[], CheckResult]) -> list[CheckResult]:
    return [await asyncio.to_thread(check)]


async def _handler(target: str | None, *, is_chosen: bool, has_store: bool) -> list[CheckResult]:
    return [await check_handler(target, is_chosen=is_chosen, has_store=has_store)]


def _unfinished(check: str, timeout_s: float) -> CheckResult:
    return CheckResult(
        check=check,
        state=CheckState.PROBLEM,
        message=f"The check did not end within {timeout_s:g} s.",
        next_step="Is a disk, a name server or a locked file in the way?",
    )
