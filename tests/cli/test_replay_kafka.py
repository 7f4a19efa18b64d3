"""`replay --to kafka://…` against an embedded broker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.invocations.models import Status
from port_hook_cli.kafka.messages import message_headers
from port_hook_cli.kafka.producer import embedded_broker
from port_hook_cli.signatures.messages import verify_received
from tests.conftest import Run
from tests.factories import RUN_ID, SECRET, a_body, a_capture, a_document, an_invocation
from tests.stores import keep
from tests.topics import reading

ENV = {"PORT_CLIENT_SECRET": SECRET.reveal(), "PORT_CLIENT_ID": "id", "PORT_ORG_ID": "org_a"}


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    with embedded_broker() as address:
        yield f"kafka://{address}"


@pytest.fixture(autouse=True)
def capture(folder: Path) -> str:
    """The ID of a captured request for the agent."""
    method = {"type": "WEBHOOK", "url": "https://hooks.example.com/vm", "agent": True, "synchronized": True}
    document = a_document(payload={"action": {"identifier": "create_vm", "invocationMethod": method}})
    capture = a_capture(an_invocation(a_body(document)))
    keep(folder, capture)
    return capture.invocation.id


def test_replay_publishes_captures_and_payloads_with_new_signatures(
    run: Run, folder: Path, broker: str, capture: str
) -> None:
    (folder / "payload.json").write_bytes(a_body())
    result = run("replay", "last", "payload.json", "--to", broker, "--set", "action=other", "--json", env=ENV)
    assert (result.code, result.err) == (0, "")
    assert [(each["action"], each["run_id"], each["agent"]) for each in result.records] == [
        ("other", RUN_ID, True),
        ("other", RUN_ID, False),
    ]
    with reading(broker.removeprefix("kafka://"), "org_a.runs") as found:
        expected = [record["message"] for record in result.records]
        while expected:  # the topic has several partitions, and messages of other tests
            value = found.next()
            message = json.loads(value)
            if message in expected:
                expected.remove(message)
                stamp = float(message["headers"]["X-Port-Timestamp"])
                verdict = verify_received(message_headers(value), value, SECRET, is_message=True, now=stamp)
                assert verdict.status is Status.VALID


def test_replay_shows_where_a_message_was_published_or_prints_it(run: Run, broker: str) -> None:
    shown = run("replay", "last", "--to", broker, env=ENV)
    assert "message for org_a.runs" in shown.out
    assert "  published  org_a.runs, partition " in shown.out
    dry = run("replay", "last", "--to", broker, "--dry-run", env=ENV)
    assert "X-Port-Signature" in json.loads(dry.out)["headers"]


def test_replay_to_a_broker_rejects_what_only_requests_have(run: Run, folder: Path, broker: str) -> None:
    for options in (("--method", "PUT"), ("--expect-status", "2xx"), ("--times", "2"), ("--as-captured",)):
        result = run("replay", "last", "--to", broker, *options, env=ENV)
        assert result.code == ExitCode.USAGE
        assert f"Messages are published, and no request is sent, so {options[0]} has no effect." in result.err
    keep(folder, a_capture(an_invocation(b"[1]", id="cc0000000001")))
    result = run("replay", "cc0000000001", "--to", broker, env=ENV)
    assert (result.code, "The body of cc0000000001 is not a JSON object" in result.err) == (ExitCode.STORE, True)
    result = run("replay", "last", "--to", "kafka://kafka.example.com:9092", env=ENV)
    assert (result.code, "only to brokers on this machine" in result.err) == (ExitCode.USAGE, True)
