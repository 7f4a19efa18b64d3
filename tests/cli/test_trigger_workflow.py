"""`trigger WORKFLOW`: a graph, or one of its nodes, run against a real handler."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.cli.exit_codes import ExitCode
from tests.cli.workflow_handler import NodeHandler, Reporting, serving
from tests.conftest import Run
from tests.factories import SECRET
from tests.sandboxes import a_sandbox, a_sequence, a_webhook, environ_of, one_node
from tests.servers import handler
from tests.stores import project_file

EXAMPLES = Path(__file__).parents[2] / "examples"
DEPLOY = str(EXAMPLES / "workflows" / "deploy_service.json")
ENV = {"PORT_CLIENT_SECRET": SECRET.reveal()}
INPUTS = ("--input", "service=cart", "--input", "version=2.0")


@pytest.fixture
def receiver() -> Iterator[NodeHandler]:
    with serving(NodeHandler()) as found:
        yield found


def save(folder: Path, workflow: dict[str, Any]) -> str:
    (folder / "w.json").write_text(json.dumps(workflow), "utf-8")
    return "w.json"


def test_trigger_sends_the_nodes_of_a_workflow_in_order(run: Run, receiver: NodeHandler) -> None:
    result = run("trigger", DEPLOY, "--to", receiver.url, *INPUTS, env=ENV)
    assert result.code == 0
    assert receiver.paths == ["/builds/check", "/deploy"]
    assert json.loads(receiver.requests[0][1]) == {"service": "cart", "version": "2.0"}
    for text in (
        f"check  POST {receiver.url}/builds/check  (waits for the response)",
        '{"response":{"status":200,"data":{"ready":true}}}',
        "SUCCESS  through the outlet ready",
        f"deploy  POST {receiver.url}/deploy  (asynchronous)",
        "stays IN_PROGRESS until the handler reports its result",
        "port-hook report-run wfnr_",
    ):
        assert text in result.out
    assert result.err.splitlines() == [
        "note: `permissions` are not checked here, but Port checks them",
        "note: the header Authorization of the node check contains null. --with secrets=FILE sets secrets",
    ]


@pytest.mark.parametrize("name", ["w.json#deploy_service", "./#deploy_service"])
def test_trigger_finds_a_workflow_in_a_list_response_of_port(
    run: Run, folder: Path, receiver: NodeHandler, name: str
) -> None:
    deploy = json.loads(Path(DEPLOY).read_text("utf-8"))
    save(folder, {"ok": True, "workflows": [deploy, {**deploy, "identifier": "other"}]})
    assert run("trigger", name, "--to", receiver.url, *INPUTS, env=ENV).code == 0
    assert receiver.paths == ["/builds/check", "/deploy"]
    result = run("trigger", name.partition("#")[0], "--to", receiver.url, *INPUTS, env=ENV)
    assert (result.code, "has 2 actions: deploy_service, other" in result.err) == (ExitCode.STORE, True)


@pytest.mark.parametrize(
    ("name", "paths"),
    [(".#deploy_service", ["/builds/check", "/deploy"]), (".#deploy_service#deploy", ["/deploy"])],
)
def test_trigger_finds_a_workflow_and_its_node_in_a_directory(
    run: Run, folder: Path, receiver: NodeHandler, name: str, paths: list[str]
) -> None:
    save(folder, json.loads(Path(DEPLOY).read_text("utf-8")))
    (folder / "other.json").write_text(json.dumps({**one_node(), "identifier": "other"}), "utf-8")
    assert run("trigger", name, "--to", receiver.url, *INPUTS, env=ENV).code == 0
    assert receiver.paths == paths


def test_trigger_exits_1_when_a_node_fails(run: Run, receiver: NodeHandler) -> None:
    receiver.status = 503
    result = run("trigger", DEPLOY, "--to", receiver.url, *INPUTS, env=ENV)
    assert result.code == ExitCode.FAILED
    assert "The webhook responded with status 503." in result.out
    assert receiver.paths == ["/builds/check"]


def test_trigger_runs_only_the_named_node(run: Run, receiver: NodeHandler) -> None:
    result = run("trigger", f"{DEPLOY}#deploy", "--to", receiver.url, *INPUTS, env=ENV)
    assert (result.code, receiver.paths) == (0, ["/deploy"])
    body = json.loads(receiver.requests[0][1])
    assert body["service"] == "cart"
    assert body["run"].startswith("wfr_")
    assert body["nodeRunId"].startswith("wfnr_")


# A workflow run in the form that Port's API returns. Outputs of nodes that are not COMPLETED are ignored.
RUN_OF_PORT = {"ok": True, "workflowRun": {"nodeRuns": [
    {"node": {"identifier": "start"}, "status": "COMPLETED", "output": {}},
    {"node": {"identifier": "a"}, "status": "COMPLETED", "output": {"n": 1}},
    {"node": {"identifier": "b"}, "status": "IN_PROGRESS", "output": {"n": 2}},
]}}  # fmt: skip


@pytest.mark.parametrize("outputs", [{"a": {"n": 1}}, RUN_OF_PORT])
def test_outputs_are_read_from_a_file_and_from_options(
    run: Run, receiver: NodeHandler, folder: Path, outputs: dict[str, Any]
) -> None:
    used = {"n": "{{ .outputs.a.n }}", "m": "{{ .outputs.a.m }}"}
    file = save(folder, a_sequence(a_webhook("a"), a_webhook("b", "http://127.0.0.1:1/b", body=used)))
    (folder / "outputs.json").write_text(json.dumps(outputs), "utf-8")
    options = ("--with", "outputs=outputs.json", "--output", "a.m=[2]", "--to", receiver.url)
    assert run("trigger", file, *options, env=ENV).code == 0
    assert receiver.paths == ["/b"]
    assert json.loads(receiver.requests[0][1]) == {"n": 1, "m": [2]}


def test_outputs_file_with_an_unknown_node_is_rejected(run: Run, folder: Path) -> None:
    (folder / "o.json").write_text('{"nothing": {}}', "utf-8")
    result = run("trigger", DEPLOY, "--with", "outputs=o.json", *INPUTS, env=ENV)
    assert (result.code, "deploy_service has no node nothing" in result.err) == (ExitCode.STORE, True)


def test_route_sends_a_node_to_its_own_target(run: Run, receiver: NodeHandler) -> None:
    routes = ("--route", f"check={receiver.url}/mine", "--to", receiver.url)
    receiver.ready = True
    run("trigger", DEPLOY, *routes, *INPUTS, env=ENV)
    assert receiver.paths[0] == "/mine"


def test_node_url_on_another_machine_is_replaced_by_the_known_handler(
    run: Run, folder: Path, receiver: NodeHandler
) -> None:
    project_file(folder, f"handler = {json.dumps(receiver.url)}\n")
    result = run("trigger", f"{DEPLOY}#check", *INPUTS, env=ENV)
    assert (result.code, receiver.paths) == (0, ["/builds/check"])
    assert result.err.count(f"Sending to {receiver.url}, the handler in ./port-hook.toml.\n") == 1


def test_option_gives_the_response_to_an_input_node(run: Run, folder: Path) -> None:
    outlets = [{"identifier": "approve"}, {"identifier": "decline"}]
    config = {"type": "INPUT", "userInputs": {"buttons": outlets}, "outlets": outlets}
    workflow = a_sequence(
        {"identifier": "approval", "config": config}, {"identifier": "think", "config": {"type": "AI", "prompt": "?"}}
    )
    workflow["connections"][1]["sourceOutletIdentifier"] = "approve"
    file = save(folder, workflow)
    found = run("trigger", file, "--respond", "approval=approve", "--json", env=ENV).records
    assert [(each["type"], each.get("node"), each["result"]) for each in found] == [
        ("node", "approval", "SUCCESS"),
        ("node", "think", "FAILED"),
        ("workflow_run", None, "FAILED"),
    ]
    assert found[0]["outlet"] == "approve"
    message = "port-hook does not run AI nodes. Pass its output with --output think=JSON."
    assert found[1]["output"] == {"error": {"message": message}}
    waiting = run("trigger", file, "--json", env=ENV).records
    assert waiting[-1]["in_progress"]["node"] == "approval"
    shown = run("trigger", file, env=ENV).out
    assert "waits for a response. Its outlets: approve, decline" in shown
    assert "Pass --respond approval=OUTLET." in shown
    wrong = run("trigger", file, "--respond", "approval=maybe", env=ENV)
    assert (wrong.code, "has no outlet maybe. It has: approve, decline" in wrong.err) == (ExitCode.USAGE, True)


def test_workflow_with_an_event_trigger_needs_an_event(run: Run, folder: Path, receiver: NodeHandler) -> None:
    trigger = {"type": "EVENT_TRIGGER", "event": {"type": "ENTITY_UPDATED"}}
    node = a_webhook("tell", body={"after": "{{ .outputs.trigger.diff.after.title }}"})
    file = save(folder, a_sequence(node, trigger=trigger))
    (folder / "event.json").write_text('{"action": "UPDATE", "diff": {"after": {"title": "New"}}}', "utf-8")
    without = run("trigger", file, "--to", receiver.url, env=ENV)
    assert (without.code, "Pass the event with --with event=FILE" in without.err) == (ExitCode.USAGE, True)
    assert run("trigger", file, "--to", receiver.url, "--with", "event=event.json", env=ENV).code == 0
    assert json.loads(receiver.requests[0][1]) == {"after": "New"}


def test_workflow_does_not_run_when_its_trigger_condition_is_not_met(
    run: Run, folder: Path, receiver: NodeHandler
) -> None:
    condition = {"type": "JQ", "expressions": ['.action == "CREATE"'], "combinator": "and"}
    file = save(folder, a_sequence(a_webhook("tell"), trigger={"type": "EVENT_TRIGGER", "condition": condition}))
    (folder / "event.json").write_text('{"action": "UPDATE"}', "utf-8")
    options = ("--to", receiver.url, "--with", "event=event.json")
    result = run("trigger", file, *options, env=ENV)
    assert (result.code, receiver.requests) == (ExitCode.NOT_TRIGGERED, [])
    assert '  .action == "CREATE" is false' in result.err.splitlines()
    (record,) = run("trigger", file, *options, "--json", env=ENV).records
    assert (record["type"], record["action"]) == ("unmet", "one")
    assert record["expressions"] == [{"expression": '.action == "CREATE"', "message": "is false"}]
    (folder / "event.json").write_text('{"action": "CREATE"}', "utf-8")
    assert (run("trigger", file, *options, env=ENV).code, receiver.paths) == (0, ["/"])


def test_trigger_prints_a_note_about_an_unpublished_trigger(run: Run, folder: Path, receiver: NodeHandler) -> None:
    trigger = {"type": "SELF_SERVE_TRIGGER", "published": False}
    file = save(folder, a_sequence(a_webhook("tell"), trigger=trigger))
    result = run("trigger", file, "--to", receiver.url, env=ENV)
    assert (result.code, receiver.paths) == (0, ["/"])
    said = "the trigger start has `published: false`, so it is disabled in Port. Port does not document"
    assert f"note: {said}" in result.err


def test_invalid_arguments_are_rejected_before_any_request(run: Run) -> None:
    for arguments, message in (
        ((f"{DEPLOY}#nothing",), "has no node nothing"),
        ((DEPLOY, "--output", "nothing.x=1"), "has no node nothing"),
        ((f"{DEPLOY}#is_ready", *INPUTS), "The node is_ready has the type CONDITION"),
        ((DEPLOY, "--output", "check"), "is not NODE.path=JSON"),
        ((DEPLOY, "--output", "check.a=ready"), "--output check.a: "),
        ((DEPLOY, "--respond", "check"), "is not NODE=BUTTON"),
        ((DEPLOY, *INPUTS, "--to", "1", "--wait", "1"), "--wait follows the run in a sandbox on this machine"),
        ((str(EXAMPLES / "actions" / "create_vm.json"), "--to", "1", "--respond", "a=b"), "--respond is for workflows"),
    ):
        result = run("trigger", *arguments, env={**ENV, "PORT_CLIENT_ID": "x"})
        assert (result.code, message in result.err) == (ExitCode.USAGE, True), result.err


def test_workflow_output_masks_secrets(run: Run, receiver: NodeHandler, folder: Path) -> None:
    leaky = a_webhook("a", "http://127.0.0.1:1/{{ .secrets.HOOK }}") | {"variables": {"said": "{{ .secrets.HOOK }}"}}
    file = save(folder, a_sequence(leaky))
    (folder / "secrets.json").write_text('{"HOOK": "a-very-secret-value"}', "utf-8")
    for form in ((), ("--json",)):
        result = run("trigger", file, "--to", receiver.url, "--with", "secrets=secrets.json", *form, env=ENV)
        assert result.code == 0
        assert "a-very-secret-value" not in result.out + result.err
        assert receiver.paths[-1] == "/a-very-secret-value"


def test_trigger_prints_the_request_of_a_webhook_node_instead_of_sending_it(
    run: Run, receiver: NodeHandler, folder: Path
) -> None:
    (folder / "secrets.json").write_text('{"HOOK": "a-very-secret-value"}', "utf-8")
    leaky = a_webhook("a", "http://127.0.0.1:1/{{ .secrets.HOOK }}", body={"é": 1})
    leaky["onFailure"] = {"type": "TERMINATE"}
    wait = {"identifier": "w", "config": {"type": "CONDITION", "outlets": []}}
    file = save(folder, a_sequence(leaky, wait))
    words = ("trigger", f"{file}#a", "--to", receiver.url, "--with", "secrets=secrets.json")
    for option, beginning in (
        ("--dry-run", "POST /*** HTTP/1.1\r\nHost: 127.0.0.1"),
        ("--format=curl", "printf '%s' '{"),
        ("--json", '{"schema":"port-hook/trigger/'),
    ):
        result = run(*words, "--dry-run", option, env=ENV)
        assert (result.code, result.out[: len(beginning)]) == (0, beginning), result.out + result.err
        assert "secrets are masked" in result.err
        assert option != "--json" or json.loads(result.out)["request"]["url"].endswith("/***")
    for name, typed in ((file, ["--dry-run"]), (f"{file}#w", ["--format", "curl"])):
        result = run("trigger", name, "--to", receiver.url, *typed, env={**ENV, "PORT_CLIENT_ID": "id"})
        assert (result.code, f"{typed[0]} prints the request of an action or" in result.err) == (ExitCode.USAGE, True)
    unknown = run("trigger", f"{file}#nope", "--to", receiver.url, "--dry-run", env=ENV)
    assert (unknown.code, "has no node nope." in unknown.err) == (ExitCode.USAGE, True)
    assert receiver.requests == []


def test_note_shows_expressions_with_possible_differences_in_port(
    run: Run, receiver: NodeHandler, folder: Path
) -> None:
    outlets = [{"identifier": "yes", "expression": ".outputs.a.ok | toboolean"}]
    variables = {"ok": '{{ "true" }}', "line": '{{ "-" * .result.n }}'}
    node = a_webhook("a", body={"a": '{{ "a" | trimstr("b") }}'}) | {"variables": variables}
    workflow = a_sequence(node, {"identifier": "is", "config": {"type": "CONDITION", "outlets": outlets}})
    result = run("trigger", save(folder, workflow), "--to", receiver.url, env=ENV)
    assert [line.partition(":")[2].partition(":")[0].strip() for line in result.err.splitlines()] == [
        '{{ "a" | trimstr("b") }} uses trimstr',
        '{{ "-" * .result.n }} uses *',
        "{{ .outputs.a.ok | toboolean }} uses toboolean",
    ]


# --- with a sandbox -------------------------------------------------------------------------------------------------


@pytest.fixture
def reporting() -> Iterator[Reporting]:
    with serving(Reporting()) as found, a_sandbox() as sandbox:
        found.api = environ_of(sandbox)
        yield found


def test_wait_continues_when_the_result_is_reported_to_the_sandbox(run: Run, reporting: Reporting) -> None:
    result = run("trigger", DEPLOY, "--to", reporting.url, *INPUTS, "--wait", "20", env=dict(reporting.api))
    assert result.code == 0, result.err
    assert '{"runId":7}' in result.out
    assert "https://ci.example.com/services/cart" in result.out
    assert result.out.rstrip().endswith("SUCCESS")


def an_upsert(folder: Path, **mapping: Any) -> str:
    return save(folder, one_node(type="UPSERT_ENTITY", blueprintIdentifier="vm", mapping=mapping))


def test_upsert_node_saves_its_entity_in_the_sandbox(run: Run, folder: Path) -> None:
    file = an_upsert(folder, identifier="vm1", properties={"cpu": 2})
    with a_sandbox() as sandbox:
        found = run("trigger", file, "--json", env=environ_of(sandbox)).records
        assert sandbox.entities["vm", "vm1"]["properties"] == {"cpu": 2}
    assert found[0]["output"]["response"]["data"]["identifier"] == "vm1"
    assert found[0]["remarks"] == []


def test_upsert_node_gets_an_identifier_when_its_mapping_has_none(run: Run, folder: Path) -> None:
    for has_sandbox in (True, False):
        with a_sandbox() as sandbox:
            env = environ_of(sandbox) if has_sandbox else ENV
            (node, _) = run("trigger", an_upsert(folder, title="VM 1"), "--json", env=env).records
            saved = [identifier for _, identifier in sandbox.entities]
        data = node["output"]["response"]["data"]
        assert (data["title"], saved) == ("VM 1", [data["identifier"]] if has_sandbox else [])
        assert data["identifier"]
        assert ["was not saved" in each for each in node["remarks"]] == ([] if has_sandbox else [True])


def test_upsert_node_fails_when_its_mapping_is_no_entity_even_without_a_sandbox(run: Run, folder: Path) -> None:
    for mapping in ({"properties": "none"}, {"identifier": "{{ null }}"}):
        result = run("trigger", an_upsert(folder, **mapping), "--json", env=ENV)
        assert result.code == ExitCode.FAILED
        assert f"`mapping.{next(iter(mapping))}` must render to" in result.records[0]["output"]["error"]["message"]


def test_upsert_node_fails_when_the_sandbox_rejects_the_entity(run: Run, folder: Path) -> None:
    file = an_upsert(folder, identifier="vm 1")
    with a_sandbox() as sandbox:
        result = run("trigger", file, "--json", env=environ_of(sandbox))
    assert result.code == ExitCode.FAILED
    assert "identifier" in result.records[0]["output"]["error"]["message"]


def test_node_with_an_unreachable_handler_fails_with_the_reason(run: Run) -> None:
    with handler() as gone:
        port = str(gone.port)
    result = run("trigger", DEPLOY, "--to", port, *INPUTS, env=ENV)
    assert result.code == ExitCode.FAILED
    assert f"  failed     nothing listens on 127.0.0.1:{port}" in result.out


def test_failed_expression_of_a_webhook_node_is_a_warning_and_in_the_record(
    run: Run, receiver: NodeHandler, folder: Path
) -> None:
    file = save(folder, a_sequence(a_webhook("first"), a_webhook("second", body={"x": "{{ 1 | .b }}"})))
    shown = run("trigger", file, "--to", receiver.url, env=ENV)
    assert "warning    {{ 1 | .b }} became null" in shown.out
    second = run("trigger", file, "--to", receiver.url, "--json", env=ENV).records[1]
    assert [error["expression"] for error in second["errors"]] == ["1 | .b"]


def test_failed_expression_of_an_asynchronous_node_is_a_warning(run: Run, folder: Path) -> None:
    node = a_webhook("only", synchronized=False, body={"x": "{{ 1 | .b }}"})
    file = save(folder, a_sequence(node, trigger={"type": "SCHEDULE_TRIGGER"}))
    with handler() as target:
        shown = run("trigger", file, "--to", target.url, env=ENV)
    assert "warning    {{ 1 | .b }} became null" in shown.out


def test_response_with_a_non_json_number_leaves_the_records_valid_json(run: Run, folder: Path) -> None:
    for body, data in ((b"NaN", "NaN"), (b"[1e999]", [None]), (b'{"a": -Infinity}', '{"a": -Infinity}')):

        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is not JSON")

        second = a_webhook("second", body={"x": "{{ .outputs.first.response.data }}"})
        file = save(folder, a_sequence(a_webhook("first"), second))
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        with handler(head + body) as target:
            out = run("trigger", file, "--to", target.url, "--json", env=ENV).out
        first, *_ = [json.loads(line, parse_constant=refuse) for line in out.splitlines()]
        assert first["output"]["response"]["data"] == data
        assert json.loads(target.requests[1].body) == {"x": data}


def test_node_with_a_placeholder_url_is_sent_to_the_given_target(run: Run, folder: Path, receiver: NodeHandler) -> None:
    file = save(folder, a_sequence(a_webhook("call", "<WEBHOOK_URL>", headers={"X-Name": "Zoë"})))
    result = run("trigger", file, "--to", receiver.url, env=ENV)
    assert result.code == 0
    assert "note: the node call's URL is <WEBHOOK_URL>, which is not a URL. The request goes to the given" in result.err
    assert "note: the header X-Name of the node call has non-ASCII characters" in result.err
    assert receiver.paths == ["/"]
    refused = run("trigger", file, "--to-its-url", env=ENV)
    assert "which is not a URL that begins with" in refused.out


def test_response_in_variables_prints_a_note_about_ports_documentation(
    run: Run, folder: Path, receiver: NodeHandler
) -> None:
    for expression, has_note in (
        ("{{ .response.status }}", True),
        ("s: {{ .response | length }}", True),
        ("{{ .result.response.status }}", False),
        ("{{ .outputs.start.response }}", False),
        ("response", False),
    ):
        file = save(folder, a_sequence(a_webhook("call", receiver.url) | {"variables": {"code": expression}}))
        result = run("trigger", file, env=ENV)
        assert result.code == 0
        assert ("note: `variables` of the node call read `.response`" in result.err) is has_note
        assert ("`.result.response`" in result.err) is has_note
        assert has_note or result.err == ""


def test_hint_after_a_rejected_request_of_a_node_can_be_pasted(run: Run) -> None:
    with handler(b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n") as receiver:
        node = f"{DEPLOY}#deploy"
        hint = " ".join(run("trigger", node, "--to", str(receiver.port), *INPUTS, env=ENV).out.split())
        commands = re.findall(r"`port-hook (check [^`]*)`", hint)
        sample = run(*shlex.split(commands[0]), env=ENV)
    assert "--dry-run" not in hint
    assert len(commands) == 1
    assert "rejected the valid request" in sample.out
