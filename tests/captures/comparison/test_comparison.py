from __future__ import annotations

import copy
import json
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.captures.comparison import (
    MAX_CHANGES,
    Ignoring,
    JsonBody,
    by_member,
    compare,
    compare_bodies,
    differences,
    outcome_trend,
)
from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.models import Response, Status, Verdict
from port_hook_cli.javascript.paths import JsonPath, set_at, unset_at
from port_hook_cli.signatures.causes import RESERIALIZED_JS, SECRET_OR_BODY
from tests.factories import a_body, a_capture, an_invocation

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=True), st.text("ab~/é\0\ud800", max_size=5)
)
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab~/", max_size=3), inner, max_size=4)
)


def applied(document: Any, changes: list[dict[str, Any]]) -> Any:
    """Return a document with changes applied to it. Changes at the end of an array are applied in reverse order."""
    holder = {"": copy.deepcopy(document)}
    removals = [change for change in changes if change["kind"] == "removed"]
    for change in [*(each for each in changes if each["kind"] != "removed"), *reversed(removals)]:
        *parents, last = [token.replace("~1", "/").replace("~0", "~") for token in ("" + change["path"]).split("/")]
        container: Any = holder
        for token in parents:
            container = container[int(token)] if isinstance(container, list) else container[token]
        key: Any = int(last) if isinstance(container, list) else last
        if change["kind"] == "removed":
            del container[key]
        elif isinstance(container, list) and key == len(container):
            container.append(json.loads(change["after"]))
        else:
            container[key] = json.loads(change["after"])
    return holder[""]


@given(documents, documents)
def test_applying_differences_to_a_document_returns_the_other_document(a: Any, b: Any) -> None:
    changes = list(differences(a, b))
    assert list(differences(a, json.loads(json.dumps(a)))) == []
    assert list(differences(applied(a, changes), b)) == []
    for change in changes:
        assert (change["before"] is None, change["after"] is None) == (
            change["kind"] == "added",
            change["kind"] == "removed",
        )


objects = st.dictionaries(st.text("ab~/0-=.", max_size=3), documents, max_size=4)


@given(objects, objects)
def test_path_printed_by_diff_can_be_set_and_unset(a: Any, b: Any) -> None:
    changes = list(differences(a, b))
    document = a
    for change in changes:
        if change["kind"] != "removed":
            document = set_at(document, JsonPath.parse(change["path"]), json.loads(change["after"]))
    for change in reversed(changes):
        if change["kind"] == "removed":
            document = unset_at(document, JsonPath.parse(change["path"]))
    assert list(differences(document, b)) == []


@given(documents, documents)
def test_move_equals_a_removal_and_an_addition(a: Any, b: Any) -> None:
    bodies = [JsonBody(json.dumps(document).encode(), document) for document in (a, b)]
    if a is None or b is None:
        return
    split: list[tuple[str, str, str | None, str | None]] = []
    for change in compare_bodies(*bodies).changes:
        if change["kind"] == "moved":
            split += [
                ("removed", change["from"], change["before"], None),
                ("added", change["path"], None, change["after"]),
            ]
        else:
            split.append((change["kind"], change["path"], change["before"], change["after"]))
    expected = [(change["kind"], change["path"], change["before"], change["after"]) for change in differences(a, b)]
    assert sorted(split, key=repr) == sorted(expected, key=repr)


def moves(a: Any, b: Any) -> list[tuple[str, str]]:
    found = compare_bodies(JsonBody.read(a_body(a)), JsonBody.read(a_body(b))).changes
    return [(change["from"], change["path"]) for change in found if change["kind"] == "moved"]


def test_value_at_another_path_is_reported_as_moved_unless_it_is_repeated_or_empty() -> None:
    assert moves({"a": {"b": "x"}}, {"c": {"d": "x"}}) == []  # "a" and "c" are different objects
    assert moves({"a": {"b": "x"}, "c": {}}, {"a": {}, "c": {"d": "x"}}) == [("/a/b", "/c/d")]
    assert moves({"a": [1, 2]}, {"b": [1, 2]}) == [("/a", "/b")]
    assert moves({"a": "x", "b": "x"}, {"c": "x"}) == []
    values: list[Any] = [None, True, False, {}, [], ""]
    for value in values:
        assert moves({"a": value}, {"b": value}) == []
    long = "x" * 5_000
    assert moves({"a": long + "1"}, {"b": long + "2"}) == []


def test_true_and_1_differ_and_so_do_1_and_a_fraction() -> None:
    assert [change["path"] for change in differences({"a": 1, "b": 1}, {"a": True, "b": 1.0})] == ["/a", "/b"]


def test_deep_documents_and_long_keys_are_compared_in_bounded_memory() -> None:
    a: Any = 1
    b: Any = 2
    for _ in range(900):
        a, b = {"k" * 10_000: a}, {"k" * 10_000: b}
    (change,) = differences(a, b)
    assert len(change["path"]) <= 4_097
    wide = {"k" * 1_000_000: dict.fromkeys(map(str, range(50_000)), 1)}
    assert list(differences(wide, json.loads(json.dumps(wide)))) == []


