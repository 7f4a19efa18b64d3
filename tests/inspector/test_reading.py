"""Reading captures for the page: a slow read doesn't block the visible parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.captures.browsing.query import CaptureQuery
from port_hook_cli.inspector.reading import CaptureReader
from tests.factories import NOW, a_body, a_capture, an_invocation
from tests.inspectors import keep


@asynccontextmanager
async def a_reader(folder: Path, count: int = 1) -> AsyncIterator[CaptureReader]:
    """Open a reader that takes turns after each 500 captures."""
    store = folder / "captures.db"
    keep(store, [a_capture(an_invocation(a_body(), id=f"{number:012x}")) for number in range(count)])
    reader = CaptureReader(store, step_s=0)
    await reader.open()
    try:
        await reader.catch_up()
        yield reader
    finally:
        await reader.close()


async def test_page_of_rows_waits_for_one_count_at_most(tmp_path: Path) -> None:
    query, done = CaptureQuery(), list[str]()

    async def noted(name: str, reading: Any) -> None:
        await reading
        done.append(name)

    async with a_reader(tmp_path) as reader:
        await asyncio.gather(
            noted("spans", reader.spans(query)),
            noted("histogram", reader.histogram(query, now=NOW, buckets=5)),
            noted("page", reader.page(query, latest=None, limit=10)),
        )
    assert done.index("page") <= 1
    assert done.index("spans") < done.index("histogram")


async def test_page_of_rows_does_not_wait_for_a_search_to_end(tmp_path: Path) -> None:
    async with a_reader(tmp_path, 2_100) as reader:
        search = asyncio.create_task(reader.spans(CaptureQuery(text="create_vm")))
        for _ in range(3):
            assert len((await reader.page(CaptureQuery(), latest=None, limit=10)).rows) == 10
        assert not search.done()
        assert (await search)["count"] == 2_100


async def test_cancelled_search_ends_after_its_step(tmp_path: Path) -> None:
    async with a_reader(tmp_path, 2_100) as reader:
        search = asyncio.create_task(reader.spans(CaptureQuery(text="create_vm")))
        await reader.latest()
        search.cancel()
        with pytest.raises(asyncio.CancelledError):
            await search
        assert (await reader.spans(CaptureQuery(text="create_vm")))["count"] == 2_100
