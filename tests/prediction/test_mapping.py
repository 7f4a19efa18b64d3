"""The agent's mapping file: what pydantic accepts, what it converts, and what it rejects."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.prediction.mapping import Severity, mapping_notes, read_mappings

KEYS = ["enabled", "method", "url", "body", "headers", "query", "report", "fieldsToDecryptPaths", "other"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.sampled_from(KEYS), inner),
    max_leaves=8,
)


def test_enabled_is_a_bool_for_pydantics_words() -> None:
    rows: list[tuple[Any, Any]] = [
        (True, True),
        (1, True),
        ("yes", True),
        ("On", True),
        ("1", True),
        (False, False),
        (0, False),
        ("no", False),
        (".a", ".a"),
        (" true", " true"),
        (5, "5"),
        ("", ""),
    ]
    for value, enabled in rows:
        (mapping,), problems = read_mappings([{"enabled": value}])
        assert mapping.enabled == enabled
        assert type(mapping.enabled) is type(enabled)
        assert all(problem.severity is Severity.NOTE for problem in problems)


def test_problem_contains_the_key() -> None:
    rows: list[tuple[Any, Any, Any]] = [
        ({}, "the file", "must be a list of mappings"),
        ([5], "[0]", "must be an object"),
        ([{}, {"enabled": None}], "[1].enabled", "must be true, false or a jq expression"),
        ([{"url": {}}], "[0].url", "must be a jq expression, as a string"),
        ([{"body": ["a"]}], "[0].body", "must be an object or a jq expression"),
        ([{"headers": {"X": None}}], "[0].headers.X", "must be a jq expression, as a string"),
        ([{"report": "x"}], "[0].report", "must be an object"),
        ([{"report": {"link": []}}], "[0].report.link", "must be a jq expression, as a string"),
        ([{"fieldsToDecryptPaths": "a"}], "[0].fieldsToDecryptPaths", "must be a list of paths"),
        (
            [{"fieldsToDecryptPaths": ["a", None]}],
            "[0].fieldsToDecryptPaths[1]",
            "must be a jq expression, as a string",
        ),
    ]
    for document, place, message in rows:
        _, problems = read_mappings(document)
        assert [(problem.place, problem.message, problem.severity) for problem in problems] == [
            (place, message, Severity.FATAL)
        ]


def test_values_are_converted_like_in_pydantic_and_unknown_keys_are_ignored() -> None:
    document = [{"url": 5, "body": "", "headers": [["A", 1]], "query": {"q": True}, "report": {"status": 1}}]
    (mapping,), problems = read_mappings(document)
    assert problems == ()
    assert mapping.fields == {"url": "5", "body": {}, "headers": {"A": "1"}, "query": {"q": "True"}}
    assert mapping.report == {"status": "1"}

    (mapping,), problems = read_mappings(
        [{"uri": "x", "method": None, "report": {"external_run_id": "x", "link": None}}]
    )
    assert (mapping.fields, mapping.report) == ({}, {})
    assert [problem.place for problem in problems] == ["[0].uri", "[0].report.external_run_id"]
    assert {problem.severity for problem in problems} == {Severity.NOTE}


def test_notes_are_about_unused_mappings_and_wildcards() -> None:
    mappings, _ = read_mappings([{"enabled": ".a"}, {"fieldsToDecryptPaths": ["a.*.b"]}, {"enabled": ".c"}])
    assert [(note.place, note.message) for note in mapping_notes(mappings)] == [
        ("[1].fieldsToDecryptPaths", "a.*.b: wildcards do not decrypt values"),
        ("[2]", "is never used: a mapping before it is always enabled"),
    ]


@given(VALUES | st.lists(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4), max_size=3))
def test_reading_a_file_never_raises_an_exception(document: Any) -> None:
    mappings, problems = read_mappings(document)
    assert problems or isinstance(document, list)
    for mapping in mappings:
        assert all(isinstance(text, str) for _, text in mapping.expressions)
