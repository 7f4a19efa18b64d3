from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.errors import UsageError
from port_hook_cli.sandbox.definition_files import read_actions, read_blueprints, read_definitions, read_workflows

GOOD = create_vm_action()
BOMB = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]" for n in range(12))
YAML = """\
identifier: scale
trigger: {type: self-service, operation: DAY-2}
invocationMethod:
  type: WEBHOOK
  url: http://127.0.0.1:8000/scale
"""


def test_read_actions_reads_files_and_folders_of_json_and_yaml(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.yaml").write_text(YAML)
    shown = {**GOOD, "identifier": "b", "id": "action_1", "createdAt": "2026-01-01T00:00:00Z", "icon": None}
    (tmp_path / "more" / "a.json").write_text(json.dumps([{**GOOD, "identifier": "a"}, shown]))
    (tmp_path / "more" / "README.md").write_text("not one")
    (tmp_path / "one.json").write_text("\ufeff" + json.dumps(GOOD))
    actions = read_actions([tmp_path / "more", tmp_path / "one.json"])
    assert [action["identifier"] for action in actions] == ["a", "b", "scale", "create_vm"]
    assert not {"id", "createdAt", "icon"} & actions[1].keys()
    assert actions[3] == GOOD


def test_read_actions_reports_an_invalid_file_with_the_reason(tmp_path: Path) -> None:
    cases: list[tuple[str, str | bytes, str]] = [
        ("a.json", "{", "is not JSON"),
        ("a.json", "[" * 100_000, "is not JSON"),
        ("a.json", b"\xff", "UTF-8"),
        ("a.json", "17", "the action must be object"),
        ("a.json", "[{}]", "action 1 must have required property 'identifier'"),
        ("a.json", json.dumps({**GOOD, "color": "red"}), "found 'color'"),
        ("a.json", json.dumps([GOOD, {**GOOD, "trigger": 1}]), "action 2/trigger"),
        ("a.json", json.dumps({**GOOD, "invocationMethod": {"type": "WEBHOOK"}}), "property 'url'"),
        ("a.json", json.dumps([GOOD, GOOD]), "create_vm is already in"),
        ("a.yml", "a: [", "is not YAML"),
        ("a.yml", BOMB, "it is too large once its aliases are expanded"),
        ("a.yml", "!!python/object/apply:os.system [ls]", "is not YAML"),
    ]
    for name, content, expected in cases:
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(UsageError) as caught:
            read_actions([file])
        assert str(file) in caught.value.message
        assert expected in caught.value.message


def test_read_actions_reports_a_missing_file_and_an_empty_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(UsageError, match=str(path)):
            read_actions([path])


def test_read_actions_reads_a_date_in_yaml_as_text(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(YAML.replace(YAML.splitlines()[0], "identifier: 2026-01-01", 1))
    assert read_actions([tmp_path / "a.yml"])[0]["identifier"] == "2026-01-01"


def test_kinds_of_definitions_in_files_and_folders_are_told_apart(tmp_path: Path) -> None:
    blueprint = {"identifier": "vm", "schema": {}}
    (tmp_path / "a.json").write_text(json.dumps({"ok": True, "workflows": [a_workflow("deploy")]}))
    (tmp_path / "b.yaml").write_text(YAML)
    (tmp_path / "c.json").write_text(json.dumps([blueprint]))
    found = read_definitions([tmp_path / "c.json", tmp_path / "b.yaml", tmp_path / "a.json"])
    assert found == read_definitions([tmp_path])
    assert [each["identifier"] for each in found.actions] == ["scale"]
    assert (found.workflows, found.blueprints) == ([a_workflow("deploy")], [blueprint])


def test_file_without_a_definition_is_rejected_with_what_was_expected(tmp_path: Path) -> None:
    documents: list[Any] = [{"identifier": "vm", "blueprint": "host"}, {"ok": True, "actions": []}, [], 17]
    for document in documents:
        (tmp_path / "a.json").write_text(json.dumps(document))
        with pytest.raises(UsageError, match=r"a\.json is not an action \(with invocationMethod\), a workflow \(with"):
            read_definitions([tmp_path])


def a_workflow(identifier: str = "deploy") -> dict[str, Any]:
    return {"identifier": identifier, "nodes": [{"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER"}}]}


def test_blueprints_are_read_from_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"identifier": "vm", "schema": {"properties": {}}}]))
    (tmp_path / "b.json").write_text(json.dumps({"identifier": "team", "schema": {}}))
    (tmp_path / "c.yaml").write_text("{identifier: host, schema: {}, icon: Server}")
    assert [each["identifier"] for each in read_blueprints([tmp_path])] == ["vm", "team", "host"]


def test_invalid_blueprint_is_rejected_with_the_file_and_the_reason(tmp_path: Path) -> None:
    cases: list[tuple[Any, str]] = [
        ({"identifier": "vm"}, "the blueprint must have required property 'schema'"),
        ({"identifier": "vm", "schema": []}, "the blueprint/schema must be object"),
        ([{"identifier": "vm", "schema": {}}] * 2, "the blueprint vm is already in"),
    ]
    for document, fault in cases:
        (tmp_path / "a.json").write_text(json.dumps(document))
        with pytest.raises(UsageError, match=r"a\.json") as found:
            read_blueprints([tmp_path / "a.json"])
        assert fault in found.value.message


def test_workflows_are_read_from_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([a_workflow("a"), a_workflow("b")]), "utf-8")
    (tmp_path / "c.json").write_text(json.dumps(a_workflow("c")), "utf-8")
    assert [each["identifier"] for each in read_workflows([tmp_path])] == ["a", "b", "c"]


def test_invalid_workflow_is_rejected_with_the_file_and_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    file.write_text('{"identifier": "x", "nodes": []}', "utf-8")
    with pytest.raises(UsageError, match=r"bad\.json: the workflow has no `nodes`\."):
        read_workflows([file])
    file.write_text(json.dumps([a_workflow(), a_workflow()]), "utf-8")
    with pytest.raises(UsageError, match=r"the workflow deploy is already in .*bad\.json"):
        read_workflows([file])


def test_responses_of_ports_api_are_read_like_the_definitions_in_them(tmp_path: Path) -> None:
    cases: list[tuple[Callable[[list[Path]], list[dict[str, Any]]], str, dict[str, Any]]] = [
        (read_actions, "action", GOOD),
        (read_blueprints, "blueprint", {"identifier": "vm", "schema": {}}),
        (read_workflows, "workflow", a_workflow()),
    ]
    for read, noun, definition in cases:
        other = {**definition, "identifier": "other"}
        for document in ({"ok": True, noun: definition}, {"ok": True, f"{noun}s": [definition]}, [{noun: definition}]):
            (tmp_path / "a.json").write_text(json.dumps(document))
            assert read([tmp_path / "a.json"]) == [definition]
        (tmp_path / "a.json").write_text(json.dumps({"ok": True, f"{noun}s": [definition, other]}))
        assert read([tmp_path]) == [definition, other]
