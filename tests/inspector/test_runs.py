"""What the inspector's API returns about runs, node reports, and runs of a workflow from one of its nodes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.inspector.run_records import action_run_record, graph, workflow_run_record
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Delivery
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.runtime import Runtime
from port_hook_cli.sandbox import Sandbox
from port_hook_cli.text.remark import say_nothing
from tests.factories import a_capture, an_invocation
from tests.inspectors import InspectorClient, beside_listener, keep, over_store
from tests.sandbox_clients import token_of
from tests.sandboxes import a_sandbox, a_sequence, a_webhook, environ_of, sandbox_with
from tests.servers import NO_TLS, Handler, handler

MakeRuntime = Callable[..., Runtime]
INPUTS = {"required": ["version"], "properties": {"version": {"type": "string"}}}


def flow(url: str, *, after: str = "tell") -> dict[str, Any]:
    """Return a workflow with a check, a condition, and a node that waits for its report."""
    context = {"nodeRunId": "{{ .workflowNodeRun.identifier }}", "workflowRunId": "{{ .workflowRun.identifier }}"}
    condition = {"type": "CONDITION", "outlets": [{"identifier": "yes", "title": "Ready", "expression": "true"}]}
    found = a_sequence(
        a_webhook("check", f"{url}/check", body={"version": "{{ .outputs.trigger.version }}", "context": context}),
        {"identifier": "is_ready", "config": condition},
        a_webhook("ship", f"{url}/ship", body={"status": "{{ .outputs.check.response.status }}"}, synchronized=False),
        a_webhook(after, f"{url}/{after}", body={"shipped": "{{ .outputs.ship.id }}"}),
        identifier="flow",
        trigger={"type": "SELF_SERVE_TRIGGER", "userInputs": INPUTS},
    )
    found["connections"][2]["sourceOutletIdentifier"] = "yes"
    return found


@pytest.fixture
def target() -> Iterator[Handler]:
    with handler() as found:
        yield found


@asynccontextmanager
async def flowing(target: Handler) -> AsyncIterator[tuple[Sandbox, str]]:
    """Yield a sandbox, and the ID of a run that waits for a report of the node ship."""
    with Renderer() as renderer:
        async with (
            sandbox_with(renders=renderer, workflows=[flow(target.url)]) as sandbox,
            httpx.AsyncClient(base_url=sandbox.url, verify=NO_TLS) as client,
        ):
            client.headers["authorization"] = f"Bearer {await token_of(client, sandbox)}"
            started = await client.post("/v1/workflows/flow/runs", json={"inputs": {"version": "2"}})
            run_id = str(started.json()["workflowRun"]["identifier"])
            waits = lambda run: run.current is not None and run.current.progress == "waiting"  # noqa: E731
            await asyncio.wait_for(sandbox.wait_for_workflow_run(run_id, waits), 25)
            yield sandbox, run_id


def options(sandbox: Sandbox, runtime: MakeRuntime) -> dict[str, Any]:
    access = PortAccess(runtime(env=environ_of(sandbox)), say_nothing)
    return {"access": access, "secret": sandbox.client_secret}


def node_in(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(node for node in found["nodes"] if node["id"] == name)


async def test_node_is_reported_with_its_log_links_and_output(
    runtime: MakeRuntime, tmp_path: Path, target: Handler
) -> None:
    store = tmp_path / "captures.db"
    keep(store, [])
    async with (
        flowing(target) as (sandbox, run_id),
        over_store(runtime(), store, **options(sandbox, runtime)) as client,
    ):
        node = node_in(await client.get(f"/api/runs/{run_id}"), "ship")
        assert (node["status"], node["branch"], node["output"]) == ("IN_PROGRESS", "Ready", None)
        address, rest = f"/api/runs/{node['run_id']}/report", {"workflow_run": run_id}
        found = await client.post(address, {"message": "half done", "level": "WARN", **rest})
        assert [(each["node"], each["level"], each["text"]) for each in found["logs"]] == [
            ("ship", "WARN", "half done")
        ]
        wrong = ({"output": "{"}, {"output": [1]}, {"level": "LOUD", "message": "x"}, {"link": ["https://x"] * 4})
        for body in wrong:
            await client.post(address, {**body, **rest}, expect=400)
        report = {"status": "SUCCESS", "output": '{"id": 42}', "link": ["https://ci.example/1"]}
        await client.post(address, {**report, **rest})
        await asyncio.wait_for(sandbox.wait_for_workflow_run(run_id), 25)
        found = await client.get(f"/api/runs/{node['run_id']}")  # the sandbox finds the workflow's run
        node = node_in(found, "ship")
        assert (found["run"]["id"], found["run"]["label"], node["result"]) == (run_id, "SUCCESS", "SUCCESS")
        assert (node["output"], node["links"]) == ('{"id":42}', ["https://ci.example/1"])


async def test_retry_lists_earlier_nodes_and_sends_nothing_before_confirmation(
    runtime: MakeRuntime, tmp_path: Path, target: Handler
) -> None:
    async with flowing(target) as (sandbox, run_id):
        opened = beside_listener(
            runtime(), tmp_path / "captures.db", forward_to=target.url, **options(sandbox, runtime)
        )
        async with opened as client:
            target.requests.clear()
            plan = await client.get(f"/api/runs/{run_id}/retry", node="check")
            assert (plan["workflow"], plan["from"], plan["last_run_id"]) == ("flow", "check", run_id)
            assert [each["node"] for each in plan["not_run_again"]] == []
            assert [each["node"] for each in plan["run_again"]] == ["check", "ship"]
            plan = await client.get(f"/api/runs/{run_id}/retry", node="ship")
            assert [each["node"] for each in plan["not_run_again"]] == ["check"]
            assert (plan["source"], target.requests) == ("Port", [])
            assert client.serving is not None
            assert plan["to"] == client.serving.url.rstrip("/")
            done = await client.post(f"/api/runs/{run_id}/retry", {"node": "ship"})
            assert (done["run"]["result"], done["in_progress"]) == (None, "ship")
            (step,) = done["steps"]
            assert (step["node"], step["delivery"]["status"]) == ("ship", 200)
            capture = await client.get(f"/api/captures/{step['capture']}")
            assert (capture["row"]["verdict"], capture["row"]["target"]) == ("valid", "/ship")
            # The output of the earlier run's check is in the body.
            assert json.loads(target.requests[0].body) == {"status": 200}


async def test_retry_beside_a_listener_sends_to_the_users_target(
    runtime: MakeRuntime, tmp_path: Path, target: Handler
) -> None:
    with handler() as other:
        async with flowing(target) as (sandbox, run_id):
            opened = beside_listener(
                runtime(), tmp_path / "captures.db", forward_to=target.url, **options(sandbox, runtime)
            )
            async with opened as client:
                target.requests.clear()
                done = await client.post(f"/api/runs/{run_id}/retry", {"node": "ship", "to": other.url})
                assert done["steps"][0]["delivery"]["status"] == 200
                assert ([each.line for each in other.requests], target.requests) == (["POST /ship HTTP/1.1"], [])


async def test_retry_uses_the_definition_in_the_users_files(
    runtime: MakeRuntime, tmp_path: Path, target: Handler
) -> None:
    file = tmp_path / "flow.json"
    file.write_text(json.dumps(flow(target.url, after="announce")))
    delivery = Delivery(url=f"{target.url}/x", status=200, latency_ms=1, body=b"", headers=Headers())
    keep(store := tmp_path / "captures.db", [a_capture(delivery=delivery)])
    async with flowing(target) as (sandbox, run_id):
        inspector = over_store(runtime(), store, actions=[tmp_path, file], **options(sandbox, runtime))
        async with inspector as client:
            # By default, requests go to the capture's handler.
            for chosen in ({"to": target.url}, {"capture": "0123456789ab"}):
                plan = await client.get(f"/api/runs/{run_id}/retry", node="ship", **chosen)
                assert (plan["source"], plan["to"]) == ("your files", target.url)


async def refused(client: InspectorClient, run_id: str, **body: Any) -> str:
    return str((await client.post(f"/api/runs/{run_id}/retry", body, expect=400))["error"])


async def test_retry_explains_why_a_workflow_cannot_run_from_a_node(
    runtime: MakeRuntime, tmp_path: Path, target: Handler
) -> None:
    keep(store := tmp_path / "captures.db", [])
    async with flowing(target) as (sandbox, run_id):
        known = options(sandbox, runtime)
        async with over_store(runtime(), store, **known) as client:
            assert "has no node other" in await refused(client, run_id, node="other")
            assert "is a trigger" in await refused(client, run_id, node="start")
            assert "The node is missing" in await refused(client, run_id)
            assert "has no output of ship" in await refused(client, run_id, node="tell", to=target.url)
            assert "is not a workflow run ID" in await refused(client, "r_QOz6WoOB1Q2lmhZZ", node="ship")
            assert "no target" in await refused(client, run_id, node="ship")
            assert (await client.get(f"/api/runs/{run_id}/retry", node="ship"))["to"] is None
            assert "only to this machine" in await refused(client, run_id, node="ship", to="https://example.com")
            own = f"http://127.0.0.1:{client.opened.port}"
            assert "inspector itself" in await refused(client, run_id, node="ship", to=own)
        async with over_store(runtime(), store, **{**known, "secret": None}) as client:
            assert "no client secret" in await refused(client, run_id, node="ship", to=target.url)


async def test_temporary_problem_of_port_differs_from_an_unknown_run(
    runtime: MakeRuntime, tmp_path: Path, target: Handler
) -> None:
    keep(store := tmp_path / "captures.db", [])
    async with flowing(target) as (sandbox, run_id):
        known = options(sandbox, runtime)
        async with over_store(runtime(), store, **known) as client:
            missing = await client.get("/api/runs/wfr_0000000000000000")
            assert (missing["available"], missing["temporary"]) == (False, False)
            await client.get(f"/api/runs/{run_id}")
            unnamed = await client.get("/api/runs/wfnr_0000000000000000")
            assert (unnamed["available"], unnamed["can_report"]) == (False, True)
    async with over_store(runtime(), store, **known) as client:  # the sandbox has ended
        gone = await client.get(f"/api/runs/{run_id}")
        assert (gone["available"], gone["temporary"]) == (False, True)


async def test_clock_of_port_is_compared_with_the_clock_of_this_machine(
    runtime: MakeRuntime, tmp_path: Path, target: Handler
) -> None:
    keep(store := tmp_path / "captures.db", [])
    ahead = replace(runtime(), now=lambda: time.time() + 600)
    async with flowing(target) as (sandbox, run_id):
        for clock, least, most in ((runtime(), 0, 0), (ahead, 598, 602)):
            async with over_store(clock, store, **options(sandbox, runtime)) as client:
                assert least <= (await client.get(f"/api/runs/{run_id}"))["run"]["skew_s"] <= most


def a_graph(**leads_to: str) -> list[tuple[str, int]]:
    """Return the nodes in order, with their depths. A node whose name begins with `is_` is a condition."""
    nodes = [
        {"identifier": name, "config": {"type": "CONDITION" if name.startswith("is_") else "WEBHOOK"}}
        for name in leads_to
    ]
    connections = [
        {"sourceIdentifier": name, "targetIdentifier": target}
        for name, targets in leads_to.items()
        for target in targets.split()
    ]
    run = {"nodeRuns": [{"node": {"identifier": "fired"}}]}
    return [(node["id"], node["depth"]) for node in graph({"nodes": nodes, "connections": connections}, run)]


def test_nodes_follow_their_predecessors_and_branches_stay_together() -> None:
    found = a_graph(other="is_ready", end="", fired="is_ready", is_ready="no yes", yes="more", no="end", more="end")
    depths = [("fired", 0), ("other", 0), ("is_ready", 0), ("no", 1), ("yes", 1), ("more", 1), ("end", 0)]
    assert found == depths
    assert a_graph(a="is_b", is_b="c d", c="d", d="e", e="") == [("a", 0), ("is_b", 0), ("c", 1), ("d", 0), ("e", 0)]


def test_graph_with_cycles_and_unknown_nodes_is_shown() -> None:
    assert sorted(a_graph(a="b missing", b="a", c="c")) == [("a", 0), ("b", 0), ("c", 0)]
    long = a_graph(**{f"n{number}": f"n{number + 1}" for number in range(1000)})
    assert (long[0], len(long)) == (("n0", 0), 200)


def test_log_entries_have_their_node_for_every_field_name() -> None:
    own = {"logLevel": "INFO", "log": "hello", "createdAt": "2026-11-24T14:30:00Z"}
    run = {"nodeRuns": [{"identifier": "wfnr_1", "node": {"identifier": "ship"}, "nodeRunLogs": [own]}]}
    for names in ({"nodeRunIdentifier": "wfnr_1"}, {"nodeRunId": "wfnr_1"}, {}):
        found = workflow_run_record("wfr_1", run, [{"message": "hello", "level": "INFO", **names}], {}, skew_s=None)
        assert [(each["node"], each["level"], each["text"]) for each in found["logs"]] == [("ship", "INFO", "hello")]


def test_node_output_can_be_any_value() -> None:
    values: tuple[Any, ...] = (None, 1, [1], {"a": float("nan")}, {"error": {"message": 1}}, {"error": "no"})
    for value in values:
        ran = {"identifier": "wfnr_1", "node": {"identifier": "ship"}, "output": value, "links": value}
        (node,) = workflow_run_record("wfr_1", {"nodeRuns": [ran]}, [], {}, skew_s=None)["nodes"]
        assert node["error"] == ("no" if value == {"error": "no"} else None)
        assert len(node["output"] or "") < 100


def test_graph_with_very_many_connections_and_outlets_is_read_quickly() -> None:
    outlets = [{"identifier": f"o{number}", "title": f"Outlet {number}"} for number in range(20_000)]
    nodes = [{"identifier": "a", "config": {"type": "CONDITION", "outlets": outlets}}]
    nodes += [{"identifier": f"n{number}"} for number in range(199)]
    connections = [
        {"sourceIdentifier": "a", "targetIdentifier": f"n{number % 400}", "sourceOutletIdentifier": f"o{number}"}
        for number in range(20_000)
    ]
    began = time.process_time()
    found = graph({"nodes": nodes, "connections": connections}, {})
    assert time.process_time() - began < 2  # a search of all outlets for each connection takes minutes
    assert found[0]["next"] == [f"n{number}" for number in range(199)]
    assert next(node["branch"] for node in found if node["id"] == "n7") == "Outlet 7"


STRANGE = [float("nan"), {"toString": None}, [[]], True, "x" * 1_000_000, 12]


@pytest.mark.parametrize("value", STRANGE)
def test_every_field_of_a_run_is_a_short_text_or_null(value: Any) -> None:
    names = ("status", "result", "createdAt", "completedAt", "identifier", "nodeTitle", "nodeConfigType", "message")
    strange = dict.fromkeys(names, value)
    logs = [{**strange, "level": value}]
    node = {"identifier": value, "title": value, "config": {"type": value, "outlets": [{"title": value}]}}
    run = {**strange, "nodeRuns": [{**strange, "node": {"identifier": value}, "links": [value], "nodeRunLogs": logs}]}
    for definition in ({}, {"nodes": [node], "connections": [{"sourceIdentifier": value, "targetIdentifier": value}]}):
        found = workflow_run_record("wfr_1", run, logs, definition, skew_s=None)
        assert len(json.dumps(found, allow_nan=False)) < 100_000
        (shown,) = found["nodes"]
        texts = [
            shown[name] for name in ("id", "type", "title", "status", "result", "started_at", "ended_at", "run_id")
        ]
        assert all(text is None or isinstance(text, str) for text in (*texts, found["run"]["status"]))
    action = {"id": value, "summary": value, "statusLabel": value, "link": value, "action": value, **strange}
    json.dumps(action_run_record(action, logs, app_url="https://app.example", skew_s=None), allow_nan=False)


async def test_unknown_run_in_port_has_its_captures_in_the_store(runtime: MakeRuntime, tmp_path: Path) -> None:
    def kept(name: str, workflow_run: str) -> Capture:
        context = {"nodeRunId": f"wfnr_{name}", "workflowRunId": workflow_run}
        body = json.dumps({"context": context, "about": "wfr_mine"}).encode()
        return a_capture(an_invocation(body, id=f"inv_{name}"))

    names = [("other", "wfr_other"), *((f"n{number}", "wfr_mine") for number in range(52))]
    keep(store := tmp_path / "captures.db", [kept(*each) for each in names])
    with a_sandbox(strict_runs=True) as sandbox:
        async with over_store(runtime(), store, **options(sandbox, runtime)) as client:
            for address in ("/api/runs/wfr_mine", "/api/runs/wfnr_n3?workflow_run=wfr_mine"):
                found = await client.get(address)
                assert (found["available"], found["reason"]) == (False, "Port doesn't know this run.")
                assert "`trigger`" in found["hint"]
                assert [row["id"] for row in found["captures"]] == [f"inv_n{number}" for number in range(2, 52)]
            assert (await client.get("/api/runs/r_QOz6WoOB1Q2lmhZZ"))["captures"] == []
