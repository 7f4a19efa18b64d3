"""Runs all checks of `doctor` concurrently, with time limits: tunnels, the store, retargeted actions, versions."""

from __future__ import annotations

import asyncio
import os
import platform
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from port_hook_cli import __version__
from port_hook_cli.captures.database.files import LOG, beside
from port_hook_cli.captures.database.opening import require_sqlite, store_path
from port_hook_cli.captures.store.reader import StoreReader, open_reader
from port_hook_cli.doctor.check import CheckResult, CheckState
from port_hook_cli.doctor.credentials import check_api, check_credentials
from port_hook_cli.doctor.handler import check_handler
from port_hook_cli.errors import StoreError, UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.installed import install_hint, optional_packages
from port_hook_cli.invocations.handlers import Handler, HandlerRule
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.retarget.journal import Journal, Kept
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.threads import UnwaitedThreads
from port_hook_cli.text.safe import brief
from port_hook_cli.tunnels.keeper import check_provider
from port_hook_cli.tunnels.protocol import NotUsable, Usable
from port_hook_cli.tunnels.registry import AUTO, NO_TUNNEL, PROVIDERS, Provider, parse_tunnel

TIMEOUT_S = 3.0
# The credentials may be in a keyring that does not respond. In that case, the API is not called. The keyring's own time
# limit begins after its import, which takes long on a busy machine, and its message tells the user more.
_MARGIN_S = 2.0
_MIB = 1024 * 1024
_PACKAGES = ("aiohttp", "cryptography", "httpx", "jq", "jsonschema", "pyngrok", "rich", "typer")


@frozen(kw_only=True)
class Examination:
    """What `doctor` checks. `handler` is the URL that the user chose, and `project_handler` is the project's handler.

    `tunnel` is the default of `listen --tunnel`, or None if no variable or file sets the default. `can_ask` is whether
    `listen` could ask a question on this terminal. The credentials may take `margin_s` seconds longer than `timeout_s`,
    the time for each check.
    """

    access: PortAccess
    store: Path | None = None
    handler: str | None = None
    project_handler: Handler | None = None
    tunnel: str | None = None
    can_ask: bool = False
    timeout_s: float = TIMEOUT_S
    margin_s: float = _MARGIN_S


async def examine(wanted: Examination, runtime: Runtime) -> list[CheckResult]:
    """Run all checks concurrently, and return their results in the order of the table."""
    asyncio.get_running_loop().set_default_executor(UnwaitedThreads())
    groups = await asyncio.gather(
        _account(wanted, runtime),
        _within(wanted.timeout_s, "tunnel", lambda: asyncio.to_thread(check_tunnels, wanted, runtime)),
        _store_and_handler(wanted, runtime),
        _within(wanted.timeout_s, "retargets", lambda: _one(lambda: check_retargets(runtime.home))),
        _within(wanted.timeout_s, "versions", lambda: _one(check_versions)),
        _within(wanted.timeout_s, "extra", lambda: asyncio.to_thread(check_extras)),
    )
    return [result for group in groups for result in group]


async def _account(wanted: Examination, runtime: Runtime) -> list[CheckResult]:
    try:
        async with asyncio.timeout(wanted.timeout_s + wanted.margin_s):
            settings, credentials = await asyncio.to_thread(check_credentials, wanted.access, runtime)
    except TimeoutError:
        return [_unfinished("credentials", wanted.timeout_s)]
    return [credentials, *await check_api(settings, runtime, wanted.timeout_s)]


async def _store_and_handler(wanted: Examination, runtime: Runtime) -> list[CheckResult]:
    last_target = None
    try:
        async with asyncio.timeout(wanted.timeout_s):
            store, last_target = await asyncio.to_thread(check_store, wanted.store, runtime)
    except TimeoutError:
        store = _unfinished("store", wanted.timeout_s)
    target = wanted.handler or HandlerRule(project=wanted.project_handler, last=lambda: last_target).url()
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
        next_step="Check for a slow disk, a slow name server or a locked file.",
    )


def check_tunnels(wanted: Examination, runtime: Runtime) -> list[CheckResult]:
    """Return a result for the default tunnel of `listen`, and a result for each provider.

    The check doesn't open a tunnel or download anything.
    """
    found = {
        provider: check_provider(provider.auto, runtime.environ, runtime.home, can_ask=wanted.can_ask)
        for provider in PROVIDERS
        if provider.auto
    }
    return [_default_tunnel(wanted.tunnel, found), *_each_tunnel(found)]


