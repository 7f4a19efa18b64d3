"""Checks whether the handler accepts connections over IPv4 and IPv6."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from port_hook_cli.doctor.check import CheckResult, CheckState
from port_hook_cli.invocations.targets import http_url, is_loopback
from port_hook_cli.listener.handler_check import connection_problem, handler_address

_LOOPBACK = {"IPv4": "127.0.0.1", "IPv6": "::1"}
_FAMILIES = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}


async def check_handler(target: str | None, *, is_chosen: bool, has_store: bool = True) -> CheckResult:
    """Return the result for the handler: whether a program accepts connections at the URL `target`.

    The check doesn't send a request. For a target on this machine, it tries both protocols, even if the target has an
    IP address, because handlers often listen on the other protocol by mistake. `is_chosen` means that the user passed
    the target. `has_store` set to False means that no `listen` has run yet.
    """
    if target is None:
        last = "the last `listen` with this store did not forward to this machine"
        reason = last if has_store else "no `listen` has run with this store yet"
        return CheckResult(
            check="handler",
            state=CheckState.SKIPPED,
            message=f"No handler is known: {reason}.",
            next_step="To check a handler, pass --to.",
        )
    host, port = handler_address(target)
    try:
        addresses = await _addresses(host, port)
    except (OSError, UnicodeError):
        return _failed(target, {}, "the host name cannot be resolved", is_chosen=is_chosen)
    reasons = await asyncio.gather(*(connection_problem(address, port) for address in addresses.values()))
    problems = dict(zip(addresses, reasons, strict=True))
    used = _used(host)
    if any(not problems[family] for family in problems if family in used):
        return _reached(target, problems)
    others = [addresses[family] for family in problems if family not in used and not problems[family]]
    return _failed(target, problems, _listed(problems), is_chosen=is_chosen, other=others[0] if others else "")


async def _addresses(host: str, port: int) -> Mapping[str, str]:
    """Return one address of `host` for each protocol. Raises OSError or UnicodeError if the name cannot be resolved."""
    if is_loopback(host):
        own = {_family(host): host} if host != "localhost" else {}
        return {**_LOOPBACK, **own}
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return {_FAMILIES[info[0]]: str(info[4][0]) for info in reversed(found) if info[0] in _FAMILIES}


def _used(host: str) -> frozenset[str]:
    """Return the protocols that requests for `host` can use. A host name can use both."""
    try:
        return frozenset({_family(host)})
    except ValueError:
        return frozenset(_FAMILIES.values())


def _family(host: str) -> str:
    return f"IPv{ip_address(host).version}"


def _reached(target: str, problems: Mapping[str, str]) -> CheckResult:
    over = " and ".join(family for family, problem in problems.items() if not problem)
    return CheckResult(
        check="handler",
        state=CheckState.OK,
        message=f"{_origin(target)} accepts connections over {over}.",
        details=_details(target, problems),
    )


def _failed(target: str, problems: Mapping[str, str], reason: str, *, is_chosen: bool, other: str = "") -> CheckResult:
    if other:
        url = http_url(other, handler_address(target)[1])
        step = f"A program listens on {other} at this port. Forward to {url}."
    else:
        step = "Start your handler, or choose another handler with --forward-to."
    return CheckResult(
        check="handler",
        state=CheckState.PROBLEM if is_chosen or other else CheckState.WARNING,
        message=f"{_origin(target)} does not accept connections: {reason}.",
        next_step=step,
        details=_details(target, problems),
    )


def _listed(problems: Mapping[str, str]) -> str:
    families = {reason: [name for name, each in problems.items() if each == reason] for reason in problems.values()}
    return ", ".join(f"{reason or 'accepted'} over {' and '.join(names)}" for reason, names in families.items())


def _origin(target: str) -> str:
    parts = urlsplit(target)
    return f"{parts.scheme}://{parts.netloc}"


def _details(target: str, problems: Mapping[str, str]) -> dict[str, object]:
    accepts = {family.lower(): not problem for family, problem in problems.items()}
    return {"target": target, "ipv4": accepts.get("ipv4"), "ipv6": accepts.get("ipv6")}
