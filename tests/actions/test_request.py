from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from port_hook_cli.actions.action import read_action
from port_hook_cli.actions.request import (
    RenderedRequest,
    RunContext,
    assemble,
    needs_jq,
    request_template,
    template_data,
)
from port_hook_cli.actions.samples import create_vm, create_vm_action
from port_hook_cli.engines.outcomes import UNDEFINED, JqError
from port_hook_cli.errors import RenderError
from tests.factories import RUN_ID

AT = "2023-11-14T22:13:20.000Z"
SAMPLE = create_vm(RUN_ID, at=AT)
ACTION = read_action(create_vm_action())
RUN = RunContext(
    id=RUN_ID,
    by=SAMPLE["trigger"]["by"],
    at=AT,
    origin="UI",
    inputs=SAMPLE["payload"]["properties"],
    properties=SAMPLE["payload"]["properties"],
)


def with_method(**fields: Any) -> Any:
    return replace(ACTION, method={**ACTION.method, **fields})


def rendered(**fields: Any) -> RenderedRequest:
    action = with_method(**fields)
    return assemble(action, RUN, request_template(action))


def test_automation_without_a_body_sends_the_event_and_the_run() -> None:
    trigger = {"type": "automation", "event": {"type": "ENTITY_UPDATED", "blueprintIdentifier": "service"}}
    method = {"type": "WEBHOOK", "url": "https://example.com"}
    action = read_action({"identifier": "tell", "trigger": trigger, "invocationMethod": method})
    request = assemble(action, replace(RUN, event={"action": "UPDATE"}), request_template(action))
    assert request.body == {"event": {"action": "UPDATE"}, "inputs": None, "port_context": {"runId": RUN_ID}}


def test_payload_has_the_whole_entity_and_the_context_its_identifier() -> None:
    entity = {"identifier": "checkout", "title": "Checkout"}
    request = assemble(ACTION, replace(RUN, entity=entity, encrypted=("key",)), request_template(ACTION))
    assert request.body["context"]["entity"] == "checkout"
    assert request.body["payload"]["entity"] == entity
    assert request.body["payload"]["censoredProperties"] == ["key"]


def test_template_data_has_the_documented_keys() -> None:
    data = template_data(ACTION, replace(RUN, encrypted=("key",), secrets={"s": "x"}))
    assert data == {
        "inputs": RUN.inputs,
        "trigger": {"by": RUN.by, "origin": "UI", "at": AT, "operation": "CREATE"},
        "event": None,
        "entity": {},
        "action": {"identifier": "create_vm", "blueprint": "vm", "encryptedProperties": ["key"]},
        "run": {"id": RUN_ID},
        "secrets": {"s": "x"},
    }


def test_request_is_posted_as_json_by_default() -> None:
    request = rendered(body={"a": 1})
    assert (request.method, request.headers, request.content) == (
        "POST",
        (("content-type", "application/json"),),
        b'{"a":1}',
    )
    request = rendered(body="text", method="put", headers={"Content-Type": "text/x", "n": 1, "gone": None})
    assert (request.method, request.headers, request.body) == ("PUT", (("Content-Type", "text/x"), ("n", "1")), "text")


def test_get_has_a_body_only_when_declared_and_urls_lose_the_characters_removed_by_node() -> None:
    assert rendered(method="GET").body is UNDEFINED
    assert rendered(method="GET").content == b""
    assert rendered(method="GET", body={}).content == b"{}"
    assert rendered(url=" http://h/a\r\nx: y\tz\n").url == "http://h/ax: yz"


def test_header_set_by_port_is_not_taken_from_the_action_and_others_are_sent_in_utf_8() -> None:
    names = ("X-Port-Signature", "x-port-timestamp", "Host", "Content-Length", "Transfer-Encoding", "transfer-encoding")
    assert rendered(headers={**dict.fromkeys(names, "of the action"), "x": "1"}).headers[1:] == (("x", "1"),)
    assert rendered(headers={"x": "ü"}).headers[1:] == (("x", "ü".encode().decode("latin-1")),)
    assert rendered(headers={"x": "\ud800"}).headers[1:] == (("x", "?"),)


def test_flags_are_read_from_booleans_and_their_names() -> None:
    rows: list[tuple[Any, Any]] = [(True, True), ("false", False), (None, False)]
    for said, meant in rows:
        request = rendered(synchronized=said, agent=said)
        assert (request.synchronized, request.agent) == (meant, meant)
        shown = request.body["payload"]["action"]["invocationMethod"]
        assert (shown["synchronized"], shown["agent"]) == (meant, meant)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"url": "ftp://x"}, '`url` rendered to "ftp://x"'),
        ({"url": "https://["}, '`url` rendered to "https://["'),
        ({"url": "https://h:99999/"}, "`url` rendered to"),
        ({"url": 7}, "`url` rendered to 7"),
        ({"method": "BREW"}, '`method` rendered to "BREW"'),
        ({"headers": "x"}, '`headers` rendered to "x", which is not an object'),
        ({"headers": {"a b": "x"}}, "`headers.a b`"),
        ({"headers": {"a": "x\r\ny: z"}}, "`headers.a`"),
        ({"synchronized": 1}, "`synchronized` rendered to 1"),
        ({"agent": []}, "`agent` rendered to"),
    ],
)
def test_invalid_part_of_a_request_is_rejected_with_its_name(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(RenderError) as refused:
        rendered(**fields)
    assert words in refused.value.message


def test_error_about_a_null_url_contains_the_failed_expression() -> None:
    error = JqError(" .x.y ", "run-time", "jq: error: Cannot index string")
    with pytest.raises(RenderError, match=r"rendered to nothing.*\{\{ \.x\.y \}\} failed: jq: error: Cannot index"):
        assemble(ACTION, RUN, {}, (error,))


def test_action_needs_jq_for_its_condition_form_and_templates() -> None:
    rows: list[tuple[Any, Any]] = [
        ({}, False),
        ({"method": {"body": {"a": "{{ .inputs.a }}"}}}, True),
        ({"inputs": {"a": {"type": "string", "default": {"jqQuery": ".user.email"}}}}, True),
        ({"required": {"jqQuery": "[]"}}, True),
        ({"condition": {"type": "JQ", "expressions": [".a"]}}, True),
        ({"method": {"body": "{{ .a"}}, False),
    ]
    for changed, expected in rows:
        plain = replace(ACTION, method={"type": "WEBHOOK", "url": "https://example.com"}, inputs={}, required=())
        assert needs_jq(replace(plain, **changed)) is expected
