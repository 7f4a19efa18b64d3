from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import pytest

from port_hook_cli.runs.seen_calls import CALLS, MAX_CALLS, SeenCall
from port_hook_cli.runs.updates import REQUEST_LIMIT
from port_hook_cli.sandbox import ApiEvent, CallRate, Sandbox
from port_hook_cli.sandbox.call_log import CallIntent, CallLog
from tests.factories import NOW, RUN_ID
from tests.sandbox_clients import a_client, rejection
from tests.sandboxes import sandbox_with

RUN = f"/v1/actions/runs/{RUN_ID}"
UNKNOWN = "r_" + "0" * 16
NODE_RUN = "wfnr_abc123"
NODE = f"/v1/workflows/nodes/runs/{NODE_RUN}"
ENTITIES = "/v1/blueprints/vm/entities"


async def listed(client: httpx.AsyncClient, query: str = "") -> list[dict[str, Any]]:
    """Return the calls of the log without the call for the token."""
    document = (await client.get(f"{CALLS}{query}")).json()
    return [call for call in document["calls"] if not call["path"].endswith("/access_token")]


async def test_log_has_each_call_with_its_run_and_status() -> None:
    ticks = count(NOW * 1000)
    async with (
        sandbox_with(now=lambda: next(ticks) / 1000 + 0.0004, runs=[RUN_ID]) as sandbox,
        a_client(sandbox) as client,
    ):
        await client.get(f"{RUN}?version=v2")
        await client.patch(RUN.removeprefix("/v1"), json={"status": "SUCCESS"})
        document = (await client.get(CALLS)).json()
    token, read, ended = document["calls"]
    assert (document["ok"], document["last"]) == (True, 3)
    shown = [token["number"], token["method"], token["path"], token["status"], token["run_id"]]
    assert shown == [1, "POST", "/v1/auth/access_token", 200, None]
    assert {**read, "at": 0} == {
        "number": 2,
        "at": 0,
        "method": "GET",
        "path": RUN,
        "status": 200,
        "run_id": RUN_ID,
        "ends": "",
        "result": "",
    }
    assert (ended["path"], ended["ends"]) == (RUN.removeprefix("/v1"), "SUCCESS")
    assert NOW < token["at"] < read["at"] < ended["at"]
    assert all(call["at"] == round(call["at"], 3) for call in document["calls"])


