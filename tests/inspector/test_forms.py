"""The data for the page's forms: positions of JSON errors, inputs, and hints without options."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.inspector.page_hints import page_hint
from port_hook_cli.inspector.sending import json_problem
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.remark import say_nothing
from tests.factories import a_capture
from tests.inspectors import beside_listener, keep, over_store
from tests.sandboxes import a_sandbox, environ_of
from tests.servers import handler

MakeRuntime = Callable[..., Runtime]
EXAMPLES = Path(__file__).parents[2] / "examples"
INPUTS: dict[str, Any] = {
    "replicas": {"type": "number", "minimum": 1, "maximum": 5},
    "key": {"type": "string", "encryption": "aes256-gcm"},
    "zones": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}},
    "service": {"type": "string", "format": "entity", "blueprint": "service"},
}
ACTION = {
    "identifier": "scale",
    "trigger": {"type": "self-service", "userInputs": {"properties": INPUTS, "required": ["replicas"]}},
    "invocationMethod": {"type": "WEBHOOK", "url": "https://example.com"},
}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "captures.db"


def test_invalid_json_has_the_position_of_its_error() -> None:
    places: dict[str, tuple[int, int] | None] = {
        '{\n  "a": 1,\n  oops\n}': (3, 3),
        "\n" * 39 + '{"a": 1, oops}': (40, 10),
        '{"a":': (1, 6),
        '{\n"a": NaN}': (2, 6),
        "": (1, 1),
        '"\ud800"': None,
        "[1, 2]": None,
    }
    for text, place in places.items():
        found = json_problem(text)
        assert place == (found and (found["line"], found["column"])), text
        assert found is None or "column" not in found["error"]


@pytest.mark.parametrize(
    ("end", "fault"),
    [
        ("oops]", ("Unexpected text.", 2, 1)),
        ("NaN]", ("NaN is not JSON.", 0, 0)),
        ("9" * 9_999 + "]", None),
        ("[" * 99_999, ("Nested too deep.", 0, 0)),
    ],
)
def test_long_text_is_read_quickly(end: str, fault: tuple[str, int, int] | None) -> None:
    began = time.process_time()
    found = json_problem("[" + "1," * 1_000_000 + "\n" + end)
    assert time.process_time() - began < 2
    assert fault == (found and (found["error"], found["line"], found["column"]))


async def test_page_requests_the_position_of_a_json_error(runtime: MakeRuntime, store: Path) -> None:
    keep(store, [a_capture()])
    async with over_store(runtime(), store) as client:
        assert await client.post("/api/json", {"text": "[1]"}) == {"schema": "port-hook/inspector/1", "problem": None}
        assert (await client.post("/api/json", {"text": '{"a":'}))["problem"] == {
            "error": 'A value must follow ":".',
            "line": 1,
            "column": 6,
        }
        assert (await client.post("/api/json", {"text": "[" * 100_000}))["problem"]["error"]
        for body in ({}, {"text": None}, {"text": ["1"]}):
            assert (await client.post("/api/json", body, expect=400))["hint"]


async def test_inputs_have_the_data_of_their_fields_and_automations_no_form(
    runtime: MakeRuntime, store: Path, tmp_path: Path
) -> None:
    file = tmp_path / "action.json"
    file.write_text(json.dumps([ACTION, {**ACTION, "identifier": "on_event", "trigger": AUTOMATION}]))
    async with beside_listener(runtime(), store, actions=[file]) as client:
        (form,) = (await client.get("/api/actions"))["actions"]
        replicas, key, zones, service = form["inputs"]
        assert (replicas["minimum"], replicas["maximum"], replicas["encrypted"]) == (1, 5, False)
        assert (key["encrypted"], zones["items"], service["blueprint"]) == (True, ["a", "b"], "service")


AUTOMATION = {"type": "automation", "event": {"type": "ENTITY_CREATED", "blueprintIdentifier": "service"}}


async def test_form_error_has_no_command_line_option(runtime: MakeRuntime, store: Path, tmp_path: Path) -> None:
    file = tmp_path / "action.json"
    file.write_text(json.dumps(ACTION))
    with handler() as target:
        async with beside_listener(runtime(), store, forward_to=target.url, actions=[file]) as client:
            found = await client.post("/api/actions/scale/trigger", {"inputs": {}}, expect=400)
            assert "replicas is required" in found["error"]
            assert found["hint"] == "Correct the inputs."
            body = {"action": "scale", "inputs": {"replicas": 9}, "only": ["signature"], "to": target.url}
            assert "--" not in (await client.post("/api/check", body, expect=400))["hint"]


def test_hint_mentions_fields_instead_of_options() -> None:
    for hint, shown in {
        "Correct --to.": 'Correct "To".',
        "Use --status failure.": "Use the status failure.",
        "Use `port-hook replay --to` for others.": "Use `port-hook replay --to` for others.",
        "Start the inspector with --actions PATH.": "Start the inspector with --actions PATH.",
    }.items():
        assert page_hint(hint) == shown


async def test_workflow_and_one_of_its_nodes_are_listed_triggered_and_checked(
    runtime: MakeRuntime, store: Path, tmp_path: Path
) -> None:
    workflow = EXAMPLES / "workflows" / "deploy_service.json"
    (tmp_path / "action.json").write_text(json.dumps(ACTION))
    answer = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\r\n{"ready":true}'
    with handler(answer) as target, a_sandbox() as sandbox:
        access = PortAccess(runtime(env=environ_of(sandbox)), say_nothing)
        options: dict[str, Any] = {"forward_to": target.url, "access": access}
        async with beside_listener(runtime(), store, actions=[workflow, tmp_path / "action.json"], **options) as client:
            _, whole, node = (await client.get("/api/actions"))["actions"][:3]
            assert (whole["kind"], whole["identifier"]) == ("workflow", "deploy_service#trigger")
            assert (node["kind"], node["identifier"]) == ("workflow-node", "deploy_service#check")
            assert (whole["title"], node["title"]) == ("Deploy service", "Deploy service: Check build")
            inputs = [(each["name"], each["required"]) for each in node["inputs"]]
            assert inputs == [("service", True), ("version", True)]
            path = "/api/actions/deploy_service%23check/trigger"
            found = await client.post(path, {"inputs": {"service": "cart"}})
            assert found["delivery"]["status"] == 200
            assert json.loads(target.requests[0].body) == {"service": "cart", "version": "1.0"}
            assert (await client.get(f"/api/captures/{found['capture']}"))["row"]["verdict"] == "valid"
            assert "service" in (await client.post(path, {"inputs": {}}, expect=400))["error"]
            assert len(target.requests) == 1
            checked = await client.get("/api/check", action="deploy_service#check", to=target.url)
            assert (checked["problem"], checked["plan"]["name"]) == (None, "check")
            found = await client.post("/api/actions/deploy_service%23trigger/trigger", {"inputs": {"service": "cart"}})
            assert found["notes"] == ["Responses: Check build 200, Deploy 200.", "The run waits at Deploy."]
            assert json.loads(target.requests[2].body)["service"] == "cart"
