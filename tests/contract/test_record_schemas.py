"""The JSON Schemas of the records are strict, and the page describes their fields. `Result.records` applies them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from tests.record_schemas import FOLDER, checked

ROOT = Path(__file__).parents[2]
FILES = sorted(FOLDER.glob("*.json"))
PAGE = (ROOT / "docs" / "reference" / "json-records.md").read_text("utf-8")

_NOT_IN_THE_GLOSSARY = {"answer", "by_hand", "passed_over", "reading", "refused", "waits_for"}


def test_page_links_the_schema_of_each_record() -> None:
    described = {name.replace("/", "-") for name in re.findall(r"(?m)^## `port-hook/([^`]+)`", PAGE)}
    linked = set(re.findall(r"\]\(schemas/([^)]+)\.json\)", PAGE))
    assert described == linked == {file.stem for file in FILES}


def test_schemas_are_valid_close_each_object_and_have_all_fields_described() -> None:
    described = set(re.findall("`([^`]+)`", re.sub(r"(?ms)^```.*?^```$", "", PAGE)))  # a block describes no field
    for file in FILES:
        document = json.loads(file.read_text("utf-8"))
        Draft202012Validator.check_schema(document)
        assert document["title"].replace("/", "-") == f"port-hook-{file.stem}"
        assert [part for part in objects_of(document) if part.get("additionalProperties") is not False] == [], file
        assert names_in(document) - described == set(), file
        assert names_in(document).isdisjoint(_NOT_IN_THE_GLOSSARY), file


def objects_of(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield each part of a schema that lists an object's properties."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict) and "object" in schema.get("type", ""):
            yield schema
        for part in schema.values():
            yield from objects_of(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from objects_of(part)


def names_in(schema: Any) -> set[str]:
    return {name for part in objects_of(schema) for name in part["properties"]} - {"schema", "type"}


@pytest.mark.parametrize(
    "kind", ["invocation", "message", "unmet", "run", "node", "workflow_run", "retry", "definition"]
)
def test_page_lists_exactly_the_fields_of_a_record_of_trigger(kind: str) -> None:
    document = json.loads((FOLDER / "trigger-1.json").read_text("utf-8"))
    (schema,) = [each for each in document["oneOf"] if each["properties"]["type"] == {"const": kind}]
    section = PAGE.split("## `port-hook/trigger/1`")[1].split("\n## ")[0]
    (entry,) = re.findall(rf"(?m)^- `{kind}`, (.*)$", section)
    listed = {name for name in re.findall("`([^`]+)`", entry) if not name.startswith("--")}
    own = schema["properties"].keys() - {"schema", "type"}
    shared = [document["$defs"][name] for name in re.findall(r"#/\$defs/(\w+)", json.dumps(schema))]
    inner = names_in([schema, *shared]) - own
    # What is in a delivery and in an error is described once, with the first type.
    described_before = {"url", "status", "latency_ms", "error", "expression", "message"}
    assert (own - listed, inner - listed - described_before, listed - own - inner) == (set(), set(), set())


@pytest.mark.parametrize(
    "change", [{"kept": "2"}, {"other": 1}, {"schema": "port-hook/prune/1", "deleted": None}], ids=str
)
def test_record_is_rejected_when_it_differs_from_its_schema(change: dict[str, Any]) -> None:
    record = {"schema": "port-hook/prune/1", "deleted": 1, "kept": 2, "dry_run": False}
    assert checked(record) == record
    with pytest.raises(ValidationError):
        checked({**record, **change})
