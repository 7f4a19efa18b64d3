from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.captures.comparison import Ignoring
from port_hook_cli.errors import UsageError


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
