from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.errors import UsageError
from port_hook_cli.javascript.paths import JsonPath
from port_hook_cli.javascript.stringify import NotJson, stringify
from port_hook_cli.replay.editing import Assignment, Edits, for_editor, from_editor

DOCUMENTS = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=10,
    ),
    max_size=4,
)


def edited(body: str, *assignments: str, unset: tuple[str, ...] = ()) -> str:
    edits = Edits(
        unset=[JsonPath.parse(text) for text in unset], assignments=[Assignment.parse(a) for a in assignments]
    )
    return edits.apply(body.encode())[0].decode()


def test_value_without_json_is_a_string() -> None:
    rows: list[tuple[Any, Any]] = [
        ("a=4", 4),
        ("a=null", None),
        ('a="4"', "4"),
        ('a=[1, {"b": 2}]', [1, {"b": 2}]),
        ("a=eu-west-1", "eu-west-1"),
        ("a=01", "01"),
        ("a=NaN", "NaN"),
    ]
    for text, value in rows:
        assert Assignment.parse(text).value == value


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a={", 'a: "{" is not valid JSON. A key must follow "{".'),
        ("b[0]=[1,]", 'b[0]: "[1,]" is not valid JSON. A value must follow "," at line 1, column 4.'),
        ('a="open', 'a: ""open" is not valid JSON. A string has no closing quotation mark at line 1, column 1.'),
    ],
)
def test_value_is_rejected_when_it_only_begins_like_json(text: str, error: str) -> None:
    with pytest.raises(UsageError) as caught:
        Assignment.parse(text)
    assert caught.value.message == f"--set {error}"


def test_edited_body_is_serialized_like_json_stringify() -> None:
    assert edited('{ "b": 1.0, "é": "\\u00e9", "1": 1e21 }', "+a=0.1") == '{"1":1e+21,"b":1,"é":"é","a":0.1}'
    rows: list[tuple[Any, Any]] = [
        ("1e400", "null"),
        ("1" * 5000, "null"),
        ("12345678901234567890", "12345678901234567000"),
        ("-0", "0"),
        ("9007199254740993", "9007199254740992"),
    ]
    for number, written in rows:
        assert edited(f'{{"kept":{number}}}', f"+set={number}") == f'{{"kept":{written},"set":{written}}}'


def test_unset_is_applied_before_set_and_adds_a_note_when_the_value_is_missing() -> None:
    assert edited('{"a":[1,2],"b":0}', "+a[]=3", unset=("a", "b")) == '{"a":[3]}'

    body, notes = Edits(unset=[JsonPath.parse("b.c")]).apply(b'{"a":1}')
    assert body == b'{"a":1}'
    assert notes == ("unset b.c: the body does not have this value, so nothing was removed",)


def test_set_rejects_a_name_that_the_body_does_not_have() -> None:
    rows: list[tuple[Any, Any, Any]] = [
        ("payload.cpus=4", "payload.cpus", "payload.cpu"),
        ("paylod.cpu=4", "paylod", "payload.cpu"),
        ("payload.cpu2.x.y=4", "payload.cpu2", "payload.cpu"),
        ("payload.region[]=4", "payload.region", ""),
        ("big=4", "big", ""),
        ("none.a=4", "none.a", ""),
        ("tags[0].nam=4", "tags[0].nam", "tags[0].name"),
        ("cpu=4", "cpu", "payload.cpu"),
        ("name.x=4", "name", ""),
        ('payload["a.c"]=4', 'payload["a.c"]', 'payload["a.b"]'),
    ]
    for assignment, missing, similar in rows:
        body = b'{"payload":{"cpu":2,"a.b":1},"tags":[{"name":1}],"none":null}'
        with pytest.raises(UsageError) as caught:
            Edits(assignments=[Assignment.parse(assignment)], dashes="--").apply(body)
        assert caught.value.message == f"--set {assignment.rpartition('=')[0]}: the body does not have {missing}."
        meant = f"Did you mean {similar}? " if similar else ""
        assert caught.value.hint == f"{meant}To add a value: --set +PATH=JSON"


def test_set_adds_a_name_after_a_plus_sign() -> None:
    assert edited('{"a":{"x":null}}', "+a.y=1", "+b.c=2", "+tags=[]", "tags[]=3", "+a.x=4") == (
        '{"a":{"x":4,"y":1},"b":{"c":2},"tags":[3]}'
    )
    assert edited("{}", '+["+a"]=1') == '{"+a":1}'


def test_set_adds_items_and_removed_names_without_a_plus_sign() -> None:
    found = edited('{"b":1,"tags":[1]}', "b=2", "tags[]=3", "tags[0]=4", "tags[2]=5", unset=("b",))
    assert json.loads(found) == {"b": 2, "tags": [4, 3, 5]}


def test_set_compares_a_bounded_number_of_short_names() -> None:
    names = {**{f"n{number}": 0 for number in range(2_000)}, "last_name": 0, "x" * 100_000: 0}
    for assignment in ("last_nam=1", f"{'x' * 99_999}=1"):
        with pytest.raises(UsageError) as caught:
            Edits(assignments=[Assignment.parse(assignment)]).apply(json.dumps(names).encode())
        assert "Did you mean" not in caught.value.hint


@given(DOCUMENTS, st.text(max_size=5), st.integers(-(10**14), 10**14))
def test_edit_changes_only_its_path(document: dict[str, Any], key: str, value: int) -> None:
    text = json.dumps(document)
    edits = Edits(assignments=[Assignment(JsonPath((key,)), value, adds=True)])
    body, _ = edits.apply(text.encode())
    assert body.decode() == stringify(json.dumps({**json.loads(stringify(text)), key: value}))
    assert stringify(body.decode()) == body.decode()


def test_lone_surrogates_are_preserved_and_a_byte_order_mark_is_ignored() -> None:
    assert edited('{"s":"\\ud800"}', "+a=1") == '{"s":"\\ud800","a":1}'
    assert edited('{"s":"\\ud83d\\ude00"}', "+a=1") == '{"s":"😀","a":1}'

    assert Edits(assignments=[Assignment.parse("+a=1")]).apply(b"\xef\xbb\xbf{}")[0] == b'{"a":1}'


@pytest.mark.parametrize("body", [b"", b"\xff\xfe"])
def test_body_without_json_cannot_be_edited(body: bytes) -> None:
    with pytest.raises(UsageError, match="cannot edit"):
        Edits(assignments=[Assignment.parse("a=1")]).apply(body)
    with pytest.raises(UsageError, match="cannot edit"):
        for_editor(body)


def edited_or_problem(body: str, assignment: str) -> str:
    try:
        return edited(body, assignment)
    except UsageError as problem:
        return problem.message


@pytest.mark.parametrize("depth", [100, 2_000, 10_000])
def test_body_nested_too_deeply_for_this_python_is_rejected(depth: int) -> None:
    result = edited_or_problem("[" * depth + "]" * depth, "[]=1")
    is_edited = result == "[" * depth + "]" * (depth - 1) + ",1]"
    assert is_edited or (depth > 100 and "nested" in result)


def test_edit_is_rejected_when_it_nests_a_body_too_deeply() -> None:
    with pytest.raises(UsageError, match="nested"):
        edited("{}", "+a" + ".a" * 5_000 + "=1")


@given(DOCUMENTS)
def test_text_in_the_editor_reads_back_as_the_same_body(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    shown = for_editor(text.encode())
    shown.encode("utf-8")
    assert from_editor(shown).decode() == stringify(text)


def test_editor_shows_one_member_per_line_and_takes_only_json() -> None:
    assert for_editor(b'{"a":1.0,"b":[true]}') == '{\n  "a": 1,\n  "b": [\n    true\n  ]\n}\n'

    with pytest.raises(NotJson):
        from_editor('{"a": 1,}')
