"""Inspectors over real sockets, over a store or beside a listener, and a client with their token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.inspector.opening import OpenInspector
from port_hook_cli.inspector.session import InspectorObserver, InspectorOptions, inspecting_listener, inspecting_store
from port_hook_cli.invocations.models import Capture
from port_hook_cli.invocations.routes import Routes
from port_hook_cli.listener.observers import Observer, Observers
from port_hook_cli.listener.policy import Policy
from port_hook_cli.listener.serving import ListenPlan, Serving, served
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.runtime import Runtime
from tests.factories import SECRET
from tests.servers import NO_TLS

WITH_CHANGE = {"x-port-hook": "1"}


@dataclass(frozen=True)
class InspectorClient:
    """A client that has the token, the inspector, and the listener beside it."""

    http: httpx.AsyncClient
    opened: OpenInspector
    serving: Serving | None = None

    async def get(self, address: str, **parameters: Any) -> dict[str, Any]:
        """Return the JSON of a 200 response."""
        response = await self.http.get(address, params=parameters or None)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    async def post(self, path: str, body: Any = None, *, expect: int = 200) -> dict[str, Any]:
        response = await self.http.post(path, json={} if body is None else body, headers=WITH_CHANGE)
        assert response.status_code == expect, response.text
        found: dict[str, Any] = response.json()
        return found

    @asynccontextmanager
    async def events(self, *, headers: dict[str, str] | None = None, **parameters: Any) -> AsyncIterator[Events]:
        async with self.http.stream("GET", "/api/events", params=parameters, headers=headers) as response:
            assert response.status_code == 200
            events = Events(response.aiter_lines())  # referenced here: collecting its iterator would close the stream
            yield events


class Events:
    """The server-sent events of a stream."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.last_id = ""

    async def next(self, name: str, within_s: float = 30) -> Any:
        """Return the data of the next event with this name."""
        async with asyncio.timeout(within_s):
            while True:
                found, data = await self.any()
                if found == name:
                    return data

    async def any(self) -> tuple[str, Any]:
        """Return name and data of the next event."""
        fields: dict[str, str] = {}
        async for line in self._lines:
            if not line and "event" in fields:
                self.last_id = fields["id"]
                return fields["event"], json.loads(fields["data"])
            name, _, value = line.partition(": ")
            fields[name] = value
        raise AssertionError("the stream has ended")


def keep(store: Path, captures: Sequence[Capture]) -> None:
    """Add captures to a store. Create it if it is missing."""
    with open_store(store, store.parent, create=True) as opened:
        opened.add(captures)


@asynccontextmanager
async def a_client(opened: OpenInspector, serving: Serving | None = None) -> AsyncIterator[InspectorClient]:
    url = f"http://127.0.0.1:{opened.port}"
    headers = {"authorization": f"Bearer {opened.address.token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30, verify=NO_TLS) as http:
        yield InspectorClient(http, opened, serving)


@asynccontextmanager
async def over_store(runtime: Runtime, store: Path, **options: Any) -> AsyncIterator[InspectorClient]:
    """Open an inspector over a store."""
    wanted = InspectorOptions(**{"secret": SECRET, "access": PortAccess.known(Settings(), runtime), **options})
    async with inspecting_store(wanted, runtime, store) as opened, a_client(opened) as client:
        yield client


@asynccontextmanager
async def beside_listener(
    runtime: Runtime,
    store: Path,
    *,
    forward_to: str | None = None,
    mount: str = "/",
    observers: Sequence[Observer] = (),
    **options: Any,
) -> AsyncIterator[InspectorClient]:
    """Open a listener with an inspector."""
    secret = options.get("secret", SECRET)
    plan = ListenPlan(policy=Policy(secret=secret, routes=Routes(default=forward_to, mount=mount)), port=0, store=store)
    observer = InspectorObserver()
    wanted = InspectorOptions(**{"secret": secret, "access": PortAccess.known(Settings(), runtime), **options})
    async with served(plan, runtime, Observers([observer, *observers])) as serving:
        serving.accept()
        urls = lambda: (serving.url, None)  # noqa: E731
        async with (
            inspecting_listener(
                wanted, runtime, store, serving.context, observer, urls, serving.flow.holding
            ) as opened,
            a_client(opened, serving) as client,
        ):
            yield client
