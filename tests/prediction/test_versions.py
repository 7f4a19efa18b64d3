"""The agent of May 2026 and the latest version treat the same claimed run differently."""

from __future__ import annotations

from typing import Any

import pytest

from port_hook_cli.prediction.message import Acceptance, AgentMessage, AgentVersion, take_message
from tests.prediction.worlds import NODE_RUN, RUN, SECRET, URL, action_run, node_run, topic_message

MAY, AFTER_MAY, LATEST = AgentVersion.MAY_2026, AgentVersion.AFTER_MAY_2026, AgentVersion.LATEST
BASIC = {"type": "WEBHOOK", "url": URL, "synchronized": True, "method": "POST"}


def taken(document: dict[str, Any], version: AgentVersion | None = None) -> AgentMessage:
    if version is None:
        return take_message(document, None, SECRET)
    return take_message(document, None, SECRET, version=version)


def event(**method: Any) -> dict[str, Any]:
    """Return a body with Port's default payload and its invocation method."""
    return {
        "context": {"runId": RUN},
        "payload": {"action": {"identifier": "a", "invocationMethod": {"type": "WEBHOOK", "agent": True, **method}}},
        "trigger": {"origin": "UI"},
    }


def test_latest_agent_passes_the_whole_configuration_of_a_node() -> None:
    run = node_run(onTimeout="fail", responseTimeout=3)
    method = taken(run, LATEST).method
    assert method == {
        **BASIC,
        "headers": {"X-Mine": "1"},
        "body": {"a": "é"},
        "onTimeout": "fail",
        "responseTimeout": 3,
    }
    assert taken(run, MAY).method == {**BASIC, "headers": {"X-Mine": "1"}}
    assert taken(run, LATEST).document["payload"] == {"action": {"invocationMethod": method}}
    assert taken(run, LATEST).run_id == NODE_RUN


def test_agent_after_may_2026_reads_a_node_like_the_latest_agent_and_writes_its_message_like_the_agent_of_may() -> None:
    run = node_run(onTimeout="fail", body={"a": 1})
    message = taken(run, AFTER_MAY)
    assert message.method == taken(run, LATEST).method
    assert message.document == {
        "headers": {"X-Mine": "1"},
        "payload": {"action": {"invocationMethod": message.method}},
        "context": {"runId": NODE_RUN, "nodeConfig": run["config"]},
    }
    action = {"id": RUN, "payload": {"body": event(url=URL, projectName="p")}}
    assert taken(action, AFTER_MAY).method == taken(action, LATEST).method
    assert taken(action_run(body={"headers": {"H": "1"}}, headers={}), AFTER_MAY).document["headers"] == {}
    assert taken(node_run(body="text"), AFTER_MAY).acceptance is Acceptance.ACCEPTED


def test_latest_agent_adds_defaults_for_missing_fields_of_a_node() -> None:
    run = {"identifier": NODE_RUN, "config": {"type": "WEBHOOK", "url": URL, "agent": True}}
    expected = {"type": "WEBHOOK", "url": URL, "synchronized": False, "method": "POST", "headers": {}}
    assert taken(run, LATEST).method == expected
    assert taken({"identifier": NODE_RUN, "config": {"url": URL}}, LATEST).acceptance is Acceptance.NOT_FOR_AGENT


def test_latest_agent_uses_the_method_of_the_event_and_overrides_it_with_the_run() -> None:
    body = event(url="http://event/", method="PUT", projectName="p")
    run = {"id": RUN, "payload": {"url": URL, "agent": True, "synchronized": True, "body": body}}
    message = taken(run, LATEST)
    assert message.method == {
        "type": "WEBHOOK", "url": URL, "method": "PUT", "projectName": "p", "synchronized": True, "headers": {},
    }  # fmt: skip
    assert message.document["payload"]["action"]["invocationMethod"] == message.method
    assert message.document["payload"]["action"]["identifier"] == "a"
    assert message.notes == ()
    assert "KeyError" in taken(run, MAY).fault  # it reads only the run


