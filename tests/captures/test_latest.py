from __future__ import annotations

from port_hook_cli.captures.latest import Latest, parse_latest


def test_names_of_the_latest_captures_follow_git_revision_syntax() -> None:
    for name, expected in [
        ("last", Latest(replays=False, back=0)),
        ("last~", Latest(replays=False, back=1)),
        ("last~0", Latest(replays=False, back=0)),
        ("last~12", Latest(replays=False, back=12)),
        ("last-replay", Latest(replays=True, back=0)),
        ("last-replay~2", Latest(replays=True, back=2)),
    ]:
        assert parse_latest(name) == expected


def test_other_names_are_not_the_latest() -> None:
    for name in ["", "Last", "last ", "last~x", "last~-1", "last~12345678", "last~\u0661", "last\n", "lastly"]:
        assert parse_latest(name) is None
