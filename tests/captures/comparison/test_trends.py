"""The trend of a changed outcome (better or worse), and the listed changes of responses."""

from __future__ import annotations

from port_hook_cli.captures.comparison import by_member, compare, outcome_trend
from port_hook_cli.invocations.models import Response
from tests.factories import a_capture


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
