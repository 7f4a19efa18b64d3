"""The tools that render a template, and the request of an action."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from port_hook_cli.runtime import Runtime
from tests.assistant.assistants import Assistant

ACTION = {
    "identifier": "scale",
    "trigger": {
        "type": "self-service",
        "operation": "CREATE",
        "userInputs": {"properties": {"size": {"type": "number"}}, "required": ["size"]},
    },
    "invocationMethod": {"type": "WEBHOOK", "url": "https://example.com/x", "body": {"size": "{{ .inputs.size }}"}},
}


@pytest.fixture
def assistant(runtime: Callable[..., Runtime]) -> Assistant:
    return Assistant.at(runtime, env={})


def test_template_is_rendered_like_in_port(assistant: Assistant) -> None:
    template = {"size": "{{ .size }}", "text": "{{ .size }} of {{ .of }}", "bad": "{{ foo }}"}
    found = assistant.result("render_template", template=template, data={"size": 3.0, "of": "x"})
    assert found["result"] == {"size": 3, "text": "3 of x", "bad": None}
    assert [error["expression"] for error in found["errors"]] == ["foo"]


def test_strict_rendering_fails_with_the_expression(assistant: Assistant) -> None:
    assert "foo" in assistant.error("render_template", template="{{ foo }}", strict=True)


def test_too_deeply_nested_template_is_an_error(assistant: Assistant) -> None:
    deep: list[object] = []
    for _ in range(20_000):
        deep = [deep]
    assert "nested too deep" in assistant.error("render_template", template=deep)


def test_number_without_json_form_is_an_error(assistant: Assistant) -> None:
    for number in (float("inf"), float("nan")):
        assert "a number is too large, or is not a number" in assistant.error("render_template", template=[number])


def test_request_of_an_action_is_shown_without_a_signature(assistant: Assistant) -> None:
    (assistant.workspace.runtime.cwd / "scale.json").write_text(json.dumps(ACTION))
    (found,) = assistant.result("render_action", action="scale.json", inputs={"size": 3})
    assert (found["body"], found["url"], found["delivery"]) == ({"size": 3}, "https://example.com/x", None)
    assert "x-port-signature" not in {name.lower() for name in found["headers"]}


def test_invalid_inputs_for_port_are_an_error(assistant: Assistant) -> None:
    (assistant.workspace.runtime.cwd / "scale.json").write_text(json.dumps(ACTION))
    assert "size" in assistant.error("render_action", action="scale.json", inputs={"size": "large"})
    assert "`entity` is not an entity" in assistant.error(
        "render_action", action="scale.json", inputs={"size": 3}, entity={"a": 1}
    )


ACTION_TOOLS = ("render_action", "trigger_action")


def test_other_files_of_the_user_are_not_read(assistant: Assistant, tmp_path: Path) -> None:
    folder, outside = assistant.workspace.runtime.cwd, tmp_path / "other.json"
    outside.write_text(json.dumps({**ACTION, "identifier": "of-another-folder"}))
    (folder / "link.json").symlink_to(outside)
    for other in (".env", "notes.txt"):
        (folder / other).write_text("PORT_CLIENT_SECRET=of-another-folder\n")
    for tool in ACTION_TOOLS:
        for name in ("../other.json", str(outside), "link.json", ".env", "-", "notes.txt"):
            text = assistant.error(tool, action=name)
            assert "is not a JSON or YAML file, or a directory, in" in text, name
            assert "of-another-folder" not in text


def test_link_in_a_directory_of_actions_is_not_followed_to_other_files(assistant: Assistant, tmp_path: Path) -> None:
    folder, outside = assistant.workspace.runtime.cwd, tmp_path / "other.json"
    (folder / "actions").mkdir()
    link = folder / "actions" / "link.json"
    for target in (outside, folder / ".env"):
        target.write_text(json.dumps({**ACTION, "identifier": "of-another-folder"}))
        link.unlink(missing_ok=True)
        link.symlink_to(target.absolute())
        for tool in ACTION_TOOLS:
            text = assistant.error(tool, action="actions#of-another-folder", inputs={"size": 3})
            assert "link.json is a link to a file that is not a JSON or YAML file in" in text


def test_action_in_port_only_is_not_rendered(assistant: Assistant) -> None:
    assert "File not found: create_vm." in assistant.error("render_action", action="create_vm")