def test_run_is_for_the_latest_agent_when_its_event_or_itself_has_the_flag() -> None:
    message = taken({"id": RUN, "payload": {"body": event(url=URL)}})
    assert message.acceptance is Acceptance.ACCEPTED
    assert message.looks_like is LATEST
    assert taken({"id": RUN, "payload": {"body": event(url=URL, agent=False)}}).acceptance is Acceptance.NOT_FOR_AGENT
    run = action_run()
    del run["payload"]["agent"]
    message = taken(run, LATEST)
    assert message.acceptance is Acceptance.NOT_FOR_AGENT
    assert "KeyError" in taken(run, MAY).fault


@pytest.mark.parametrize(("missing", "value", "agent"), [("type", None, True), ("url", "", False)])
def test_latest_agent_fails_when_a_run_lacks_a_type_or_a_url(missing: str, value: str | None, agent: bool) -> None:
    run = action_run(body={"payload": {}}, agent=agent)
    empty = action_run(body={"payload": {}}, agent=agent, **{missing: value})
    del run["payload"][missing]
    for each in (run, empty):
        message = taken(each, LATEST)
        assert message.acceptance is Acceptance.FAULT
        assert message.fault == f"ValueError: Run {RUN} has no invocation method type or url"


def test_latest_agent_replaces_the_headers_of_a_body_only_by_headers() -> None:
    body = {"headers": {"H": "of the body"}, "context": {}}
    assert taken(action_run(body=body, headers={}), LATEST).document["headers"] == {"H": "of the body"}
    assert taken(action_run(body=body, headers={"A": "1"}), LATEST).document["headers"] == {"A": "1"}
    assert taken(action_run(body=body, headers={}), MAY).document["headers"] == {}
    assert taken(action_run(headers=None), LATEST).document["headers"] == {}


def test_message_of_a_node_contains_its_body_for_the_latest_agent() -> None:
    body = {"a": "é", "headers": {"H": "1"}, "payload": {"p": 1}, "context": {"c": 1}, "action": "deploy"}
    run = node_run(body=body)
    message = taken(run, LATEST)
    assert message.document == {
        "a": "é",
        "headers": {"X-Mine": "1"},
        "payload": {"action": {"invocationMethod": message.method}},
        "context": {"runId": NODE_RUN},
        "action": "deploy",
    }
    assert list(message.document) == list(body)
    assert message.method["body"] == body
    assert taken(run, MAY).document.keys() == {"headers", "payload", "context"}
    assert taken(run, MAY).document["context"] == {"runId": NODE_RUN, "nodeConfig": run["config"]}


def test_latest_agent_requires_an_object_as_the_body_of_a_node() -> None:
    rows: list[Any] = [None, {}]
    for body in rows:
        assert taken(node_run(body=body), LATEST).document.keys() == {"headers", "payload", "context"}
    for body in ("text", ["a"]):
        message = taken(node_run(body=body), LATEST)
        assert (message.acceptance, message.run_id) == (Acceptance.FAULT, NODE_RUN)
        assert message.fault == f"TypeError: '{type(body).__name__}' object is not a mapping"
        assert taken(node_run(body=body, agent=False), LATEST).acceptance is Acceptance.NOT_FOR_AGENT
        assert taken(node_run(body=body), MAY).acceptance is Acceptance.ACCEPTED


def test_latest_agent_warns_when_the_body_is_not_an_event() -> None:
    warning = "the agent logs a warning: the body does not look like a Port event"
    assert any(warning in note for note in taken(action_run(), LATEST).notes)
    assert taken(action_run(), MAY).notes == ()
    for name in ("context", "payload", "trigger"):
        assert taken(action_run(body={name: {}}), LATEST).notes == ()
    for nested in ({"payload": 1}, {"payload": {"action": {"invocationMethod": 3}}}):
        assert taken(action_run(body=nested), LATEST).acceptance in {Acceptance.FAULT, Acceptance.ACCEPTED}


@pytest.mark.parametrize("version", AgentVersion)
def test_agents_request_shows_its_version(version: AgentVersion) -> None:
    for run in (node_run(onTimeout="fail"), node_run(body=None), node_run(body={"context": {"nodeConfig": {}}})):
        assert taken(taken(run, version).document).looks_like is version
    action = taken({"id": RUN, "payload": {**BASIC, "agent": True, "body": event(url=URL, extra=1)}}, version).document
    assert taken(action).looks_like is (None if version is MAY else LATEST)


def test_message_has_no_version_when_every_agent_could_send_it() -> None:
    for document in (topic_message(), action_run(), node_run(body=None), {"any": 1}):
        assert taken(document).looks_like is None
