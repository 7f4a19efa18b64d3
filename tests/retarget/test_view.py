"""The messages about retargeted actions and nodes. Credentials in them are masked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from port_hook_cli.actions.retargeting import plan_change
from port_hook_cli.retarget.entry import Entry
from port_hook_cli.retarget.view import conflict_lines, leftover_line
from tests.retargets import ONE, TWO, a_workflow, an_action


def an_entry(original: dict[str, Any], *urls: str) -> Entry:
    return Entry(identifier="create_vm", api_url="u", original=original, urls=urls)


def change(action: dict[str, Any], url: str) -> Any:
    return plan_change(action, url)


def test_conflict_lines_show_the_original_retargeted_and_current_value() -> None:
    original = an_action(url="https://handler.example/")
    left = {**original, "invocationMethod": change(original, ONE).body["invocationMethod"]}
    now = {**left, "title": "Another title"}
    field, first, second, third = conflict_lines(replace(an_entry(original, ONE), left=left), now)
    assert field == "  title"
    assert first.endswith(original["title"])
    assert second.endswith(original["title"])
    assert third.endswith("Another title")


def test_conflict_lines_show_the_next_url_and_agent_of_a_node_of_a_killed_listener() -> None:
    fresh = Entry(identifier="deploy_service", node="check", api_url="u", original={})
    entry = fresh.beginning(a_workflow(url="https://handler.example/")).intending(ONE)
    assert conflict_lines(entry, a_workflow(url=TWO, title="Theirs")) == [
        "  config.url",
        "    original:   https://handler.example/",
        f"    retargeted: {ONE}",
        f"    now:        {TWO}",
        "  config.agent",
        "    original:   true",
        "    retargeted: false",
        "    now:        true",
    ]


def test_conflict_lines_mask_credentials_in_headers() -> None:
    original = an_action(url="https://handler.example/")
    method = {**change(original, ONE).body["invocationMethod"]}
    left = {**original, "invocationMethod": method}
    now = {
        **left,
        "description": None,
        "invocationMethod": {**method, "headers": {"authorization": "Bearer other", "X-Team": "b"}},
    }
    lines = "\n".join(conflict_lines(replace(an_entry(original, ONE), left=left), now))
    assert "Bearer" not in lines
    assert "s3cret" not in lines
    assert "***" in lines


def test_conflict_lines_show_at_most_20_fields() -> None:
    original = an_action()
    left = {**original, "invocationMethod": change(original, ONE).body["invocationMethod"]}
    for count, lines in ((20, 80), (21, 81)):
        headers = {f"x-{number}": "new" for number in range(count)}
        method = {**left["invocationMethod"], "headers": {**left["invocationMethod"]["headers"], **headers}}
        found = conflict_lines(replace(an_entry(original, ONE), left=left), {**left, "invocationMethod": method})
        assert len(found) == lines
        assert (found[-1].strip() == "…") is (count > 20)


def test_leftover_line_counts_the_leftovers() -> None:
    rows: list[tuple[Any, Any]] = [(1, "1 action or node "), (2, "2 actions or nodes "), (11, "11 actions ")]
    for count, words in rows:
        assert words in leftover_line(count)
