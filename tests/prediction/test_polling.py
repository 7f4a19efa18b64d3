"""Runs in responses of Port's API, and values of a topic: which ones the agent accepts, and how it reads them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from port_hook_cli.prediction.calls import CLAIM_LIMIT, action_of, is_full, listed_runs, taking_calls
from port_hook_cli.prediction.message import Acceptance, AgentTransport, Subject, take_message, take_topic_message
from tests.json_values import json_values
from tests.prediction.worlds import NODE_RUN, RUN, SECRET, action_run, node_run, topic_message

JSON = json_values(st.integers() | st.text(), st.sampled_from(["id", "runs", "payload", "x"]) | st.text(), max_leaves=6)


def ids(runs: list[dict[str, Any]]) -> list[str]:
    return [run["id"] for run in runs]


def listed(run_id: str, created: str | None = None, **changes: Any) -> dict[str, Any]:
    return {**action_run(**changes), "id": run_id, **({"createdAt": created} if created else {})}


def test_list_has_only_runs_of_webhooks_for_the_agent_the_oldest_first() -> None:
    runs = [
        listed("r_new", "2026-05-02T00:00:00.000Z"),
        listed("r_undated"),
        listed("r_old", "2026-05-01T00:00:00.000Z"),
        listed("r_direct", agent=False),
        listed("r_kafka", type="KAFKA"),
        {"id": "r_bare", "payload": None},
        {"payload": {"type": "WEBHOOK", "agent": True}},
        "text",
    ]
    assert ids(listed_runs({"runs": runs}, since_s=None)) == ["r_old", "r_new", "r_undated"]
    assert ids(listed_runs({"runs": runs}, since_s=1777593600)) == ["r_old", "r_new", "r_undated"]
    assert ids(listed_runs({"runs": runs}, since_s=1777593601)) == ["r_new", "r_undated"]


def test_run_has_the_name_of_its_action() -> None:
    rows: list[tuple[Any, Any]] = [({"identifier": "a"}, "a"), ({"identifier": 1}, ""), ("a", "")]
    for action, name in rows:
        assert action_of({"action": action}) == name
    assert is_full({"runs": [{}] * 1000})
    assert not is_full({"runs": [{}] * 999})


@settings(max_examples=20)
@given(JSON)
def test_reading_runs_accepts_any_response(value: Any) -> None:
    for response in ({"runs": value}, value if isinstance(value, dict) else {}):
        for run in listed_runs(response, since_s=0):
            assert isinstance(run["id"], str)
            action_of(run)
        is_full(response)


def test_calls_that_take_a_run_have_the_agents_routes_and_run_ids() -> None:
    taken, acknowledged = taking_calls(take_message(action_run(), AgentTransport.POLLING, SECRET))
    assert (taken.method, taken.path, taken.headers) == (
        "POST", "/v1/actions/runs/claim-pending", {"x-port-reserved-usage": "true"},
    )  # fmt: skip
    assert taken.body == {"installationId": "_PORT_EXEC_AGENT", "limit": CLAIM_LIMIT, "invocationMethod": "WEBHOOK"}
    assert acknowledged.body == {"runIds": [RUN]}
    taken, acknowledged = taking_calls(take_message(node_run(), AgentTransport.POLLING, SECRET))
    assert taken.body == {"installationId": "_PORT_EXEC_AGENT", "limit": CLAIM_LIMIT}
    assert acknowledged.body == {"nodeRunIdentifier": NODE_RUN}


# Values of a topic.


def test_message_of_a_topic_is_accepted_only_with_a_signature_and_the_flag_of_the_agent() -> None:
    message = take_topic_message(topic_message(), SECRET)
    assert (message.acceptance, message.subject, message.run_id) == (Acceptance.ACCEPTED, Subject.ACTION_RUN, RUN)
    assert message.document["headers"] == {"X-Team": "a"}
    for headers in (None, {"X-Port-Timestamp": "1"}):
        document = {**topic_message(), "headers": headers}
        if headers is None:
            del document["headers"]
        message = take_topic_message(document, SECRET)
        assert (message.acceptance, message.notes) == (Acceptance.BAD_SIGNATURE, ())
    for document in ({"run": "r_1", "headers": {}}, action_run(), {}):
        assert take_topic_message(document, SECRET).acceptance is Acceptance.NOT_FOR_AGENT


@pytest.mark.parametrize("document", [[], {"payload": []}, {**topic_message(), "headers": ["X-Port-Signature"]}])
def test_unreadable_value_is_an_error(document: Any) -> None:
    with pytest.raises(ValueError, match=r"not an object|cannot read it"):
        take_topic_message(document, SECRET)


@settings(max_examples=20)
@given(JSON)
def test_any_value_of_a_topic_is_a_message_or_a_value_error(value: Any) -> None:
    try:
        message = take_topic_message(value, SECRET)
    except ValueError:
        return
    assert message.acceptance is not Acceptance.ACCEPTED
