"""The request that the published agent makes of a message: which mapping, which bytes, which signature."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.engines.agent_jq import AgentJq
from port_hook_cli.engines.encryption import encrypt_aes_gcm
from port_hook_cli.prediction.message import AgentVersion
from port_hook_cli.prediction.prediction import Prediction
from port_hook_cli.prediction.wire import WireRequest
from port_hook_cli.signatures.signing import sign
from tests.json_values import json_values
from tests.prediction.worlds import (
    NODE_RUN,
    RUN,
    SECRET,
    STAMP,
    URL,
    action_run,
    mappings_of,
    node_run,
    predicted,
    topic_message,
)

WORDS = st.sampled_from(
    ["id", "identifier", "payload", "config", "action", "invocationMethod", "agent", "url", "type", "context", "runId",
     "headers", "X-Port-Signature", "X-Port-Timestamp", "changelogDestination", "body", "method", "run", "nodeRuns"]
)  # fmt: skip
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["wfnr_1", "http://h/", "POST"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=14,
)


def sent(prediction: Prediction) -> WireRequest:
    assert prediction.wire is not None, prediction.reason
    return prediction.wire


def body_of(prediction: Prediction) -> Any:
    return json.loads(sent(prediction).body)


def test_claimed_node_run_is_sent_like_the_request_observed_on_loopback(jq: AgentJq) -> None:
    wire = sent(predicted(jq, node_run(), version=AgentVersion.MAY_2026))
    spaced = (
        '{"headers": {"X-Mine": "1"}, "payload": {"action": {"invocationMethod": {"type": "WEBHOOK", '
        f'"url": "{URL}", "synchronized": true, "method": "POST", "headers": {{"X-Mine": "1"}}}}}}}}, '
        f'"context": {{"runId": "{NODE_RUN}", "nodeConfig": {{"type": "WEBHOOK", "url": "{URL}", "agent": true, '
        '"synchronized": true, "method": "POST", "headers": {"X-Mine": "1"}, "body": {"a": "\\u00e9"}}}}'
    )
    compact = json.dumps(json.loads(spaced), separators=(",", ":")).encode()
    assert wire.content.decode("ascii") == (
        "POST /hook HTTP/1.1\r\n"
        "Host: 127.0.0.1:8000\r\n"
        "User-Agent: python-requests/2.32.4\r\n"
        "Accept-Encoding: gzip, deflate\r\n"
        "Accept: */*\r\n"
        "Connection: keep-alive\r\n"
        f"X-Port-Timestamp: {STAMP}\r\n"
        f"X-Port-Signature: {sign(compact, SECRET, STAMP)}\r\n"
        f"Content-Length: {len(spaced)}\r\n"
        "Content-Type: application/json\r\n"
        f"\r\n{spaced}"
    )


def test_claimed_action_run_is_sent_with_the_agents_additions(jq: AgentJq) -> None:
    kept = {"name": "Zoë", "context": {"runId": "other", "entity": None}, "headers": "replaced"}
    prediction = predicted(jq, action_run(body=kept))
    method = {"type": "WEBHOOK", "url": URL, "synchronized": True, "method": "POST", "headers": {"A": "1"}}
    document = {
        "name": "Zoë",
        "context": {"runId": RUN, "entity": None},
        "headers": {"A": "1"},
        "payload": {"action": {"invocationMethod": method}},
    }
    assert sent(prediction).body == json.dumps(document).encode()
    assert "A" not in dict(sent(prediction).headers)  # the action's headers are echoed, not sent


def test_message_of_a_topic_is_sent_without_its_signature(jq: AgentJq) -> None:
    document = topic_message()
    prediction = predicted(jq, document)
    del document["headers"]["X-Port-Signature"], document["headers"]["X-Port-Timestamp"]
    assert document["payload"]["action"]["invocationMethod"]["agent"] is True
    assert sent(prediction).body == json.dumps(document).encode()


def test_payload_is_verified_without_missing_headers(jq: AgentJq) -> None:
    document = topic_message(method={"type": "GITLAB"})
    headers = document.pop("headers")
    content = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    document["headers"] = {**headers, "X-Port-Signature": sign(content, SECRET, STAMP)}
    assert "headers" not in body_of(predicted(jq, document))

    document = topic_message()
    del document["headers"]
    prediction = predicted(jq, document)
    assert "no signature headers" in " ".join(prediction.message.notes)
    assert body_of(prediction) == document


def test_first_enabled_mapping_is_used_and_later_mappings_are_not_evaluated(jq: AgentJq) -> None:
    mappings = mappings_of(
        {"enabled": '.action == "other"', "method": '"GET"'},
        {"enabled": ".action", "method": '"GET"'},  # "create_vm" is not true
        {"enabled": False, "method": '"GET"'},
        {"enabled": '.action == "create_vm"', "method": '"put"'},
        {"enabled": "error"},
    )
    prediction = predicted(jq, topic_message(), mappings)
    assert [(tried.mapping.place, tried.is_enabled) for tried in prediction.tries] == [
        ("[0]", False), ("[1]", False), ("[2]", False), ("[3]", True),
    ]  # fmt: skip
    assert sent(prediction).method == "PUT"


def test_mapping_makes_every_part_of_the_request(jq: AgentJq) -> None:
    mappings = mappings_of(
        {
            "method": '"patch"',
            "url": '.payload.action.invocationMethod.url + "/" + (.payload.properties.name | @uri)',
            "headers": {"X-Run": ".context.runId", "user-agent": '"mine"', "X-Gone": ".nothing"},
            "query": {"name": ".payload.properties.name", "none": ".nothing", "all": "[1, 2]"},
            "body": {"n": 1.0, "deep": {"empty": {}, "list": [".action", {"x": ".context.runId"}]}, "bad": ".a +"},
        }
    )
    prediction = predicted(jq, topic_message(), mappings)
    wire = sent(prediction)
    assert (wire.method, wire.address.target) == ("PATCH", "/hook/Zo%C3%AB?name=Zo%C3%AB&all=1&all=2")
    assert wire.body == f'{{"n": 1.0, "deep": {{"list": ["create_vm", {{"x": "{RUN}"}}]}}, "bad": null}}'.encode()
    fields = dict(wire.headers)
    assert (fields["X-Run"], fields["user-agent"], "User-Agent" in fields, "X-Gone" in fields) == (
        RUN,
        "mine",
        False,
        False,
    )
    assert list(fields)[:2] == ["Host", "user-agent"]
    errors = {field.place: field.result.error for field in prediction.fields if field.result.error}
    assert list(errors) == ["[0].body.bad"]
    assert errors["[0].body.bad"].endswith("line 1, column 4")


def test_mapped_body_can_be_anything(jq: AgentJq) -> None:
    rows: list[tuple[Any, Any]] = [(".nothing", b""), ('"text"', b'"text"'), ("", None), ({}, b"{}")]
    for body, expected in rows:
        wire = sent(predicted(jq, topic_message(), mappings_of({"body": body})))
        assert wire.body == (b"{}" if expected is None else expected)
        assert ("Content-Type" in dict(wire.headers)) is bool(wire.body)
        assert dict(wire.headers)["Content-Length"] == str(len(wire.body))
        assert dict(wire.headers)["X-Port-Signature"] == sign(wire.body or b"null", SECRET, STAMP)


def test_values_at_paths_are_decrypted_before_the_mapping_is_applied(jq: AgentJq) -> None:
    encrypted = encrypt_aes_gcm(SECRET, '{"user": "zoë"}'.encode())
    document = topic_message(token=encrypted, keys=[{"k": encrypt_aes_gcm(SECRET, b"two")}], plain="x", short="aGk=")
    paths = [
        "payload.properties.token", "payload.properties.keys.0.k", "payload.properties.plain", "payload.none",
        "payload.properties.short", "payload.properties.keys.one", "payload.properties.*.k", "action.x", "payload",
        "**",
    ]  # fmt: skip
    prediction = predicted(jq, document, mappings_of({"fieldsToDecryptPaths": paths, "body": ".payload.properties"}))
    assert body_of(prediction) == {
        "name": "Zoë", "token": '{"user": "zoë"}', "keys": [{"k": "two"}], "plain": "x", "short": "aGk=",
    }  # fmt: skip
    assert [path.problem for path in prediction.decrypted] == [
        "", "", "the value is not base64", "the message has no value there", "the value is too short to be encrypted",
        "the message has no value there", "wildcards do not decrypt values", "the message has no value there",
        "the value is not text", "wildcards do not decrypt values",
    ]  # fmt: skip
    assert "zoë" not in repr(prediction.decrypted)


def test_value_encrypted_with_another_secret_stays(jq: AgentJq) -> None:
    from port_hook_cli.text.secret import Secret

    encrypted = encrypt_aes_gcm(Secret("z" * 40), b"value")
    mappings = mappings_of({"fieldsToDecryptPaths": ["payload.properties.token"]})
    prediction = predicted(jq, topic_message(token=encrypted), mappings)
    assert prediction.decrypted[0].problem == "the client secret does not decrypt it"
    assert body_of(prediction)["payload"]["properties"]["token"] == encrypted


@given(document=json_values(st.integers(-(2**31), 2**31 - 1) | TEXT, TEXT, max_leaves=8))
def test_identity_does_not_change_any_document_or_the_order_of_its_keys(jq: AgentJq, document: Any) -> None:
    (result,) = jq.evaluate(["."], document)
    assert json.dumps(result.value) == json.dumps(document)


@given(document=JSON)
def test_any_document_is_read_or_rejected_with_a_reason(jq: AgentJq, document: Any) -> None:
    try:
        prediction = predicted(jq, document)
    except ValueError as error:
        assert str(error).startswith(("it is not an object", "the agent cannot read it"))  # noqa: PT017
        return
    assert bool(prediction.wire) != bool(prediction.reason)
