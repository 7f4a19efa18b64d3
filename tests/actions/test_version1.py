from __future__ import annotations

from typing import Any

import pytest

from port_hook_cli.actions.action import BadAction, converted, is_version1, read_action

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
        ({"userInputs": []}, "`userInputs`"),
        ({"userInputs": {"properties": 1}}, "`userInputs`"),
    ],
)
def test_conversion_error_names_the_field_that_cannot_be_converted(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(BadAction, match=field):
        converted({**OLD, **fields})