def test_captures_are_compared_up_to_500_changes() -> None:
    a, b = (a_capture(an_invocation(a_body({str(n): value for n in range(1_000)}))) for value in (1, 2))
    found = compare(a, b)
    assert (len(found["body"]), found["complete"]) == (MAX_CHANGES, False)


def test_bodies_that_differ_only_in_bytes_or_are_not_json_get_a_note() -> None:
    body = a_body()
    found = compare(a_capture(), a_capture(an_invocation(body + b"\n")))
    assert found["body"] == []
    assert found["note"] == "The bodies are the same JSON in different bytes."
    assert [change["path"] for change in found["headers"]] == ["x-port-signature"]
    found = compare(a_capture(), a_capture(an_invocation(b"\xff")))
    assert found["note"].startswith("The bodies were not compared as JSON: not UTF-8")
    assert len(found["body"]) == 1


def test_verdicts_and_all_their_causes_are_compared() -> None:
    verdict = Verdict(status=Status.INVALID, causes=(SECRET_OR_BODY, RESERIALIZED_JS))
    changed = compare(a_capture(verdict=Verdict(status=Status.VALID)), a_capture(verdict=verdict))["facts"]
    assert [(change["path"], change["before"], change["after"]) for change in changed] == [
        ("verdict", "valid", "invalid"),
        ("causes", None, "secret-or-body, reserialized-js"),
    ]


def change(path: str, **fields: Any) -> dict[str, Any]:
    return {"path": path, "kind": "changed", "before": "1", "after": "2", **fields}


@given(st.text('ab./[]"=:~', max_size=12) | st.text(max_size=8))
def test_any_ignore_option_is_parsed_or_rejected(text: str) -> None:
    with suppress(UsageError):
        Ignoring.parse([text]).other_body_changes([change("/a")])


def test_ignored_path_includes_everything_below_it() -> None:
    for text in ["a.b", "/a/b", 'a["b"]', "/a/b/"]:
        changes = [change(path) for path in ("/a", "/a/b", "/a/b/0/c", "/a/bc", "/b/a/b")]
        left = [found["path"] for found in Ignoring.parse([text]).other_body_changes(changes)]
        assert left == ["/a", "/a/bc", "/b/a/b"]
    ignoring = Ignoring.parse(["a[0]", '["x/y~"]'])
    assert ignoring.other_body_changes([change("/a/0/b"), change("/x~1y~0")]) == []


def test_ignored_headers_match_in_any_case_and_are_not_paths() -> None:
    ignoring = Ignoring.parse(["header: X-Id", "date"], headers=["age"])
    changes = [change(name) for name in ("x-id", "X-ID", "Age", "date")]
    assert [found["path"] for found in ignoring.other_headers(changes)] == ["date"]
    assert ignoring.other_body_changes([change("/x-id")]) == [change("/x-id")]


def test_trend_of_an_outcome_is_better_or_worse() -> None:
    for path, before, after, trend in [
        ("response", None, "500", "worse"), ("response", None, "202", "better"), ("response", "202", "500", "worse"),
        ("response", "500", "202", "better"), ("response", "400", "500", "worse"), ("response", "500", None, None),
        ("handler", "202", "timeout", "worse"), ("handler", "timeout", "500", None),
        ("handler", None, "unreachable", "worse"), ("verdict", "valid", "invalid", "worse"),
        ("verdict", "stale", "valid", "better"), ("verdict", "valid", "unchecked", None),
        ("verdict", "unchecked", "valid", None), ("target", "/a", "/b", None), ("causes", None, "replayed", None),
    ]:  # fmt: skip
        assert outcome_trend({"path": path, "kind": "changed", "before": before, "after": after}) == trend


def test_changed_json_of_responses_is_listed_by_member_and_other_bodies_as_a_fact() -> None:
    def between(one: bytes, other: bytes) -> tuple[list[tuple[str, str | None]], list[str]]:
        sides = [a_capture(response=Response(status=202, body=body)) for body in (one, other)]
        found = by_member(compare(*sides))
        facts = [(change["before"], change["after"]) for change in found["facts"] if change["path"] == "response body"]
        assert len(facts) == len(found["facts"])
        return facts, [change["path"] for change in found["response"]]

    assert between(b'{"a":1,"b":{"c":2}}', b'{"a":1,"b":{"c":3},"d":4}') == ([], ["/b/c", "/d"])
    assert between(b"yes", b"no") == ([("yes", "no")], [])
    assert between(b"1", b"2") == ([("1", "2")], [])
    assert between(b"same", b"same") == ([], [])
    assert between(b"busy", b"") == ([("busy", None)], [])
    assert between(b"a\xff", b"b") == ([("a\ufffd", "b")], [])
