from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.sandbox import Sandbox
from tests.factories import RUN_ID
from tests.sandbox.action_runs import Steps
from tests.sandbox_clients import a_client
from tests.sandboxes import sandbox_with
from tests.servers import Handler, handler


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with sandbox_with(runs=[RUN_ID]) as running:
        yield running


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with a_client(sandbox) as client:
        yield client


@pytest.fixture
def steps() -> Steps:
    return Steps()


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    with Renderer() as made:
        yield made


@pytest.fixture
def webhook() -> Iterator[Handler]:
    with handler() as it:
        yield it
