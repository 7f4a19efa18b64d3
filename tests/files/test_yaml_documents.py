from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from port_hook_cli.engines.json_schema import find_faults
from port_hook_cli.errors import PortHookError
from port_hook_cli.files.documents import YamlLimit, load_yaml, read_document, read_template
from port_hook_cli.port_api.org_file import read_org_file
from port_hook_cli.sandbox.definition_files import read_actions


def bomb(first: str, format_level: str) -> str:
    """Return a document of less than 400 bytes that expands to millions of values."""
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{n}: &a{n} " + format_level.format(", ".join([f"*a{n - 1}"] * 9)) for n in range(1, 7)]
    return "\n".join(lines) + "\n"


LISTS = bomb("[x, x, x]", "[{}]")
MERGED = bomb("{k: v}", "{{<<: [{}]}}")
BRACKETS = "[" * 50_000
NUMBER = "a: 1" + ":10" * 200_000  # takes 4 to 15 s without a limit
LARGE = "a: " + "x" * 1_048_577


def read_named_document(path: Path) -> None:
    read_document(path.read_bytes(), name=str(path))


def read_named_template(path: Path) -> None:
    read_template(path.read_text(), name=str(path))


def read_named_actions(path: Path) -> None:
    read_actions([path])


READERS = (read_named_document, read_named_template, read_named_actions, read_org_file)


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_slow_yaml_is_an_error_with_the_file_name(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "config.yaml"
    for text in (LISTS, MERGED, "x: " + BRACKETS, NUMBER, LARGE):
        path.write_text(text)
        path.chmod(0o600)
        began = time.process_time()
        if read is read_org_file and text in {NUMBER, LARGE}:
            read_org_file(path)  # this reader doesn't read numbers, and doesn't use large files
        else:
            with pytest.raises(PortHookError) as caught:
                read(path)
            assert str(path) in caught.value.message
        assert time.process_time() - began < 3


def test_yaml_with_too_many_values_is_rejected_quickly() -> None:
    began = time.process_time()
    with pytest.raises(YamlLimit, match="it contains too many values"):
        load_yaml("x: {" + "a," * 500_000 + "a}")
    assert time.process_time() - began < 5  # it takes 10 s or more without the limit


def test_slow_yaml_text_is_rejected_quickly() -> None:
    began = time.process_time()
    assert find_faults({"type": "string", "format": "yaml"}, BRACKETS)
    assert time.process_time() - began < 3


def test_aliases_of_an_ordinary_document_are_expanded() -> None:
    shared = {f"key{n}": "value" * 10 for n in range(20)}
    text = "shared: &s " + json.dumps(shared) + "\n" + "".join(f"copy{n}: {{<<: *s, own: {n}}}\n" for n in range(50))
    assert load_yaml(text)["copy49"] == {**shared, "own": 49}
    assert len(load_yaml("\n".join(f"- value {n}" for n in range(5_000)))) == 5_000


def test_catalog_of_100_actions_with_shared_inputs_is_read_quickly() -> None:
    shared = {f"input{n}": {"type": "string", "title": f"Input {n}", "description": "x" * 60} for n in range(40)}
    action = "- {identifier: action%d, userInputs: {properties: {<<: *s, own: {type: string}}}, copy: *s}\n"
    text = f"- &s {json.dumps(shared)}\n" + "".join(action % n for n in range(100))
    began = time.process_time()
    document = read_template(text, name="actions.yaml")
    assert time.process_time() - began < 2
    assert document[100]["userInputs"]["properties"].keys() == {*shared, "own"}
