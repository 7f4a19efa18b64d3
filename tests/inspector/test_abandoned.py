"""A client that closes its connection ends its reads, but not its changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.captures.browsing.query import CaptureQuery
from port_hook_cli.errors import UsageError
from port_hook_cli.inspector.api import Inspector
from port_hook_cli.inspector.opening import OpenInspector, serving
from port_hook_cli.inspector.port_side import PortSide
from port_hook_cli.inspector.reading import CaptureReader
from port_hook_cli.inspector.setup import InspectorSetup
from port_hook_cli.inspector.triggering import Actions
from port_hook_cli.invocations.models import Capture, Invocation
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.replay.rewriting import SentReplay
from port_hook_cli.runtime import Runtime
from tests.factories import a_capture, an_invocation
from tests.inspectors import keep

MakeRuntime = Callable[..., Runtime]


class Endless:
    """Work that begins, and continues until it is released or canceled."""

    def __init__(self) -> None:
        self.begun, self.released, self.ended, self.canceled = (asyncio.Event() for _ in range(4))

    async def run(self) -> None:
        self.begun.set()
        try:
            await self.released.wait()
            self.ended.set()
        except asyncio.CancelledError:
            self.canceled.set()
            raise


class EndlessReader(CaptureReader):
    """Reads captures, but never finishes counting them."""

    def __init__(self, path: Path, work: Endless) -> None:
        super().__init__(path)
        self._work = work

    async def spans(self, query: CaptureQuery) -> dict[str, Any]:
        await self._work.run()
        return await super().spans(query)


class EndlessTarget:
    """A handler that responds when it is released."""

    def __init__(self, work: Endless) -> None:
        self._work = work
        self.takes_unsigned = False

    def default_url(self, capture: Capture) -> str | None:
        return "http://127.0.0.1:1/"

    async def send(self, request: Invocation, url: str) -> SentReplay:
        await self._work.run()
        raise UsageError("There is nothing to send to.")


@asynccontextmanager
async def an_inspector(runtime: Runtime, folder: Path, work: Endless) -> AsyncIterator[OpenInspector]:
    store = folder / "captures.db"
    keep(store, [a_capture(an_invocation(id="aa"))])
    captures = EndlessReader(store, work)
    await captures.open()
    try:
        await captures.catch_up()
        access = PortAccess.known(Settings(), runtime)
        setup = InspectorSetup(
            mode="store",
            store=store,
            runtime=runtime,
            target=EndlessTarget(work),
            access=access,
            port=PortSide(access, runtime),
            actions=Actions((), None, runtime),
        )
        async with serving(Inspector(setup, captures)) as opened:
            yield opened
    finally:
        await captures.close()


async def abandoned(opened: OpenInspector, method: str, path: str, work: Endless) -> None:
    """Ask for `path`, and close the connection when the work has begun."""
    _, writer = await asyncio.open_connection("127.0.0.1", opened.port)
    head = (
        f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{opened.port}\r\nauthorization: Bearer {opened.address.token}\r\n"
        "x-port-hook: 1\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n"
        '{"sign": false}'
    )
    writer.write(head.encode())
    async with asyncio.timeout(20):
        await work.begun.wait()
    writer.close()
    await writer.wait_closed()


async def test_reading_ends_when_its_client_disconnects(runtime: MakeRuntime, tmp_path: Path) -> None:
    work = Endless()
    async with an_inspector(runtime(), tmp_path, work) as opened:
        await abandoned(opened, "GET", "/api/spans", work)
        async with asyncio.timeout(20):
            await work.canceled.wait()


@pytest.mark.parametrize("is_released", [True, False])
async def test_replay_continues_without_its_client_until_the_inspector_ends(
    runtime: MakeRuntime, tmp_path: Path, is_released: bool
) -> None:
    work = Endless()
    async with an_inspector(runtime(), tmp_path, work) as opened:
        await abandoned(opened, "POST", "/api/captures/aa/replay", work)
        if is_released:
            work.released.set()
            async with asyncio.timeout(20):
                await work.ended.wait()
    assert work.canceled.is_set() is not is_released
