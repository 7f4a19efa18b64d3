"""Runs that the sandbox creates because it does not know their IDs."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from port_hook_cli.sandbox import ApiEvent, Sandbox
from tests.sandbox_clients import a_client, rejection
from tests.sandboxes import sandbox_with

UNKNOWN = "r_" + "0" * 16
RUN = f"/v1/actions/runs/{UNKNOWN}"
DELIVERIES = "/v1/sandbox/deliveries"
DELIVERY: dict[str, Any] = {
    "runId": UNKNOWN,
    "action": "scale",
    "blueprint": "vm",
    "entity": "dev",
    "properties": {"cpu": 4},
}


async def test_report_creates_an_unknown_run_and_a_read_does_not(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    node_run = "/v1/workflows/nodes/runs/wfnr_0000000000000001"
    for path in (RUN, f"{RUN}/logs", f"{RUN}/approvers", node_run, f"{node_run}/logs"):
        assert (await rejection(client.get(path)))[:2] == (404, "not_found")
    assert UNKNOWN not in sandbox.runs
    run = (await client.patch(RUN, json={})).json()["run"]
    assert (run["status"], run["action"]["identifier"], run["properties"]) == ("IN_PROGRESS", "unknown", {})
    assert run["madeUp"] is True
    assert UNKNOWN in sandbox.runs


@pytest.mark.parametrize("reported_first", [True, False])
async def test_delivery_gives_the_run_its_action_and_inputs(client: httpx.AsyncClient, reported_first: bool) -> None:
    if reported_first:
        await client.patch(RUN, json={"summary": "working"})
    told = await client.post(DELIVERIES, json=DELIVERY)
    assert told.status_code == (200 if reported_first else 201)
    run = (await client.get(RUN)).json()["run"]
    assert (run["madeUp"], run["action"]["identifier"], run["properties"]) == (True, "scale", {"cpu": 4})
    assert (run["blueprint"]["identifier"], run["entity"]["identifier"]) == ("vm", "dev")
    assert run.get("summary") == ("working" if reported_first else None)


async def test_delivery_note_shows_whether_its_run_was_created_or_updated() -> None:
    events: list[ApiEvent] = []
    async with sandbox_with(on_event=events.append) as sandbox, a_client(sandbox) as client:
        for _ in range(2):
            await client.post(DELIVERIES, json=DELIVERY)
    notes = [event.note for event in events if event.path == DELIVERIES]
    assert notes == [f"created {UNKNOWN} of scale", f"updated {UNKNOWN} of scale"]


async def test_note_of_a_node_run_log_counts_its_entries() -> None:
    cases: list[tuple[int, str]] = [(1, "1 log entry"), (2, "2 log entries")]
    for count, shown in cases:
        events: list[ApiEvent] = []
        logs = [{"level": "INFO", "message": "deploying"}] * count
        async with sandbox_with(on_event=events.append) as sandbox, a_client(sandbox) as client:
            added = await client.post("/v1/workflows/nodes/runs/wfnr_0000000000000001/logs", json={"logs": logs})
        assert [log["message"] for log in added.json()["logs"]] == ["deploying"] * count
        assert events[-1].note.startswith(f"{shown};")


async def test_delivery_does_not_change_a_run_of_the_sandbox() -> None:
    async with sandbox_with(runs=[UNKNOWN]) as sandbox, a_client(sandbox) as client:
        before = (await client.get(RUN)).json()["run"]
        assert (await client.post(DELIVERIES, json=DELIVERY)).json()["run"] == before
        assert "madeUp" not in before


async def test_invalid_delivery_is_rejected(client: httpx.AsyncClient) -> None:
    cases: list[dict[str, Any]] = [{"runId": "x"}, {"runId": 1}, {"action": None}, {"properties": []}, {"x": 1}]
    for change in cases:
        assert (await rejection(client.post(DELIVERIES, json=DELIVERY | change)))[:2] == (422, "invalid_request")
