from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.captures.latest import Latest, parse_latest


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("last", Latest(replays=False, back=0)),
        ("last~", Latest(replays=False, back=1)),
        ("last~0", Latest(replays=False, back=0)),
        ("last~12", Latest(replays=False, back=12)),
        ("last-replay", Latest(replays=True, back=0)),
        ("last-replay~2", Latest(replays=True, back=2)),
    ],
)
def test_names_of_the_latest_captures_follow_git_revision_syntax(name: str, expected: Latest) -> None:
    assert parse_latest(name) == expected


@pytest.mark.parametrize(
    "name", ["", "Last", "last ", "last~x", "last~-1", "last~12345678", "last~\u0661", "last\n", "lastly"]
)
def test_other_names_are_not_the_latest(name: str) -> None:
    assert parse_latest(name) is None


@given(st.text())
def test_any_name_is_read_without_an_error(name: str) -> None:
    assert parse_latest(name) is None or name.startswith("last")
