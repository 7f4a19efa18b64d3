"""The JSON Schemas of the records: complete, strict, and true of what the commands print."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from tests.conftest import Run
from tests.factories import SECRET, a_body, signed
from tests.processes import Listener, listener
from tests.record_schemas import FOLDER, checked

ROOT = Path(__file__).parents[2]
FILES = sorted(FOLDER.glob("*.json"))
ENV = {"PORT_CLIENT_SECRET": SECRET.reveal(), "PORT_HOOK_LISTEN_TUNNEL": "none"}
ACTION = str(ROOT / "examples" / "actions" / "create_vm.json")
COMMANDS = (
    ("captures --json", "capture-summary/1"),
    ("show last --json", "capture/1"),
    ("verify last --json", "verdict/1"),
    ("replay last --json --to {url}", "delivery/1"),
    ("diff last payload.json --json", "diff/1"),
    ("sign payload.json --format json", "signature/1"),
    ("render {{{{.a}}}} --data payload.json --json", "rendering/1"),
    ("trigger {action} --to {url} --input title=x --json", "trigger/1"),
    ("trigger {action} --dry-run --input title=x --json", "trigger/1"),
    ("report-run last --dry-run --json --log x --status success", "report/1"),
    ("encrypt value --json", "encryption/1"),
    ("decrypt last payload.x --json", "decryption/1"),
    ("doctor --json", "check/1"),
    ("prune --keep 100 --json --dry-run", "prune/1"),
)


@pytest.fixture
def listening(folder: Path) -> Iterator[Listener]:
    """A listener that has received a valid request, and one with a wrong signature."""
    body, now = a_body(), str(int(time.time()))
    (folder / "payload.json").write_text('{"a": 1}')
    with listener(folder) as running:
        assert running.post(body, signed(body, timestamp=now))[0] == 200
        assert running.post(body + b" ", signed(body, timestamp=now))[0] == 200
        assert running.post(body + b"x", signed(body, timestamp=now))[0] == 401
        yield running


def test_listen_prints_nothing_but_records_of_its_schema(listening: Listener) -> None:
    code, records = listening.stop()
    records = [dict(listening.ready), *records]
    assert code == 0
    assert {record["schema"] for record in records} == {"port-hook/event/1"}
    assert [record["type"] for record in records] == ["ready", "invocation", "invocation", "invocation", "summary"]


def test_each_command_prints_nothing_but_records_of_its_schema(listening: Listener, run: Run) -> None:
    for line, schema in COMMANDS:
        words = [word.format(url=listening.ready["url"], action=ACTION) for word in line.split()]
        result = run(*words, env=ENV)
        assert result.raw, (line, result.err)
        assert {record["schema"] for record in result.records} == {f"port-hook/{schema}"}


def test_the_page_links_the_schema_of_each_record() -> None:
    page = (ROOT / "docs" / "reference" / "json-records.md").read_text("utf-8")
    described = {name.replace("/", "-") for name in re.findall(r"(?m)^## `port-hook/([^`]+)`", page)}
    linked = set(re.findall(r"\]\(schemas/([^)]+)\.json\)", page))
    assert described == linked == {file.stem for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_schema_is_valid_and_closes_each_object_it_describes(file: Path) -> None:
    document = json.loads(file.read_text("utf-8"))
    Draft202012Validator.check_schema(document)
    assert document["title"].replace("/", "-") == f"port-hook-{file.stem}"
    assert [part for part in objects_of(document) if part.get("additionalProperties") is not False] == []


def objects_of(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield each part of a schema that lists an object's properties."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
            yield schema
        for part in schema.values():
            yield from objects_of(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from objects_of(part)


@pytest.mark.parametrize(
    "change", [{"kept": "2"}, {"other": 1}, {"schema": "port-hook/prune/1", "deleted": None}], ids=str
)
def test_a_record_that_differs_from_its_schema_is_refused(change: dict[str, Any]) -> None:
    record = {"schema": "port-hook/prune/1", "deleted": 1, "kept": 2, "dry_run": False}
    assert checked(record) == record
    with pytest.raises(ValidationError):
        checked({**record, **change})
