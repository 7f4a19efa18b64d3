"""Runs in responses of Port's API, and values of a topic: which ones the agent accepts, and how it reads them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from port_hook_cli.prediction.calls import (
    RunQueue,
    acknowledge_call,
    action_of,
    claim_call,
    claimed_runs,
    is_acknowledged,
    is_full,
    listed_runs,
)
from port_hook_cli.prediction.message import Acceptance, Subject, take_topic_message
from tests.json_values import json_values
from tests.prediction.worlds import NODE_RUN, RUN, SECRET, action_run, topic_message

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


def test_claimed_runs_have_the_key_of_their_queue_and_an_action() -> None:
    rows: list[tuple[Any, Any]] = [({"identifier": "a"}, "a"), ({"identifier": 1}, ""), ("a", "")]
    for action, name in rows:
        assert action_of({"action": action}) == name
    response = {"runs": [{"id": "r_1"}, {"id": 1}], "nodeRuns": [{"identifier": "wfnr_1"}, {"id": "r_2"}]}
    assert claimed_runs(RunQueue.ACTIONS, response) == [{"id": "r_1"}]
    assert claimed_runs(RunQueue.NODES, response) == [{"identifier": "wfnr_1"}]

    assert is_full({"runs": [{}] * 1000})
    assert not is_full({"runs": [{}] * 999})


@settings(max_examples=20)
@given(JSON)
def test_reading_runs_accepts_any_response(value: Any) -> None:
    for response in ({"runs": value, "nodeRuns": value}, value if isinstance(value, dict) else {}):
        for run in (*listed_runs(response, since_s=0), *claimed_runs(RunQueue.ACTIONS, response)):
            assert isinstance(run["id"], str)
            action_of(run)
        claimed_runs(RunQueue.NODES, response)
        is_full(response)


def test_calls_have_the_agents_routes_and_run_ids() -> None:
    claim = claim_call(RunQueue.ACTIONS, 1)
    assert (claim.method, claim.path, claim.headers) == (
        "POST", "/v1/actions/runs/claim-pending", {"x-port-reserved-usage": "true"},
    )  # fmt: skip
    assert claim.body == {"installationId": "_PORT_EXEC_AGENT", "limit": 1, "invocationMethod": "WEBHOOK"}
    assert claim_call(RunQueue.NODES, 1).body == {"installationId": "_PORT_EXEC_AGENT", "limit": 1}
    assert acknowledge_call(RunQueue.ACTIONS, RUN).body == {"runIds": [RUN]}
    assert acknowledge_call(RunQueue.NODES, NODE_RUN).body == {"nodeRunIdentifier": NODE_RUN}


def test_acknowledgment_shows_whether_the_run_was_free() -> None:
    rows: list[tuple[Any, Any, Any]] = [
        (RunQueue.ACTIONS, {"ackedCount": 1}, True),
        (RunQueue.ACTIONS, {"ackedCount": 0}, False),
        (RunQueue.NODES, {"acked": True}, True),
        (RunQueue.NODES, {"ackedCount": 1}, False),
    ]
    for queue, response, expected in rows:
        assert is_acknowledged(queue, response) is expected


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