def _default_tunnel(name: str | None, found: dict[Provider, Usable | NotUsable]) -> CheckResult:
    """Return the result for the default tunnel.

    `name` is the tunnel that a variable or the project's file sets, if any.
    """
    try:
        choice = parse_tunnel(name) if name else AUTO
    except UsageError as wrong:
        return CheckResult(
            check="tunnel",
            subject="auto",
            state=CheckState.PROBLEM,
            message=f"`listen` cannot start with its default tunnel: {wrong.message}",
            next_step=wrong.hint,
            details={"provider": None},
        )
    if choice == AUTO:
        return _automatic_tunnel({each: state for each, state in found.items() if isinstance(state, Usable)})
    opens = "no tunnel" if choice == NO_TUNNEL else f"a tunnel with {brief(choice.name)}"
    return CheckResult(
        check="tunnel",
        subject="auto",
        state=CheckState.OK,
        message=f"`listen` opens {opens} by default: a variable or a project's file sets --tunnel.",
        details={"provider": None if choice == NO_TUNNEL else choice.provider},
    )


def _automatic_tunnel(usable: dict[Provider, Usable]) -> CheckResult:
    if not usable:
        return CheckResult(
            check="tunnel",
            subject="auto",
            state=CheckState.WARNING,
            message="`--tunnel auto` has no tunnel to open, so Port cannot reach this machine.",
            next_step="Set up one of the tunnels below, or use `listen --tunnel smee`, or your own tunnel with --tunnel https://HOST.",
            details={"provider": None},
        )
    first, state = next(iter(usable.items()))
    does = "asks before it opens" if state.question else "opens"
    return CheckResult(
        check="tunnel",
        subject="auto",
        state=CheckState.OK,
        message=f"`listen` {does} a tunnel with {_tunnel_value(first)} by default.",
        details={"provider": first.name},
    )


def _each_tunnel(found: dict[Provider, Usable | NotUsable]) -> Iterator[CheckResult]:
    for provider in PROVIDERS:
        state = found.get(provider)
        if isinstance(state, NotUsable):
            yield _unusable_tunnel(provider, state)
        else:
            yield _usable_tunnel(provider, state)


def _usable_tunnel(provider: Provider, state: Usable | None) -> CheckResult:
    reason = state.reason if state else f"it needs {provider.needs}. To use it, pass --tunnel {provider.name}"
    asks = ". port-hook asks before it opens the first tunnel" if state and state.question else ""
    return CheckResult(
        check="tunnel",
        subject=provider.name,
        state=CheckState.OK,
        message=f"Usable: {reason}{asks}.",
        details={"provider": provider.name, "usable": True},
    )


def _unusable_tunnel(provider: Provider, state: NotUsable) -> CheckResult:
    setup = state.setup or (provider.auto.setup if provider.auto else "")
    return CheckResult(
        check="tunnel",
        subject=provider.name,
        state=CheckState.SKIPPED,
        message=f"Not usable: {state.reason}.",
        next_step=f"If you want it, {setup}.",
        details={"provider": provider.name, "usable": False},
    )


def _tunnel_value(provider: Provider) -> str:
    return (provider.auto.address if provider.auto else None) or provider.name


def check_store(option: Path | None, runtime: Runtime) -> tuple[CheckResult, str | None]:
    """Return the result for the store, and the target of its last `listen`."""
    path = store_path(option, runtime.cwd)
    try:
        if not os.path.lexists(path):
            return _check_folder(path), None
        with open_reader(option, runtime.cwd, show_only=True) as store:
            return _store_result(store), store.last_target()
    except StoreError as problem:
        return _store_problem(path, problem), None


def _store_result(store: StoreReader) -> CheckResult:
    count, size = store.number_of_captures(), _store_size(store.path)
    store.check_writable()
    captures = f"{count:,} capture{'' if count == 1 else 's'}"
    return CheckResult(
        check="store",
        state=CheckState.WARNING if store.warnings else CheckState.OK,
        message=". ".join([f"{store.path} has {captures}, {size / _MIB:.1f} MiB", *store.warnings]) + ".",
        next_step="Check its captures. Someone else may have written them." if store.warnings else "",
        details=_store_details(store.path, exists=True, writable=True, captures=count, size=size),
    )


