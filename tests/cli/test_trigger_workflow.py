"""`trigger WORKFLOW`: a graph, or one of its nodes, run against a real handler."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from port_hook_cli.cli.exit_codes import ExitCode
from tests.cli.workflow_backend import Backend, Reporting
from tests.conftest import Run
from tests.factories import SECRET
from tests.sandboxes import a_sandbox, environ_of
from tests.servers import application, handler

EXAMPLES = Path(__file__).parents[2] / "examples"
DEPLOY = str(EXAMPLES / "workflows" / "deploy_service.json")
ENV = {"PORT_CLIENT_SECRET": SECRET.reveal()}
INPUTS = ("--input", "service=cart", "--input", "version=2.0")


@pytest.fixture
def backend() -> Iterator[Backend]:
    found = Backend()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.handle)
    with application(app) as url:
        found.url = url
        yield found


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_trigger_sends_the_nodes_of_a_workflow_in_order(run: Run, backend: Backend) -> None:
    result = run("trigger", DEPLOY, "--to", backend.url, *INPUTS, env=ENV)
    assert result.code == 0
    assert backend.paths == ["/builds/check", "/deploy"]
    assert json.loads(backend.requests[0][1]) == {"service": "cart", "version": "2.0"}
    for text in (
        f"check  POST {backend.url}/builds/check  (waits for the response)",
        '{"response":{"status":200,"data":{"ready":true}}}',
        "SUCCESS  through the outlet ready",
        f"deploy  POST {backend.url}/deploy  (asynchronous)",
        "is IN_PROGRESS until it is reported",
        "port-hook report-run wfnr_",
    ):
        assert text in result.out
    assert result.err == "note: `permissions` are not checked here; Port checks them\n"


def test_trigger_exits_1_when_a_node_fails(run: Run, backend: Backend) -> None:
    backend.status = 503
    result = run("trigger", DEPLOY, "--to", backend.url, *INPUTS, env=ENV)
    assert result.code == ExitCode.FAILED
    assert "The webhook responded with status 503." in result.out
    assert backend.paths == ["/builds/check"]


def test_run_succeeds_when_its_branch_ends(run: Run, backend: Backend) -> None:
    backend.ready = False
    result = run("trigger", DEPLOY, "--to", backend.url, *INPUTS, env=ENV)
    assert (result.code, backend.paths) == (0, ["/builds/check"])
    assert "SUCCESS  through the fallback" in result.out


def test_trigger_sends_nothing_when_inputs_are_invalid(run: Run, backend: Backend) -> None:
    result = run("trigger", DEPLOY, "--to", backend.url, env=ENV)
    assert result.code == ExitCode.USAGE
    assert "service is required" in result.err
    assert backend.requests == []


def test_trigger_runs_only_the_named_node(run: Run, backend: Backend) -> None:
    result = run("trigger", f"{DEPLOY}#deploy", "--to", backend.url, *INPUTS, env=ENV)
    assert (result.code, backend.paths) == (0, ["/deploy"])
    body = json.loads(backend.requests[0][1])
    assert body["service"] == "cart"
    assert body["run"].startswith("wfr_")
    assert body["nodeRunId"].startswith("wfnr_")


# A workflow run in the form that Port's API returns. Outputs of nodes that are not COMPLETED are ignored.
RUN_OF_PORT = {"ok": True, "workflowRun": {"nodeRuns": [
    {"node": {"identifier": "start"}, "status": "COMPLETED", "output": {}},
    {"node": {"identifier": "a"}, "status": "COMPLETED", "output": {"n": 1}},
    {"node": {"identifier": "b"}, "status": "IN_PROGRESS", "output": {"n": 2}},
]}}  # fmt: skip


@pytest.mark.parametrize("outputs", [{"a": {"n": 1}}, RUN_OF_PORT, RUN_OF_PORT["workflowRun"]])
def test_outputs_are_read_from_a_file_and_from_options(
    run: Run, backend: Backend, folder: Path, outputs: dict[str, Any]
) -> None:
    document = {
        "identifier": "two",
        "nodes": [
            {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER"}},
            {"identifier": "a", "config": {"type": "WEBHOOK", "url": "http://127.0.0.1:1/a"}},
            {"identifier": "b", "config": {"type": "WEBHOOK", "url": "http://127.0.0.1:1/b", "body": {
                "n": "{{ .outputs.a.n }}", "m": "{{ .outputs.a.m }}"}}},
        ],
        "connections": [
            {"sourceIdentifier": "start", "targetIdentifier": "a"},
            {"sourceIdentifier": "a", "targetIdentifier": "b"},
        ],
    }  # fmt: skip
    (folder / "two.json").write_text(json.dumps(document), "utf-8")
    (folder / "outputs.json").write_text(json.dumps(outputs), "utf-8")
    options = ("--outputs", "outputs.json", "--output", "a.m=[2]", "--to", backend.url)
    assert run("trigger", "two.json", *options, env=ENV).code == 0
    assert backend.paths == ["/b"]
    assert json.loads(backend.requests[0][1]) == {"n": 1, "m": [2]}


def test_the_outlet_of_a_given_output_is_shown(run: Run, backend: Backend, folder: Path) -> None:
    (folder / "o.json").write_text('{"is_ready": {"selectedOutlet": {"identifier": "ready"}}}', "utf-8")
    options = ("--outputs", "o.json", "--to", backend.url, *INPUTS)
    result = run("trigger", f"{DEPLOY}#deploy", *options, env=ENV)
    assert (result.code, "SUCCESS  through the outlet ready" in result.out) == (0, True)


def test_route_sends_a_node_to_its_own_target(run: Run, backend: Backend) -> None:
    routes = ("--route", f"check={backend.url}/mine", "--to", backend.url)
    backend.ready = True
    run("trigger", DEPLOY, *routes, *INPUTS, env=ENV)
    assert backend.paths[0] == "/mine"


def test_trigger_exits_2_when_a_node_url_is_on_another_machine(run: Run) -> None:
    result = run("trigger", DEPLOY, *INPUTS, env=ENV)
    assert result.code == ExitCode.USAGE
    assert "The node check's URL is https://hooks.example.com/builds/check, which is not on this machine" in result.err


def test_option_gives_the_response_to_an_input_node(run: Run, folder: Path) -> None:
    outlets = [{"identifier": "approve"}, {"identifier": "decline"}]
    document = {
        "identifier": "ask",
        "nodes": [
            {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER"}},
            {"identifier": "approval", "config": {"type": "INPUT", "outlets": outlets}},
            {"identifier": "think", "config": {"type": "AI", "prompt": "?"}},
        ],
        "connections": [
            {"sourceIdentifier": "start", "targetIdentifier": "approval"},
            {"sourceIdentifier": "approval", "targetIdentifier": "think", "sourceOutletIdentifier": "approve"},
        ],
    }
    (folder / "ask.json").write_text(json.dumps(document), "utf-8")
    found = records(run("trigger", "ask.json", "--respond", "approval=approve", "--json", env=ENV).out)
    assert [(each["type"], each.get("node"), each["result"]) for each in found] == [
        ("node", "approval", "SUCCESS"),
        ("node", "think", "SUCCESS"),
        ("workflow_run", None, "SUCCESS"),
    ]
    assert found[0]["outlet"] == "approve"
    assert found[1]["remarks"] == [
        "port-hook does not run nodes of the type AI; give an output with --output think=JSON"
    ]
    waiting = records(run("trigger", "ask.json", "--json", env=ENV).out)
    assert waiting[-1]["waits_for"]["node"] == "approval"
    wrong = run("trigger", "ask.json", "--respond", "approval=maybe", env=ENV)
    assert (wrong.code, "has no outlet maybe; it has: approve, decline" in wrong.err) == (ExitCode.USAGE, True)


def test_workflow_with_an_event_trigger_needs_an_event(run: Run, folder: Path, backend: Backend) -> None:
    document = {
        "identifier": "on_update",
        "nodes": [
            {"identifier": "when", "config": {"type": "EVENT_TRIGGER", "event": {"type": "ENTITY_UPDATED"}}},
            {"identifier": "tell", "config": {"type": "WEBHOOK", "url": "http://127.0.0.1:1/", "body": {
                "after": "{{ .outputs.trigger.diff.after.title }}"}}},
        ],
        "connections": [{"sourceIdentifier": "when", "targetIdentifier": "tell"}],
    }  # fmt: skip
    (folder / "on_update.json").write_text(json.dumps(document), "utf-8")
    (folder / "event.json").write_text('{"action": "UPDATE", "diff": {"after": {"title": "New"}}}', "utf-8")
    without = run("trigger", "on_update.json", "--to", backend.url, env=ENV)
    assert (without.code, "Pass the event with --event FILE" in without.err) == (ExitCode.USAGE, True)
    assert run("trigger", "on_update.json", "--to", backend.url, "--event", "event.json", env=ENV).code == 0
    assert json.loads(backend.requests[0][1]) == {"after": "New"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((f"{DEPLOY}#nothing",), "has no node nothing"),
        ((f"{DEPLOY}#is_ready", *INPUTS), "The node is_ready is of the type CONDITION"),
        ((DEPLOY, "--output", "check"), "is not NODE.path=JSON"),
        ((DEPLOY, "--output", "check.a=ready"), "--output check.a: "),
        ((DEPLOY, "--respond", "check"), "is not NODE=BUTTON"),
        ((DEPLOY, *INPUTS, "--to", "1", "--wait", "1"), "--wait needs the sandbox"),
        ((str(EXAMPLES / "actions" / "create_vm.json"), "--to", "1", "--respond", "a=b"), "--respond is for workflows"),
    ],
)
def test_invalid_arguments_are_refused_before_anything_is_sent(
    run: Run, arguments: tuple[str, ...], message: str
) -> None:
    result = run("trigger", *arguments, env={**ENV, "PORT_CLIENT_ID": "x"})
    assert (result.code, message in result.err) == (ExitCode.USAGE, True), result.err


def test_workflow_output_masks_secrets(run: Run, backend: Backend, folder: Path) -> None:
    document = {
        "identifier": "leaky",
        "nodes": [
            {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER"}},
            {"identifier": "a", "variables": {"said": "{{ .secrets.HOOK }}"}, "config": {
                "type": "WEBHOOK", "url": "http://127.0.0.1:1/{{ .secrets.HOOK }}"}},
        ],
        "connections": [{"sourceIdentifier": "start", "targetIdentifier": "a"}],
    }  # fmt: skip
    (folder / "leaky.json").write_text(json.dumps(document), "utf-8")
    (folder / "secrets.json").write_text('{"HOOK": "a-very-secret-value"}', "utf-8")
    for form in ((), ("--json",)):
        result = run("trigger", "leaky.json", "--to", backend.url, "--secrets", "secrets.json", *form, env=ENV)
        assert result.code == 0
        assert "a-very-secret-value" not in result.out + result.err
        assert backend.paths[-1] == "/a-very-secret-value"


@pytest.mark.parametrize("option", [["--dry-run"], ["--format", "curl"]])
def test_trigger_refuses_options_for_actions_with_a_workflow(run: Run, backend: Backend, option: list[str]) -> None:
    result = run("trigger", DEPLOY, "--to", backend.url, *INPUTS, *option, env={**ENV, "PORT_CLIENT_ID": "id"})
    assert result.code == ExitCode.USAGE
    assert f"{option[0]} is for actions" in result.err
    assert backend.requests == []


def test_a_note_names_the_expressions_that_port_may_render_differently(
    run: Run, backend: Backend, folder: Path
) -> None:
    outlets = [{"identifier": "yes", "expression": ".outputs.a.ok | toboolean"}]
    document = {
        "identifier": "notes",
        "nodes": [
            {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER"}},
            {"identifier": "a", "variables": {"ok": '{{ "true" }}', "line": '{{ "-" * .result.n }}'}, "config": {
                "type": "WEBHOOK", "url": "http://127.0.0.1:1/a", "body": {"a": '{{ "a" | trimstr("b") }}'}}},
            {"identifier": "is", "config": {"type": "CONDITION", "outlets": outlets}},
        ],
        "connections": [
            {"sourceIdentifier": "start", "targetIdentifier": "a"},
            {"sourceIdentifier": "a", "targetIdentifier": "is"},
        ],
    }  # fmt: skip
    (folder / "notes.json").write_text(json.dumps(document), "utf-8")
    result = run("trigger", "notes.json", "--to", backend.url, env=ENV)
    assert [line.partition(":")[2].partition(":")[0].strip() for line in result.err.splitlines()] == [
        '{{ "a" | trimstr("b") }} uses trimstr',
        '{{ "-" * .result.n }} uses *',
        "{{ .outputs.a.ok | toboolean }} uses toboolean",
    ]


# --- with a sandbox -------------------------------------------------------------------------------------------------


@pytest.fixture
def reporting() -> Iterator[Reporting]:
    found = Reporting()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.handle)
    with application(app) as url, a_sandbox() as sandbox:
        found.url, found.api = url, environ_of(sandbox)
        yield found


def test_wait_continues_when_the_result_is_reported_to_the_sandbox(run: Run, reporting: Reporting) -> None:
    result = run("trigger", DEPLOY, "--to", reporting.url, *INPUTS, "--wait", "20", env=dict(reporting.api))
    assert result.code == 0, result.err
    assert '{"runId":7}' in result.out
    assert "https://ci.example.com/runs/7" in result.out
    assert result.out.rstrip().endswith("SUCCESS")


def test_trigger_exits_1_when_a_failure_is_reported(run: Run, reporting: Reporting) -> None:
    reporting.result = "FAILED"
    result = run("trigger", DEPLOY, "--to", reporting.url, *INPUTS, "--wait", "20", env=dict(reporting.api))
    assert (result.code, result.out.rstrip().endswith("FAILED")) == (ExitCode.FAILED, True)


def test_wait_exits_1_after_its_timeout_when_nothing_is_reported(run: Run, reporting: Reporting) -> None:
    reporting.result = None
    result = run("trigger", DEPLOY, "--to", reporting.url, *INPUTS, "--wait", "0.3", env=dict(reporting.api))
    assert result.code == ExitCode.FAILED
    assert "was not reported within 0.3 s" in result.err


def an_upsert(**mapping: Any) -> dict[str, Any]:
    config = {"type": "UPSERT_ENTITY", "blueprintIdentifier": "vm", "mapping": mapping}
    return {
        "identifier": "save",
        "nodes": [
            {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER"}},
            {"identifier": "put", "config": config},
        ],
        "connections": [{"sourceIdentifier": "start", "targetIdentifier": "put"}],
    }


def test_upsert_node_saves_its_entity_in_the_sandbox(run: Run, folder: Path) -> None:
    (folder / "save.json").write_text(json.dumps(an_upsert(identifier="vm1", properties={"cpu": 2})), "utf-8")
    with a_sandbox() as sandbox:
        found = records(run("trigger", "save.json", "--json", env=environ_of(sandbox)).out)
        assert sandbox.entities["vm", "vm1"]["properties"] == {"cpu": 2}
    assert found[0]["output"]["entity"]["identifier"] == "vm1"


def test_upsert_node_fails_when_the_sandbox_rejects_the_entity(run: Run, folder: Path) -> None:
    (folder / "save.json").write_text(json.dumps(an_upsert(identifier="vm1", properties="none")), "utf-8")
    with a_sandbox() as sandbox:
        result = run("trigger", "save.json", "--json", env=environ_of(sandbox))
    assert result.code == ExitCode.FAILED
    assert "properties" in records(result.out)[0]["output"]["error"]["message"]


def test_upsert_node_saves_nothing_without_a_sandbox(run: Run, folder: Path) -> None:
    (folder / "save.json").write_text(json.dumps(an_upsert(identifier="vm1")), "utf-8")
    found = records(run("trigger", "save.json", "--json", env=ENV).out)
    assert found[0]["result"] == "SUCCESS"
    assert any("was not saved" in remark for remark in found[0]["remarks"])


def test_agent_node_is_sent_once_and_printed_once(run: Run, backend: Backend, folder: Path) -> None:
    document = {
        "identifier": "internal",
        "nodes": [
            {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER"}},
            {"identifier": "do", "config": {"type": "WEBHOOK", "url": "http://127.0.0.1:1/do", "agent": True}},
        ],
        "connections": [{"sourceIdentifier": "start", "targetIdentifier": "do"}],
    }
    (folder / "internal.json").write_text(json.dumps(document), "utf-8")
    found = records(run("trigger", "internal.json", "--to", backend.url, "--json", env=ENV).out)
    assert [(each["type"], each["result"]) for each in found] == [("node", "SUCCESS"), ("workflow_run", "SUCCESS")]
    assert backend.paths == ["/do"]


def test_a_node_whose_handler_is_unreachable_fails_with_the_reason(run: Run) -> None:
    with handler() as gone:
        port = str(gone.port)
    result = run("trigger", DEPLOY, "--to", port, *INPUTS, env=ENV)
    assert result.code == ExitCode.FAILED
    assert f"  failed     nothing listens on 127.0.0.1:{port}" in result.out


def a_workflow_of_two(folder: Path, body: Any) -> str:
    """Write a workflow whose second WEBHOOK node has this body, and return its file."""
    nodes = [
        {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER"}},
        {"identifier": "first", "config": {"type": "WEBHOOK", "url": "https://example.com/"}},
        {"identifier": "second", "config": {"type": "WEBHOOK", "url": "https://example.com/", "body": body}},
    ]
    connections = [
        {"sourceIdentifier": "start", "targetIdentifier": "first"},
        {"sourceIdentifier": "first", "targetIdentifier": "second"},
    ]
    document = {"identifier": "two", "nodes": nodes, "connections": connections}
    (folder / "two.json").write_text(json.dumps(document))
    return "two.json"


def test_expression_of_a_webhook_node_that_failed_is_a_warning_and_in_the_record(
    run: Run, backend: Backend, folder: Path
) -> None:
    file = a_workflow_of_two(folder, {"x": "{{ 1 | .b }}"})
    shown = run("trigger", file, "--to", backend.url, env=ENV)
    assert "warning    {{ 1 | .b }} became null" in shown.out
    second = records(run("trigger", file, "--to", backend.url, "--json", env=ENV).out)[1]
    assert [error["expression"] for error in second["errors"]] == ["1 | .b"]


def test_expression_of_an_asynchronous_node_that_failed_is_a_warning(run: Run, folder: Path) -> None:
    node = {"type": "WEBHOOK", "url": "https://example.com/", "synchronized": False, "body": {"x": "{{ 1 | .b }}"}}
    nodes = [{"identifier": "start", "config": {"type": "SCHEDULE_TRIGGER"}}, {"identifier": "only", "config": node}]
    document = {
        "identifier": "w",
        "nodes": nodes,
        "connections": [{"sourceIdentifier": "start", "targetIdentifier": "only"}],
    }
    (folder / "w.json").write_text(json.dumps(document))
    with handler() as target:
        shown = run("trigger", "w.json", "--to", target.url, env=ENV)
    assert "warning    {{ 1 | .b }} became null" in shown.out


@pytest.mark.parametrize(
    ("body", "data"), [(b"NaN", "NaN"), (b"[1e999]", [None]), (b'{"a": -Infinity}', '{"a": -Infinity}')]
)
def test_response_with_a_number_that_json_lacks_leaves_the_records_json(
    run: Run, folder: Path, body: bytes, data: Any
) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    file = a_workflow_of_two(folder, {"x": "{{ .outputs.first.response.data }}"})
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    with handler(head + body) as target:
        out = run("trigger", file, "--to", target.url, "--json", env=ENV).out
    first, *_ = [json.loads(line, parse_constant=refuse) for line in out.splitlines()]
    assert first["output"]["response"]["data"] == data
    assert json.loads(target.requests[1].body) == {"x": data}


def a_workflow(config: dict[str, Any], **node: Any) -> str:
    """Return a workflow with one WEBHOOK node after its trigger."""
    webhook = {"type": "WEBHOOK", "synchronized": True, "body": {"a": 1}, **config}
    nodes = [
        {"identifier": "begin", "config": {"type": "SELF_SERVE_TRIGGER", "userInputs": {"properties": {}}}},
        {"identifier": "call", "config": webhook, **node},
    ]
    connection = {"sourceIdentifier": "begin", "targetIdentifier": "call"}
    return json.dumps({"identifier": "w", "nodes": nodes, "connections": [connection]})


def test_node_with_a_placeholder_url_is_sent_to_the_given_target(run: Run, folder: Path, backend: Backend) -> None:
    (folder / "w.json").write_text(a_workflow({"url": "<WEBHOOK_URL>", "headers": {"X-Name": "Zoë"}}), "utf-8")
    result = run("trigger", "w.json", "--to", backend.url, env=ENV)
    assert result.code == 0
    assert "note: the node call's URL is <WEBHOOK_URL>, which is not a URL. The request goes to the given" in result.err
    assert "note: the header X-Name of the node call has non-ASCII characters" in result.err
    assert backend.paths == ["/"]
    refused = run("trigger", "w.json", env=ENV)
    assert "which is not a URL that begins with" in refused.out


@pytest.mark.parametrize("expression", ["{{ .response.status }}", "s: {{ .response | length }}"])
def test_response_in_variables_prints_a_note_about_ports_documentation(
    run: Run, folder: Path, backend: Backend, expression: str
) -> None:
    (folder / "w.json").write_text(a_workflow({"url": backend.url}, variables={"code": expression}), "utf-8")
    result = run("trigger", "w.json", env=ENV)
    assert result.code == 0
    assert "note: `variables` of the node call read `.response`" in result.err
    assert "`.result.response`" in result.err


@pytest.mark.parametrize("expression", ["{{ .result.response.status }}", "{{ .outputs.begin.response }}", "response"])
def test_other_variables_do_not_print_a_note(run: Run, folder: Path, backend: Backend, expression: str) -> None:
    (folder / "w.json").write_text(a_workflow({"url": backend.url}, variables={"code": expression}), "utf-8")
    assert run("trigger", "w.json", env=ENV).err == ""