async def test_log_shows_whether_a_call_asks_to_end_its_run(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    cases: list[tuple[str, str, Any, int, str, str]] = [
        ("PATCH", RUN, {"status": "FAILURE"}, 200, "FAILURE", ""),
        ("PATCH", f"/v1{RUN}", {"status": "FAILURE"}, 200, "FAILURE", ""),
        ("PATCH", RUN, {"statusLabel": "SUCCESS"}, 200, "", ""),
        ("PATCH", RUN, {"status": "SUCCESS", "unknown": 1}, 422, "SUCCESS", ""),
        ("PATCH", RUN, {"status": "COMPLETED"}, 422, "COMPLETED", ""),
        ("PATCH", RUN, {"status": "IN_PROGRESS"}, 422, "", ""),
        ("PATCH", RUN, {"status": ["SUCCESS"]}, 422, "", ""),
        ("PATCH", RUN, ["SUCCESS"], 422, "", ""),
        ("PUT", RUN, {"status": "SUCCESS"}, 404, "", ""),
        ("POST", f"{RUN}/logs", {"message": "x"}, 201, "", ""),
        ("POST", f"{RUN}/logs", {"message": "x", "terminationStatus": "SUCCESS"}, 201, "SUCCESS", ""),
        ("PATCH", NODE, {"status": "COMPLETED", "result": "FAILED"}, 200, "COMPLETED", "FAILED"),
        ("PATCH", NODE, {"status": "IN_PROGRESS"}, 200, "", ""),
        ("PATCH", NODE, {"status": "COMPLETED", "result": "x" * 99}, 422, "COMPLETED", "x" * 40),
        ("PATCH", f"/v1/workflows/runs/wfr_1/nodes/{NODE_RUN}", {"status": "COMPLETED"}, 200, "COMPLETED", ""),
    ]
    client.event_hooks = {}  # Port's document does not have some of these responses
    for method, path, body, status, ends, result in cases:
        await sandbox.reset()
        await client.request(method, path, json=body)
        (call,) = await listed(client)
        assert (call["status"], call["ends"], call["result"]) == (status, ends, result)
        assert call["run_id"] == (NODE_RUN if NODE_RUN in path else RUN_ID)


async def test_call_with_an_unreadable_body_is_logged_for_its_run(client: httpx.AsyncClient) -> None:
    for content in (b"{", b"\xff", b"[" * 100_000, b" " * (REQUEST_LIMIT + 1)):
        response = await client.patch(RUN, content=content)
        call = (await listed(client))[-1]
        assert (call["status"], call["run_id"], call["ends"]) == (response.status_code, RUN_ID, "")
        assert response.status_code in {413, 422}


async def test_call_without_a_token_is_logged_for_its_run(client: httpx.AsyncClient) -> None:
    await client.patch(RUN, json={"status": "SUCCESS"}, headers={"authorization": ""})
    (call,) = await listed(client)
    assert (call["status"], call["run_id"], call["ends"]) == (401, RUN_ID, "SUCCESS")


async def test_run_of_a_rejected_call_is_found_by_its_id_or_external_id() -> None:
    async with sandbox_with(strict_runs=True, runs=[RUN_ID]) as sandbox, a_client(sandbox) as client:
        await client.patch(RUN, json={"externalRunId": "gh/7", "status": "SUCCESS"})
        for run_id, found in ((RUN_ID, RUN_ID), ("gh/7", RUN_ID), (UNKNOWN, UNKNOWN), ("of-nobody", None)):
            path = f"/v1/actions/runs/{run_id.replace('/', '%2F')}"
            in_path = await client.patch(path, json={"summary": "late"})
            in_query = await client.post(ENTITIES, params={"run_id": run_id}, json={"identifier": "a"})
            assert 400 <= min(in_path.status_code, in_query.status_code) < 500
            assert [call["run_id"] for call in (await listed(client))[-2:]] == [found, found]


async def test_calls_are_listed_after_a_number_up_to_a_limit(client: httpx.AsyncClient) -> None:
    for _ in range(4):
        await client.get(RUN)
    document = (await client.get(f"{CALLS}?after=2&limit=2")).json()
    assert ([call["number"] for call in document["calls"]], document["last"]) == ([3, 4], 5)
    assert (await client.get(f"{CALLS}?after=5")).json()["calls"] == []
    assert (await client.get(f"{CALLS}?after=99")).json()["calls"] == []


async def test_invalid_query_of_the_log_is_rejected(client: httpx.AsyncClient) -> None:
    for query in ("after=-1", "after=x", "after=", "after=1.5", "after=" + "9" * 99, "limit=1001"):
        assert (await rejection(client.get(f"{CALLS}?{query}")))[:2] == (422, "invalid_request")


async def test_reading_the_log_is_neither_printed_nor_logged_nor_limited() -> None:
    for spelled in (CALLS, f"/v1{CALLS}"):
        events: list[ApiEvent] = []
        limited = sandbox_with(on_event=events.append, call_rate=CallRate(2), runs=[RUN_ID])
        async with limited as sandbox, a_client(sandbox) as client:
            for _ in range(4):
                assert (await client.get(spelled)).status_code == 200
            assert (await client.get(RUN)).status_code == 200
            assert (await client.get(RUN)).status_code == 429
            assert [call["status"] for call in await listed(client)] == [200, 429]
        assert [event.path for event in events] == ["/v1/auth/access_token", RUN, RUN]


async def test_calls_of_the_sandboxs_own_routes_are_not_logged(client: httpx.AsyncClient) -> None:
    delivery = {"runId": UNKNOWN, "action": "scale", "properties": {}}
    assert (await client.post("/v1/sandbox/deliveries", json=delivery)).status_code == 201
    assert (await client.post("/sandbox/deliveries", json={})).status_code == 422
    assert await listed(client) == []


async def test_reset_clears_the_calls_and_their_numbers_go_on(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    await client.get(RUN)
    await sandbox.reset()
    assert (await client.get(CALLS)).json() == {"ok": True, "calls": [], "last": 2}
    await client.get(RUN)
    assert [call["number"] for call in await listed(client)] == [3]


async def test_path_in_the_log_is_short_printable_and_without_secrets() -> None:
    async with sandbox_with(secrets={"TOKEN": "hidden-value"}) as sandbox, a_client(sandbox) as client:
        for path in ("/v1/users/hidden-value", "/v1/users/" + "x" * 3000):
            await client.get(path)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(sandbox.url.rpartition(":")[2]))
        writer.write("GET /v1/users/ü HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
        await reader.read()
        writer.close()
        await writer.wait_closed()
        masked, long, *others = [call["path"] for call in await listed(client)]
    assert masked == "/v1/users/***"
    assert len(long) == 500
    assert all(path.isascii() and path.isprintable() for path in others)


def test_call_log_has_the_latest_calls() -> None:
    log = CallLog()
    for number in range(MAX_CALLS + 3):
        log.add(CallIntent(), at=NOW, method="GET", path=f"/{number}", status=200, run_id=None)
    assert log.last == MAX_CALLS + 3
    assert [call.number for call in log.after(0)] == list(range(4, MAX_CALLS + 4))
    assert [call.path for call in log.after(MAX_CALLS, 2)] == [f"/{MAX_CALLS}", f"/{MAX_CALLS + 1}"]
    log.clear()
    assert log.after(0) == []


def not_calls() -> Iterator[Any]:
    right = SeenCall(number=1, at=NOW, method="GET", path="/", status=200).document
    yield from ([], None, "x", 1, {})
    for name in right:
        yield {key: value for key, value in right.items() if key != name}
    for name in ("number", "at", "status"):
        yield right | {name: None}
        yield right | {name: "x"}


def test_read_returns_the_call_in_a_document_and_rejects_others() -> None:
    call = SeenCall(number=7, at=NOW, method="PATCH", path=RUN, status=422, run_id=RUN_ID, ends="SUCCESS")
    assert SeenCall.read(call.document) == call
    for document in not_calls():
        with pytest.raises(ValueError, match=r"."):
            SeenCall.read(document)
