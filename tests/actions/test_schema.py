from __future__ import annotations

import re

import pytest

from port_hook_cli.actions.inputs import Fault, fault_message, python_pattern, schema_of


def test_only_json_schema_keywords_are_checked() -> None:
    declared = {"type": "array", "icon": "x", "items": {"type": "string", "blueprint": "b"}, "required": True}
    assert schema_of(declared) == {"type": "array", "items": {"type": "string"}}
    assert schema_of({"items": "no"}) == {}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("type", ["string", "null"]), "must be string or null"),
        (Fault("enum", list(range(21))), f"allowed values: {', '.join(map(str, range(20)))}, …"),
        (Fault("type", "string", (1,)), "[1] must be string"),
        (Fault("something new", 3), "is invalid"),
    ],
)
def test_fault_message_equals_the_message_of_ports_validator(fault: Fault, words: str) -> None:
    assert fault_message(fault).endswith(words)


@pytest.mark.parametrize(
    ("pattern", "text", "is_match"),
    [
        ("^a$", "a", True),
        ("^a$", "a\n", False),
        (r"^\d+$", "12", True),
        (r"^\d+$", "١٢", False),
        (r"^[\w-]+$", "a_b-c", True),
        (r"^[\w-]+$", "ä", False),
        (r"^\W$", "ä", True),
        (r"^\$[$]$", "$$", True),
        ("^(?<year>[0-9]{4})$", "2026", True),
        ("(?<=a)b", "ab", True),
        ("(?<!a)b", "ab", False),
        ("^[[]$", "[", True),
        (r"^[\]]$", "]", True),
    ],
)
def test_pattern_matches_like_in_javascript(pattern: str, text: str, is_match: bool) -> None:
    assert (re.search(python_pattern(pattern), text) is not None) is is_match


def test_fault_messages_never_contain_the_value() -> None:
    assert "s3cret" not in fault_message(Fault("const", "s3cret"))
