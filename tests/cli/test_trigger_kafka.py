"""`trigger --to kafka://HOST:PORT` against an embedded broker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.invocations.models import Status
from port_hook_cli.kafka.messages import message_headers
from port_hook_cli.kafka.producer import embedded_broker
from port_hook_cli.signatures.messages import verify_received
from tests.conftest import Run
from tests.factories import RUN_ID, SECRET
from tests.sandboxes import a_sandbox, a_sequence, environ_of
from tests.servers import handler
from tests.sockets import free_port
from tests.topics import reading

TOPIC = "org_a.runs"
ENV = {"PORT_CLIENT_SECRET": SECRET.reveal(), "PORT_CLIENT_ID": "id", "PORT_ORG_ID": "org_a"}
TITLE = ("--input", "title=zoë", "--run-id", RUN_ID)
WEBHOOK = {"type": "WEBHOOK", "url": "https://hooks.example.com/vm", "agent": True}
KAFKA = {"type": "KAFKA", "payload": {"run": "{{ .run.id }}", "title": "{{ .inputs.title }}"}}


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    with embedded_broker() as address:
        yield address


@pytest.fixture
def action(folder: Path) -> str:
    return write(folder, {**create_vm_action(), "invocationMethod": WEBHOOK})


def write(folder: Path, document: Any) -> str:
    (folder / "action.json").write_text(json.dumps(document), "utf-8")
    return "action.json"


def message_at(broker: str, topic: str, published: dict[str, Any]) -> dict[str, Any]:
    """Return the message at the offset of a record. Earlier messages belong to other tests."""
    with reading(broker, topic) as found:
        for _ in range(100):
            value = found.next()
            if json.loads(value) == published["message"]:
                stamp = float(published["message"]["headers"]["X-Port-Timestamp"])
                headers = message_headers(value)
                verdict = verify_received(headers, value, SECRET, is_message=True, now=stamp)
                assert verdict.status is Status.VALID
                return dict(json.loads(value))
    raise AssertionError("the message is not in the topic")


def test_trigger_publishes_the_message_for_the_agent(run: Run, broker: str, action: str) -> None:
    result = run("trigger", action, "--to", f"kafka://{broker}", "--json", *TITLE, env=ENV)
    assert (result.code, result.err) == (0, "")
    (record,) = result.records
    assert (record["type"], record["agent"], record["synchronized"]) == ("message", True, False)
    assert (record["published"]["topic"], record["published"]["brokers"]) == (TOPIC, [broker])
    message = message_at(broker, TOPIC, record)
    assert message["context"]["runId"] == RUN_ID
    assert message["payload"]["properties"]["title"] == "zoë"
    assert message["payload"]["action"]["invocationMethod"]["url"] == WEBHOOK["url"]


def test_trigger_shows_the_message_and_who_ends_the_run(run: Run, broker: str, action: str) -> None:
    result = run("trigger", action, "--to", f"kafka://{broker}", *TITLE, env=ENV)
    assert (result.code, result.err) == (0, "")
    for words in (
        f"create_vm CREATE  message for {TOPIC}",
        RUN_ID,
        '"zoë"',
        f"published  {TOPIC}, partition ",
        "the run stays IN_PROGRESS until the handler reports its result",
        "The agent sends the request to the handler.",
        f"port-hook report-run {RUN_ID} --status success",
    ):
        assert words in result.out


def test_trigger_shows_the_end_of_a_synchronized_run_by_the_agent(run: Run, folder: Path, broker: str) -> None:
    action = write(folder, {**create_vm_action(), "invocationMethod": {**WEBHOOK, "synchronized": True}})
    result = run("trigger", action, "--to", f"kafka://{broker}", *TITLE, env=ENV)
    assert "the run is synchronized: the agent reports the response, which ends it" in result.out


def test_trigger_publishes_the_message_of_a_kafka_action(run: Run, folder: Path, broker: str) -> None:
    action = write(folder, {**create_vm_action(), "invocationMethod": KAFKA})
    result = run("trigger", action, "--to", f"kafka://{broker}", "--json", *TITLE, env=ENV)
    (record,) = result.records
    message = message_at(broker, TOPIC, record)
    assert (message["run"], message["title"]) == (RUN_ID, "zoë")
    shown = run("trigger", action, "--to", f"kafka://{broker}", *TITLE, env=ENV)
    assert "the run stays IN_PROGRESS until the handler reports its result" in shown.out
    assert "The handler is the topic's consumer." in shown.out


def test_trigger_prints_a_message_instead_of_publishing_it(run: Run, folder: Path) -> None:
    action = write(folder, {**create_vm_action(), "invocationMethod": KAFKA})
    result = run("trigger", action, "--dry-run", *TITLE, env=ENV)
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out)["run"] == RUN_ID
    (record,) = run("trigger", action, "--dry-run", "--json", *TITLE, env=ENV).records
    assert record["published"] is None


def test_trigger_masks_secrets_in_a_printed_message(run: Run, folder: Path) -> None:
    method = {"type": "KAFKA", "payload": {"key": "{{ .secrets.KEY }}"}}
    action = write(folder, {**create_vm_action(), "invocationMethod": method})
    (folder / "secrets.env").write_text("KEY=s3cret-value\n")
    (folder / "secrets.env").chmod(0o600)
    result = run("trigger", action, "--dry-run", "--with", "secrets=secrets.env", *TITLE, env=ENV)
    assert result.code == 0
    assert "s3cret-value" not in result.out + result.err
    assert "secrets are masked" in result.err


def test_trigger_finds_the_topic_and_announces_the_run_in_the_sandbox(run: Run, broker: str, action: str) -> None:
    with a_sandbox() as sandbox:
        result = run("trigger", action, "--to", f"kafka://{broker}", "--json", *TITLE, env=environ_of(sandbox))
        (record,) = result.records
        assert record["published"]["topic"] == f"{sandbox.organization}.runs"
        assert (sandbox.runs[RUN_ID].start.action, sandbox.runs[RUN_ID].start.properties["title"]) == (
            "create_vm",
            "zoë",
        )


def test_trigger_exits_6_when_the_broker_cannot_be_reached(run: Run, action: str) -> None:
    result = run("trigger", action, "--to", f"kafka://127.0.0.1:{free_port()}", "--timeout", "0.5", *TITLE, env=ENV)
    assert result.code == ExitCode.TARGET
    assert "cannot be reached: " in result.err
    assert "Connection refused" in result.err


def test_trigger_with_kafka_rejects_a_webhook_action(run: Run, folder: Path, broker: str) -> None:
    action = write(folder, {**create_vm_action(), "invocationMethod": {**WEBHOOK, "agent": False}})
    result = run("trigger", action, "--to", f"kafka://{broker}", *TITLE, env=ENV)
    assert result.code == ExitCode.USAGE
    assert (
        "Port sends the request of create_vm itself and does not publish a message: its `agent` is not true."
        in result.err
    )


def test_trigger_asks_for_a_broker_for_a_kafka_action(run: Run, folder: Path) -> None:
    action = write(folder, {**create_vm_action(), "invocationMethod": KAFKA})
    result = run("trigger", action, "--to", "8000", *TITLE, env=ENV)
    assert result.code == ExitCode.USAGE
    assert "over Kafka" in result.err
    assert "--to kafka://HOST:PORT" in result.err


def test_trigger_with_kafka_rejects_options_of_requests(run: Run, action: str) -> None:
    for option in (("--to-its-url",), ("--route", "a=8000"), ("--via-port",), ("--format", "curl")):
        result = run("trigger", action, "--to", "kafka://127.0.0.1:9092/", *option, *TITLE, env=ENV)
        assert result.code == ExitCode.USAGE
        assert option[0] in result.err


def test_workflow_sends_to_a_handler_what_is_not_published(run: Run, folder: Path, broker: str) -> None:
    nodes = (
        {"identifier": "check", "config": {**WEBHOOK, "agent": False}},
        {"identifier": "tell", "config": {"type": "KAFKA", "payload": {"n": 1}}},
    )
    workflow = write(folder, a_sequence(*nodes))
    with handler() as receiver:
        result = run("trigger", workflow, "--to", f"kafka://{broker}", "--route", f"check={receiver.url}", env=ENV)
    assert (result.code, len(receiver.requests)) == (0, 1)
    assert f"published to {TOPIC}, partition " in result.out


def test_trigger_explains_how_to_set_a_missing_organization(run: Run, broker: str, action: str) -> None:
    result = run("trigger", action, "--to", f"kafka://{broker}", *TITLE, env={"PORT_CLIENT_SECRET": SECRET.reveal()})
    assert result.code == ExitCode.SETTINGS
    assert "PORT_ORG_ID" in result.err


def test_trigger_publishes_without_a_signature_and_without_a_secret(run: Run, broker: str, action: str) -> None:
    result = run(
        "trigger", action, "--to", f"kafka://{broker}", "--no-sign", "--json", *TITLE, env={"PORT_ORG_ID": "org_a"}
    )
    assert result.records[0]["message"]["headers"] == {}


def test_organization_from_the_current_directory_does_not_choose_the_topic(
    run: Run, folder: Path, broker: str, action: str
) -> None:
    (folder / ".env").write_text("PORT_ORG_ID=org_of_someone_else\n")
    result = run("trigger", action, "--to", f"kafka://{broker}", "--json", *TITLE, env=ENV)
    assert result.records[0]["published"]["topic"] == TOPIC


def test_workflow_publishes_the_message_of_its_kafka_node_and_waits(run: Run, folder: Path, broker: str) -> None:
    node = {"identifier": "tell", "config": {"type": "KAFKA", "payload": {"n": 1}}}
    workflow = write(folder, a_sequence(node))
    result = run("trigger", workflow, "--to", f"kafka://{broker}", env=ENV)
    assert result.code == 0
    for words in (
        "tell  KAFKA",
        "stays IN_PROGRESS until the handler reports its result",
        f"published to {TOPIC}, partition ",
    ):
        assert words in result.out
    assert "Port does not document what it puts around the payload of a KAFKA node" in result.out
    assert result.out.count("tell  KAFKA") == 1


def test_workflow_publishes_the_request_of_a_node_for_the_agent(run: Run, folder: Path, broker: str) -> None:
    node = {"identifier": "do", "config": {**WEBHOOK, "body": {"n": 1}}}
    workflow = write(folder, a_sequence(node))
    result = run("trigger", workflow, "--to", f"kafka://{broker}", "--json", env=ENV)
    assert result.code == 0
    *_, step, end = result.records
    assert (step["node"], step["status"], step["result"]) == ("do", "IN_PROGRESS", None)
    assert step["request"]["url"] == WEBHOOK["url"]
    assert end["in_progress"]["node"] == "do"
    with reading(broker, TOPIC) as topic:
        messages = [topic.next_document()]
        while messages[-1].get("context", {}).get("runId") != step["node_run_id"]:
            messages.append(topic.next_document())
    assert messages[-1]["context"]["nodeConfig"]["body"] == {"n": 1}


def test_workflow_waits_for_the_report_of_its_kafka_node_in_the_sandbox(run: Run, folder: Path, broker: str) -> None:
    node = {"identifier": "tell", "config": {"type": "KAFKA", "payload": {"n": 1}}}
    workflow = write(folder, a_sequence(node))
    with a_sandbox() as sandbox:
        result = run("trigger", workflow, "--to", f"kafka://{broker}", "--wait", "0.1", env=environ_of(sandbox))
    assert result.code == ExitCode.FAILED
    assert "was not reported within 0.1 s" in result.err


def test_workflow_without_a_broker_explains_how_to_publish(run: Run, folder: Path) -> None:
    workflow = write(folder, a_sequence({"identifier": "tell", "config": {"type": "KAFKA", "payload": {}}}))
    result = run("trigger", workflow, env=ENV)
    assert result.code == 0
    assert (
        "messages are not published without --to kafka://HOST:PORT. Pass an output with --output tell=JSON"
        in result.out
    )
