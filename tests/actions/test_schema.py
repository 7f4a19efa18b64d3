from __future__ import annotations

import re
from typing import Any

from port_hook_cli.actions.inputs import Fault, fault_message, python_pattern, schema_of


def test_only_json_schema_keywords_are_checked() -> None:
    declared = {"type": "array", "icon": "x", "items": {"type": "string", "blueprint": "b"}, "required": True}
    assert schema_of(declared) == {"type": "array", "items": {"type": "string"}}
    assert schema_of({"items": "no"}) == {}


def test_fault_message_equals_the_message_of_ports_validator_without_the_value() -> None:
    rows: list[tuple[Any, Any]] = [
        (Fault("type", ["string", "null"]), "must be string or null"),
        (Fault("enum", list(range(21))), f"allowed values: {', '.join(map(str, range(20)))}, …"),
        (Fault("type", "string", (1,)), "[1] must be string"),
        (Fault("something new", 3), "is invalid"),
    ]
    for fault, words in rows:
        assert fault_message(fault).endswith(words)

    assert "s3cret" not in fault_message(Fault("const", "s3cret"))


def test_pattern_matches_like_in_javascript() -> None:
    rows: list[tuple[Any, Any, Any]] = [
        ("^a$", "a", True),
        ("^a$", "a\n", False),
        (r"^\d+$", "12", True),
        (r"^\d+$", "١٢", False),
        (r"^[\w-]+$", "a_b-c", True),
        (r"^[\w-]+$", "ä", False),
        (r"^\W$", "ä", True),
        (r"^\D$", "\u0661", True),
        (r"^\$[$]$", "$$", True),
        ("^(?<year>[0-9]{4})$", "2026", True),
        ("(?<=a)b", "ab", True),
        ("(?<!a)b", "ab", False),
        ("^[[]$", "[", True),
        (r"^[\]]$", "]", True),
    ]
    for pattern, text, is_match in rows:
        assert (re.search(python_pattern(pattern), text) is not None) is is_match
