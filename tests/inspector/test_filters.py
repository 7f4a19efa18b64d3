"""The filters of the API, and the accepted names of a capture."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.captures.store.finder import CaptureUse, Finder
from port_hook_cli.errors import PortHookError
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Delivery, Response
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.remark import say_nothing
from tests.factories import NOW, RUN_ID, a_capture, a_document, an_invocation
from tests.inspectors import keep, over_store

MakeRuntime = Callable[..., Runtime]
NODE = {"context": {"nodeRunId": "wfnr_1"}, "workflow": "deploy", "node": "notify"}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "captures.db"


def captured(capture_id: str, document: Any, at: int, *, status: int = 202, **fields: Any) -> Any:
    body = json.dumps(document).encode()
    invocation = an_invocation(body, id=capture_id, received_at=NOW + at, **fields)
    return a_capture(
        invocation,
        payload=read_payload(body, invocation.headers),
        delivery=Delivery(url="http://127.0.0.1:1/", status=status, latency_ms=at * 100, headers=Headers()),
        response=Response(status=status),
    )


FOUND = (
    captured("aa00", a_document(context={"runId": RUN_ID, "entity": "vm-1"}), 1),
    captured("bb00", NODE, 2, status=502),
    captured("cc00", a_document(), 3),
    captured("dd00", a_document(), 4, status=401, replay_of="cc00"),
)
USER = FOUND[0].payload.user


FILTERS: tuple[tuple[dict[str, Any], list[str]], ...] = (
    ({"user": USER}, ["dd00", "cc00", "aa00"]),
    ({"entity": "vm-1"}, ["aa00"]),
    ({"workflow": "deploy"}, ["bb00"]),
    ({"node": "notify"}, ["bb00"]),
    ({"response": "502"}, ["bb00"]),
    ({"handler": "401"}, ["dd00"]),
    ({"latency": "200"}, ["dd00", "cc00"]),
    ({"latency": "200", "user": USER, "response": "202"}, ["cc00"]),
)
WRONG = ("response=9", "response=1000", "handler=x", "latency=-1", "latency=nan", "latency=x")


async def test_rows_numbers_counts_and_events_agree_on_a_filter(runtime: MakeRuntime, store: Path) -> None:
    keep(store, FOUND)
    async with over_store(runtime(), store) as client:
        for filters, expected in FILTERS:
            rows = (await client.get("/api/captures", **filters))["captures"]
            assert [row["id"] for row in rows] == expected
            spans = (await client.get("/api/spans", **filters))["spans"]
            assert [seq for high, low in spans for seq in range(high, low - 1, -1)] == [row["seq"] for row in rows]
            histogram = await client.get("/api/histogram", buckets=3, **filters)
            assert sum(total for total, _ in histogram["buckets"]) == len(expected)
            assert histogram["rejected"] == [0, 0, 0]
            async with client.events(after=0, **filters) as events:
                added = (await events.next("captures"))["added"]
            assert [row["id"] for row in added] == expected[::-1]
        for wrong in WRONG:
            response = await client.http.get(f"/api/spans?{wrong}")
            assert response.status_code == 400, wrong
            assert set(response.json()) >= {"error", "hint"}


async def test_page_is_told_when_an_outcome_makes_a_capture_match_a_latency(runtime: MakeRuntime, store: Path) -> None:
    unfinished = replace(FOUND[2], delivery=None, response=None)
    with open_store(store, store.parent, create=True) as writing:
        writing.add([unfinished])
        async with over_store(runtime(), store) as client, client.events(latency=200) as events:
            await events.next("session")
            writing.complete([FOUND[2]])
            await events.next("reset")
            assert [row["id"] for row in (await client.get("/api/captures", latency=200))["captures"]] == ["cc00"]


NAMES = (
    "last",
    "last~1",
    "last~99",
    "last-replay",
    "last-replay~3",
    RUN_ID,
    "wfnr_1",
    "r_ZZZZZZZZZZZZZZZZ",
    "zzzz",
    "bb",
)


def meant(finder: Finder, name: str) -> str | tuple[str, str]:
    """Return the capture that a command finds, or its error."""
    try:
        return finder.find(name).shown
    except PortHookError as error:
        return error.message, error.hint


async def test_names_mean_the_same_as_in_the_commands(runtime: MakeRuntime, store: Path) -> None:
    keep(store, FOUND)
    finder = Finder(store, runtime(), CaptureUse.SHOW, say_nothing, reads_files=False)
    try:
        async with over_store(runtime(), store) as client:
            for name in NAMES:
                response = await client.http.get(f"/api/captures/{name}")
                said = response.json()
                shown = said["row"]["id"] if response.status_code == 200 else (said["error"], said["hint"])
                assert shown == meant(finder, name), name
    finally:
        finder.close()


async def test_error_about_an_empty_store_is_the_same_as_in_the_commands(runtime: MakeRuntime, store: Path) -> None:
    open_store(store, store.parent, create=True).close()
    async with over_store(runtime(), store) as client:
        for name in ("last", "zzzz", RUN_ID):
            response = await client.http.get(f"/api/captures/{name}")
            assert response.json()["error"] == f"{store} has no captures yet."


async def test_capture_has_the_hints_of_show(runtime: MakeRuntime, store: Path) -> None:
    keep(store, FOUND)
    async with over_store(runtime(), store) as client:
        hints = {row.invocation.id: (await client.get(f"/api/captures/{row.invocation.id}"))["hints"] for row in FOUND}
    assert hints["aa00"] == []
    assert hints["bb00"] == ["The handler failed. Check its log."]
    assert "`port-hook check dd00`" in hints["dd00"][0]


async def test_large_deeply_nested_body_is_listed(runtime: MakeRuntime, store: Path) -> None:
    keep(store, [a_capture(an_invocation(b"{" + b"[" * 300_000, id="ee00")), *FOUND])
    async with over_store(runtime(), store) as client:
        found = await client.get("/api/captures")
        assert "ee00" in [row["id"] for row in found["captures"]]


async def test_ids_of_an_untrusted_store_are_shown_without_hidden_characters(runtime: MakeRuntime, store: Path) -> None:
    keep(store, [a_capture(an_invocation(id=f"ff\u202e{number}")) for number in range(2)])
    async with over_store(runtime(), store) as client:
        response = await client.http.get("/api/captures/ff")
        assert (response.status_code, "\u202e" in response.json()["error"]) == (409, False)
