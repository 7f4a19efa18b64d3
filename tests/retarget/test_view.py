"""The messages about retargeted actions and nodes. Credentials in them are masked."""

from __future__ import annotations

from typing import Any

from port_hook_cli.retarget.entry import Entry
from port_hook_cli.retarget.view import conflict_lines, leftover_line
from tests.retargets import ONE, TWO, a_workflow, an_action


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


def test_conflict_lines_show_at_most_20_fields() -> None:
    original = an_action()
    left = {**original, "invocationMethod": {**original["invocationMethod"], "url": ONE, "agent": False}}
    entry = Entry(identifier="create_vm", api_url="u", original=original, urls=(ONE,), left=left)
    for count, lines in ((20, 80), (21, 81)):
        headers = {f"x-{number}": "new" for number in range(count)}
        method = {**left["invocationMethod"], "headers": {**left["invocationMethod"]["headers"], **headers}}
        found = conflict_lines(entry, {**left, "invocationMethod": method})
        assert len(found) == lines
        assert (found[-1].strip() == "…") is (count > 20)


def test_leftover_line_counts_the_leftovers() -> None:
    rows: list[tuple[Any, Any]] = [(1, "1 action or node "), (2, "2 actions or nodes "), (11, "11 actions ")]
    for count, words in rows:
        assert words in leftover_line(count)
