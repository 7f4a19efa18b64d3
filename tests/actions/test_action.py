from __future__ import annotations

from typing import Any

import pytest

from port_hook_cli.actions.action import (
    ActionKind,
    BadAction,
    converted,
    definitions_in,
    is_version1,
    pick_action,
    read_action,
)
from port_hook_cli.actions.samples import create_vm_action

AUTOMATION: dict[str, Any] = {
    "identifier": "tell",
    "trigger": {
        "type": "automation",
        "event": {"type": "ENTITY_UPDATED", "blueprintIdentifier": "service"},
        "condition": {"type": "JQ", "expressions": ["true"], "combinator": "and"},
    },
    "invocationMethod": {"type": "WEBHOOK", "url": "https://example.com", "body": {}},
}


def test_self_service_action_is_read() -> None:
    action = read_action(create_vm_action())
    assert (action.identifier, action.kind, action.operation) == ("create_vm", ActionKind.SELF_SERVICE, "CREATE")
    assert (action.title, action.blueprint, action.required) == ("Create VM", "vm", ["title"])
    assert action.inputs is not None
    assert list(action.inputs) == ["title", "cpu", "memory", "region"]
    assert not action.has_body
    assert not action.approval


def test_automation_is_read_even_from_a_response_of_ports_api() -> None:
    action = read_action(AUTOMATION)
    assert (action.kind, action.blueprint, action.inputs) == (ActionKind.AUTOMATION, "service", None)
    assert action.condition == AUTOMATION["trigger"]["condition"]
    assert action.has_body

    assert read_action({"ok": True, "action": create_vm_action()}).identifier == "create_vm"


def test_approval_is_read_in_both_formats() -> None:
    for approval in (True, {"type": "ALL"}):
        assert read_action({**create_vm_action(), "requiredApproval": approval}).approval is True
        assert read_action({**create_vm_action(), "requiredApproval": False}).approval is False


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (None, "is empty"),
        ("text", "is a string"),
        (7, "is a single value"),
        ({}, "has no `identifier`"),
        ({"identifier": "a"}, "has no `trigger`"),
        ({"identifier": "a", "trigger": {}}, "neither self-service nor automation"),
        ({"identifier": "a", "trigger": {"type": ["automation"]}}, "neither self-service nor automation"),
        ({"identifier": "a", "trigger": {"type": "self-service"}}, "has no `invocationMethod`"),
        ({**AUTOMATION, "invocationMethod": {"type": "GITHUB"}}, "is invoked by GITHUB, but only a WEBHOOK"),
        ({**AUTOMATION, "invocationMethod": {"type": "WEBHOOK"}}, "has no `url`"),
    ],
)
def test_document_is_rejected_with_a_reason_when_it_is_not_an_action(document: Any, words: str) -> None:
    with pytest.raises(BadAction, match=words):
        read_action(document)


def test_pick_action_needs_an_identifier_only_among_several_actions() -> None:
    rows: list[Any] = [[create_vm_action(), AUTOMATION], {"ok": True, "actions": [AUTOMATION]}]
    for document in rows:
        assert pick_action(document, "tell") == AUTOMATION
    assert pick_action([AUTOMATION], None) == AUTOMATION
    assert pick_action(AUTOMATION, None) == AUTOMATION
    assert pick_action(AUTOMATION, "tell") == AUTOMATION


@pytest.mark.parametrize(
    ("document", "identifier", "words"),
    [
        ([create_vm_action(), AUTOMATION], None, "has 2 actions: create_vm, tell"),
        ([], None, "^has 0 actions$"),
        ([{"identifier": str(each)} for each in range(21)], "no", "has 21 actions, but not no: 0, 1, .*, 19, …$"),
        (AUTOMATION, "no", "has the action tell, not no"),
    ],
)
def test_pick_action_lists_the_actions_when_the_identifier_is_missing_or_wrong(
    document: Any, identifier: str | None, words: str
) -> None:
    with pytest.raises(BadAction, match=words):
        pick_action(document, identifier)


@pytest.mark.parametrize("listed", [[], [{"identifier": "other"}]])
def test_definition_with_the_key_of_a_response_is_not_unwrapped(listed: list[Any]) -> None:
    document = {"identifier": "a", "action": {"identifier": "b"}, "actions": listed}
    assert definitions_in(document, "action") == [document]


OLD: dict[str, Any] = {
    "identifier": "create_bucket",
    "title": "Create bucket",
    "userInputs": {"properties": {"name": {"type": "string"}}, "required": ["name"], "order": ["name"]},
    "invocationMethod": {"type": "WEBHOOK", "url": "https://example.com"},
    "trigger": "DAY-2",
    "blueprint": "bucket",
    "description": "Creates a bucket",
    "requiredApproval": False,
}


def test_version_1_action_is_converted_to_the_current_format() -> None:
    assert is_version1(OLD)
    action = converted(OLD)
    assert action == {
        "identifier": "create_bucket",
        "title": "Create bucket",
        "description": "Creates a bucket",
        "requiredApproval": False,
        "invocationMethod": OLD["invocationMethod"],
        "trigger": {
            "type": "self-service",
            "operation": "DAY-2",
            "blueprintIdentifier": "bucket",
            "userInputs": OLD["userInputs"],
        },
    }
    read = read_action(action)
    assert (read.operation, read.blueprint, read.inputs, read.required) == (
        "DAY-2",
        "bucket",
        {"name": {"type": "string"}},
        ["name"],
    )


def test_current_action_is_not_recognized_as_version_1() -> None:
    assert not is_version1(converted(OLD))
    assert not is_version1({"identifier": "x", "nodes": []})
    assert not is_version1([])


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"trigger": "RUN"}, "`trigger`"),
        ({"userInputs": {"properties": 1}}, "`userInputs`"),
    ],
)
def test_conversion_error_contains_the_unconvertible_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(BadAction, match=field):
        converted({**OLD, **fields})
