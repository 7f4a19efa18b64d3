"""The check of the tunnels: which provider is usable on this machine, and why the others are not."""

from __future__ import annotations

from collections.abc import Iterator

from port_hook_cli.doctor.check import CheckResult, CheckState
from port_hook_cli.runtime import Runtime
from port_hook_cli.tunnels.automatic import check_provider
from port_hook_cli.tunnels.protocol import NotUsable, Usable
from port_hook_cli.tunnels.registry import PROVIDERS, Provider


def check_tunnels(runtime: Runtime) -> list[CheckResult]:
    """Return one result for `--tunnel auto` and one for each provider. Nothing is opened or downloaded."""
    found = {
        provider: check_provider(provider.auto, runtime.environ, runtime.home, can_ask=True)
        for provider in PROVIDERS
        if provider.auto
    }
    usable = [provider for provider, state in found.items() if isinstance(state, Usable)]
    return [_automatic(usable), *_each(found)]


def _automatic(usable: list[Provider]) -> CheckResult:
    if not usable:
        return CheckResult(
            check="tunnel",
            subject="auto",
            state=CheckState.WARNING,
            message="No tunnel opens by itself, so Port cannot call a listener on this machine.",
            next_step="Set up one of the tunnels below, or use `listen --tunnel smee` or --public-url.",
            details={"provider": None},
        )
    first = usable[0]
    return CheckResult(
        check="tunnel",
        subject="auto",
        state=CheckState.OK,
        message=f"`listen` opens a tunnel with {_value(first)} by default.",
        details={"provider": first.name},
    )


def _each(found: dict[Provider, Usable | NotUsable]) -> Iterator[CheckResult]:
    for provider in PROVIDERS:
        state = found.get(provider)
        if isinstance(state, NotUsable):
            yield _unusable(provider, state)
        else:
            yield _usable(provider, state)


def _usable(provider: Provider, state: Usable | None) -> CheckResult:
    reason = state.reason if state else f"it needs {provider.needs}; choose it with --tunnel {provider.name}"
    asks = "; it asks before it opens the first tunnel" if state and state.question else ""
    return CheckResult(
        check="tunnel",
        subject=provider.name,
        state=CheckState.OK,
        message=f"Usable: {reason}{asks}.",
        details={"provider": provider.name, "usable": True},
    )


def _unusable(provider: Provider, state: NotUsable) -> CheckResult:
    setup = state.setup or (provider.auto.setup if provider.auto else "")
    return CheckResult(
        check="tunnel",
        subject=provider.name,
        state=CheckState.SKIPPED,
        message=f"Not usable: {state.reason}.",
        next_step=f"If you want it, {setup}.",
        details={"provider": provider.name, "usable": False},
    )


def _value(provider: Provider) -> str:
    return (provider.auto.address if provider.auto else None) or provider.name