def _check_folder(path: Path) -> CheckResult:
    """Return the result for a store that does not exist yet. `listen` must be able to create it."""
    folder = next(folder for folder in path.parents if os.path.lexists(folder))
    is_writable = os.access(folder, os.W_OK | os.X_OK) and folder.is_dir()
    return CheckResult(
        check="store",
        state=CheckState.OK if is_writable else CheckState.PROBLEM,
        message=f"`listen` will create the store {path}." if is_writable else f"{folder} cannot be written.",
        next_step="" if is_writable else "Change to another directory, or pass another store with --store.",
        details=_store_details(path, exists=False, writable=is_writable),
    )


def _store_problem(path: Path, problem: StoreError) -> CheckResult:
    return CheckResult(
        check="store",
        state=CheckState.PROBLEM,
        message=problem.message,
        next_step=problem.hint,
        details=_store_details(path, exists=True, writable=False),
    )


def _store_details(
    path: Path, *, exists: bool, writable: bool, captures: int | None = None, size: int | None = None
) -> dict[str, Any]:
    return {"path": str(path), "exists": exists, "writable": writable, "captures": captures, "size_bytes": size}


def _store_size(path: Path) -> int:
    return sum(file.stat().st_size for file in (path, beside(path, LOG)) if os.path.lexists(file))


def check_retargets(home: Path) -> CheckResult:
    """Return the result for retargets: whether actions or workflow nodes still have the URL of an ended listener."""
    kept = Journal(home).kept()
    left = [_entry_name(file) for file in kept if not file.is_held]
    held = [_entry_name(file) for file in kept if file.is_held]
    details = {"left_behind": left, "in_use": held}
    if left:
        return CheckResult(
            check="retargets",
            state=CheckState.WARNING,
            message=f"These still have the URL of a listener that has ended: {', '.join(left)}.",
            next_step="Run `port-hook restore`.",
            details=details,
        )
    in_use = f"In use by a running listener: {', '.join(held)}." if held else "Nothing needs to be restored in Port."
    return CheckResult(check="retargets", state=CheckState.OK, message=in_use, details=details)


def _entry_name(kept: Kept) -> str:
    return kept.entry.name if kept.entry else f"{kept.path} ({kept.fault})"


def check_versions() -> CheckResult:
    """Return the result with the versions of port-hook, Python and port-hook's dependencies."""
    versions = {package: installed_version(package) for package in _PACKAGES}
    missing = [package for package, version in versions.items() if version is None]
    sqlite = sqlite3.sqlite_version
    about = {"port_hook": __version__, "python": platform.python_version(), "platform": platform.platform(terse=True)}
    details = {**about, "sqlite": sqlite, **versions}
    problem, step = "", ""
    if missing:
        problem, step = f" Missing: {', '.join(missing)}.", install_hint(*missing)
    try:
        require_sqlite(sqlite3.sqlite_version_info)
    except StoreError as too_old:
        problem, step = f" {too_old.message}", too_old.hint
    shown = ", ".join(f"{package} {versions[package]}" for package in ("aiohttp", "jq") if versions[package])
    return CheckResult(
        check="versions",
        state=CheckState.PROBLEM if problem else CheckState.OK,
        message=f"port-hook {__version__}, Python {about['python']}, SQLite {sqlite}, {shown}.{problem}",
        next_step=step,
        details=details,
    )


def check_extras() -> list[CheckResult]:
    """Return one result for each extra of port-hook."""
    return [check_extra(extra, package) for extra, (package, _) in optional_packages().items()]


def check_extra(extra: str, package: str) -> CheckResult:
    """Return the result for an extra: whether its package is installed, and otherwise the command that installs it."""
    version = installed_version(package)
    return CheckResult(
        check="extra",
        subject=extra,
        state=CheckState.SKIPPED if version is None else CheckState.OK,
        message="Not installed." if version is None else f"{package} {version} is installed.",
        next_step="" if version else install_hint(package),
        details={"package": package, "version": version},
    )


def installed_version(package: str) -> str | None:
    """Return the version of an installed package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
