"""The same words for a JSON error, whether port-hook's own parser or Python's parser found it."""

from __future__ import annotations

import json

import pytest

from port_hook_cli.javascript.json_fault import JsonFault
from port_hook_cli.javascript.stringify import NotJson, stringify


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (" ", "it is empty"),
        ("import x", "unexpected text at line 1, column 1"),
        ("{}\n x", "unexpected text at line 2, column 2"),
        ("{", 'a key must follow "{" at line 1, column 2'),
        ('{"a": 1,}', 'a key must follow "," at line 1, column 9'),
        ("{a: 1}", "a key must be in double quotes at line 1, column 2"),
        ('{"a" 1}', "a colon must follow the key at line 1, column 6"),
        ('{"a\\n"}', "a colon must follow the key at line 1, column 7"),
        ('{"a":}', 'a value must follow ":" at line 1, column 6'),
        ('{"a": ["]", 1 2]}', 'a comma or "]" is missing at line 1, column 15'),
        ('{"a": [1]', '"}" is missing at line 1, column 10'),
        ('["a]', "a string has no closing quotation mark at line 1, column 2"),
        ('"a\n"', "a string contains a control character at line 1, column 3"),
        ('"\\x"', "a string contains an invalid escape at line 1, column 2"),
    ],
)
def test_fault_is_described_in_the_words_of_json_with_its_line_and_column(text: str, fault: str) -> None:
    with pytest.raises(NotJson) as own:
        stringify(text)
    with pytest.raises(json.JSONDecodeError) as python:
        json.loads(text)
    assert (own.value.fault, str(JsonFault.of(python.value))) == (fault, fault)
