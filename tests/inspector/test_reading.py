"""Reading captures for the page: what takes long does not hold up what is looked at."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from port_hook_cli.captures.query import CaptureQuery
from port_hook_cli.inspector.reading import CaptureReader
from tests.factories import NOW, a_body, an_exchange, an_invocation
from tests.inspectors import keep


async def test_page_of_rows_waits_for_one_slow_read_at_most(tmp_path: Path) -> None:
    store = tmp_path / "captures.db"
    keep(store, [an_exchange(an_invocation(a_body()))])
    reader, query = CaptureReader(store), CaptureQuery()
    done: list[str] = []

    async def noted(name: str, reading: Any) -> None:
        await reading
        done.append(name)

    await reader.open()
    try:
        await reader.catch_up()
        await asyncio.gather(
            noted("spans", reader.spans(query)),
            noted("histogram", reader.histogram(query, now=NOW, buckets=5)),
            noted("state", reader.state()),
            noted("page", reader.page(query, newest=None, limit=10)),
        )
    finally:
        await reader.close()
    assert done.index("page") <= 1
    assert done.index("spans") < done.index("histogram") < done.index("state")
