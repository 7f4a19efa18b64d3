from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.actions.retargeting import Rejection, Standing, UrlChange, differences, plan_change, settable
from port_hook_cli.javascript.values import same
from port_hook_cli.port_api.paths import action_path
from port_hook_cli.retarget.entry import BadEntry, End, Entry, Outcome, read_entry, write_entry
from port_hook_cli.retarget.view import conflict_lines, restore_message
from tests.port_openapi import faults
from tests.retargets import ONE, TWO, an_action

KEYS = st.text(st.characters(min_codepoint=32), max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
ACTIONS = st.builds(
    lambda extra, method, url, agent: {
        **extra,
        "id": "action_1",
        "identifier": "a",
        "invocationMethod": {"type": "WEBHOOK", **method, "url": url, **agent},
        "updatedAt": "now",
    },
    st.dictionaries(KEYS, JSON, max_size=4),
    st.dictionaries(KEYS.filter(lambda key: key not in {"type", "agent"}), JSON, max_size=3),
    st.text(max_size=8).filter(lambda url: "{{" not in url),
    st.sampled_from([{}, {"agent": True}, {"agent": False}, {"agent": None}]),
)
# The fields of a webhook action from "Change an action/automation" in Port's API reference.
PUT_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["identifier", "trigger", "invocationMethod"],
    "properties": {
        **{name: {"type": "string"} for name in ("identifier", "title", "icon", "description")},
        "trigger": {"type": "object"},
        "invocationMethod": {
            "type": "object",
            "additionalProperties": False,
            "required": ["type", "url"],
            "properties": {
                "type": {"enum": ["WEBHOOK"]},
                "url": {"type": "string"},
                "agent": {"oneOf": [{"type": "boolean"}, {"type": "string"}]},
                "synchronized": {"oneOf": [{"type": "boolean"}, {"type": "string"}]},
                "method": {"type": "string"},
                "headers": {"type": "object"},
                "body": {"oneOf": [{"type": "array"}, {"type": "object"}]},
            },
        },
        "requiredApproval": {"oneOf": [{"type": "object"}, {"type": "boolean"}]},
        "approvalNotification": {"type": "object"},
        "publish": {"type": "boolean"},
    },
}


def shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shuffled(inner) for key, inner in reversed(value.items())}
    return [shuffled(inner) for inner in value] if isinstance(value, list) else value


def planned(action: dict[str, Any], url: str) -> UrlChange:
    change = plan_change(action, url)
    assert isinstance(change, UrlChange)
    return change


@given(ACTIONS, st.text(max_size=8))
def test_plan_change_changes_only_the_url_and_a_true_agent(action: dict[str, Any], url: str) -> None:
    change = planned(action, url)
    before = settable(action)
    expected = dict(before["invocationMethod"], url=url)
    if action["invocationMethod"].get("agent") is True:
        expected["agent"] = False
    assert json.dumps(change.body) == json.dumps({**before, "invocationMethod": expected})
    assert {each.keys for each in change.differences} <= {("invocationMethod", "url"), ("invocationMethod", "agent")}


@given(ACTIONS)
def test_settable_leaves_out_only_nulls_and_the_fields_set_by_port(action: dict[str, Any]) -> None:
    sent = settable(with_what_port_sets(action))
    assert not sent.keys() & SET_BY_PORT
    assert set(sent) == {key for key, value in action.items() if key not in SET_BY_PORT and value is not None}


SET_BY_PORT = {"id", "createdAt", "createdBy", "updatedAt", "updatedBy"}


def with_what_port_sets(action: dict[str, Any]) -> dict[str, Any]:
    return {"id": "action_1", **action, **dict.fromkeys(("createdBy", "updatedBy", "createdAt", "updatedAt"), "x")}


def test_body_of_a_change_is_valid_for_the_put_route() -> None:
    for empty in ({}, {"icon": None}):
        action = with_what_port_sets({**an_action(), **empty})
        for body in (planned(action, ONE).body, settable(action)):
            assert faults(body, PUT_SCHEMA) == []
        assert faults(action, PUT_SCHEMA) != []


def test_plan_change_is_rejected_with_a_reason_when_the_url_cannot_be_changed() -> None:
    rows: list[tuple[Any, Any]] = [
        ({"type": "GITHUB", "org": "o"}, "invoked by GITHUB"),
        ({"type": "WEBHOOK"}, "no URL"),
        ({"type": "WEBHOOK", "url": "https://{{ .inputs.host }}/x"}, "computes its `url`"),
        ({"type": "WEBHOOK", "url": "u", "agent": "{{ .inputs.agent }}"}, "computes its `agent`"),
        ({"type": "WEBHOOK", "url": "u", "agent": "yes"}, "neither true nor false"),
        ({"type": "WEBHOOK", "url": "u", "agent": 1}, "neither true nor false"),
        (None, "invoked by an unknown method"),
    ]
    for method, words in rows:
        refusal = plan_change({"identifier": "a", "invocationMethod": method}, ONE)
        assert isinstance(refusal, Rejection)
        assert words in refusal.reason


