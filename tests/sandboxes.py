"""A sandbox with a few options, and a sandbox in a thread for synchronous tests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from port_hook_cli.sandbox import ApiRules, EventHandlers, InitialData, Sandbox, Sending
from tests.plain_invoker import PlainInvoker
from tests.servers import in_thread

_GROUPS: dict[str, Any] = {
    "initial": InitialData(),
    "rules": ApiRules(),
    "sending": Sending(),
    "handlers": EventHandlers(),
}


def sandbox_with(**options: Any) -> AbstractAsyncContextManager[Sandbox]:
    """Return a sandbox to start. `options` are options of `Sandbox.start`, or fields of their groups."""
    groups: dict[str, Any] = {}
    for name, default in _GROUPS.items():
        of_group = {each.name for each in fields(default)} & options.keys()
        given: Any = options.pop(name, default)
        groups[name] = replace(given, **{field: options.pop(field) for field in of_group})
    return Sandbox.start(groups.pop("initial"), **groups, **options)


@contextmanager
def a_sandbox(**options: Any) -> Iterator[Sandbox]:
    """Serve a sandbox until the end of the block. `options` are options of `sandbox_with`."""
    started: list[Sandbox] = []

    async def start() -> Callable[[], Awaitable[None]]:
        stack = AsyncExitStack()
        serving = sandbox_with(**{"invoker": PlainInvoker(), **options})
        started.append(await stack.enter_async_context(serving))
        return stack.aclose

    with in_thread(start):
        yield started[0]


def saved_state(folder: Path) -> bytes:
    """Return all bytes of the state file in `folder`."""
    return b"".join(file.read_bytes() for file in folder.glob("state.db*"))


def environ_of(sandbox: Sandbox) -> dict[str, str]:
    """Return the environment with which port-hook uses `sandbox`."""
    return {
        "PORT_CLIENT_ID": sandbox.client_id,
        "PORT_CLIENT_SECRET": sandbox.client_secret.reveal(),
        "PORT_API_URL": sandbox.url,
    }


def a_sequence(
    *nodes: Mapping[str, Any], identifier: str = "one", trigger: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return a workflow whose nodes follow one another after its trigger `start`."""
    names = ["start", *(node["identifier"] for node in nodes)]
    return {
        "identifier": identifier,
        "nodes": [{"identifier": "start", "config": trigger or {"type": "SELF_SERVE_TRIGGER"}}, *nodes],
        "connections": [{"sourceIdentifier": source, "targetIdentifier": target} for source, target in pairwise(names)],
    }


def a_webhook(name: str, url: str = "http://127.0.0.1:1/", **config: Any) -> dict[str, Any]:
    """Return a WEBHOOK node."""
    return {"identifier": name, "config": {"type": "WEBHOOK", "url": url, **config}}


def one_node(**config: Any) -> dict[str, Any]:
    """Return a workflow with one node `do` of this config."""
    return a_sequence({"identifier": "do", "config": config})