@given(JSON)
def test_same_ignores_the_order_of_keys(value: Any) -> None:
    assert same(value, shuffled(value))


@given(JSON, JSON)
def test_same_agrees_with_the_comparison_of_canonical_json(one: Any, other: Any) -> None:
    def canonical(value: Any) -> str:
        return json.dumps(floated(value), sort_keys=True)

    def floated(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: floated(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [floated(inner) for inner in value]
        is_integral = isinstance(value, float) and value.is_integer()
        return int(value) if is_integral else value

    assert same(one, other) == (canonical(one) == canonical(other))


def test_same_distinguishes_values_that_are_equal_only_in_python_at_any_depth() -> None:
    rows: list[tuple[Any, Any]] = [
        (1, True),
        (0, False),
        (None, False),
        ("1", 1),
        ([], {}),
        ([1], [True]),
        ({"a": 1}, {"a": True}),
    ]
    for one, other in rows:
        assert not same(one, other)
        assert same(1, 1.0)
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    assert same(deep, deep)


@given(ACTIONS, st.lists(st.sampled_from([ONE, TWO]), min_size=1))
def test_standing_is_original_or_retargeted_for_any_set_url(action: dict[str, Any], urls: list[str]) -> None:
    entry = Entry(identifier="a", api_url="u", original=action)
    assert entry.standing_of({**action, "updatedAt": "later"}) is Standing.ORIGINAL
    for url in urls:
        entry = entry.intending(url)
    for url in urls:
        now = {"id": "action_1", **shuffled(planned(action, url).body), "updatedBy": "us"}
        assert entry.standing_of(now) is Standing.RETARGETED
        assert entry.standing_of({**now, "title": ["changed"]}) is Standing.CHANGED
        assert entry.standing_of({**now, "id": "action_2"}) is Standing.ANOTHER
    assert len(entry.urls) == len(set(urls))


def test_standing_is_retargeted_when_port_added_defaults_and_changed_for_an_earlier_url() -> None:
    action = with_what_port_sets(an_action())
    shown = {**planned(action, TWO).body, "allowAnyoneToViewRuns": True}
    entry = Entry(identifier="a", api_url="u", original=action).intending(ONE).intending(TWO)
    assert entry.standing_of(shown) is Standing.CHANGED
    assert entry.marked(TWO, shown).standing_of(shown) is Standing.RETARGETED
    assert entry.marked(TWO, shown).standing_of(planned(action, ONE).body) is Standing.CHANGED


@given(ACTIONS, st.none() | ACTIONS)
def test_journal_entry_is_read_back_unchanged(original: dict[str, Any], left: dict[str, Any] | None) -> None:
    entry = Entry(identifier="a/é", api_url="u", original=original, left=left, urls=(ONE, TWO), pid=7, at=1.5)
    again = read_entry(write_entry(entry))
    assert again == entry
    assert json.dumps(again.original) == json.dumps(original)


@given(st.text() | JSON.map(json.dumps) | st.just(write_entry(Entry(identifier="a", api_url="", original={}))[:-9]))
def test_text_is_rejected_when_it_is_not_a_journal_entry(text: str) -> None:
    with pytest.raises(BadEntry):
        read_entry(text)


@given(st.text())
def test_action_path_is_one_segment_for_any_identifier(identifier: str) -> None:
    assert action_path(identifier).count("/") == 3
    assert action_path("..") == "/v1/actions/%2E%2E"


def test_conflict_lines_show_each_field_without_credentials_and_control_characters() -> None:
    action = an_action()
    entry = Entry(identifier="create_vm", api_url="u", original=action).intending(ONE)
    now = dict(planned(action, ONE).body)
    method = {**now["invocationMethod"], "url": "https://theirs.example\x1b[2J", "agent": True}
    method["headers"] = {"RUN_ID": "x", "authorization": "Bearer other"}
    shown = "\n".join(conflict_lines(entry, {**now, "title": "New", "invocationMethod": method}))
    assert "\x1b" not in shown
    assert "s3cret" not in shown
    assert "other" not in shown.replace("others", "")
    url = shown[shown.index("invocationMethod.url") :].splitlines()[:4]
    assert [line.split()[-1] for line in url[1:]] == ["https://example.com", ONE, "https://theirs.example\\x1b[2J"]
    assert (
        "invocationMethod.headers.authorization\n    original:   ***\n    retargeted: ***\n    now:        ***" in shown
    )
    removed = "\n".join(conflict_lines(entry, {**now, "invocationMethod": {"type": "WEBHOOK", "url": ONE}}))
    assert "s3cret" not in removed


def test_every_outcome_of_a_restore_has_its_own_message() -> None:
    entry = Entry(identifier="a", api_url="u", original=an_action())
    assert len({restore_message(Outcome(entry=entry, end=end), file="f") for end in End} - {""}) == len(End)


def test_missing_field_differs_from_null() -> None:
    found = differences({"a": 1}, {"b": {"c": 2}})
    assert [(each.keys, each.before, each.after) for each in found] == [(("a",), 1, None), (("b",), None, {"c": 2})]
