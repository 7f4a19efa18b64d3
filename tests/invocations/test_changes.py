"""The changes in an automation's event."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.invocations.models import EventChange
from port_hook_cli.invocations.payload import find_changes


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ({"a": 1}, {"a": 2}, (EventChange("a", 1, 2),)),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": "1"}}}, (EventChange("a.b.c", 1, "1"),)),
        ({"gone": 1}, {}, (EventChange("gone", 1, None),)),
        ({}, {"new": 1}, (EventChange("new", None, 1),)),
        ({"tags": ["a", "b"]}, {"tags": ["a"]}, (EventChange("tags", ["a", "b"], ["a"]),)),
        ({"a": {"b": 1}}, {"a": [1]}, (EventChange("a", {"b": 1}, [1]),)),
        (
            {"z": 1, "a": 1},
            {"z": 2, "m": 1, "a": 2},
            (EventChange("z", 1, 2), EventChange("a", 1, 2), EventChange("m", None, 1)),
        ),
        ("silver", "gold", (EventChange(".", "silver", "gold"),)),
        ({"a": 1}, None, (EventChange(".", {"a": 1}, None),)),
    ],
)
def test_changes_have_paths_in_the_order_of_the_document(
    before: Any, after: Any, changes: tuple[EventChange, ...]
) -> None:
    assert find_changes(before, after) == changes


def test_find_changes_ignores_updated_at_and_updated_by_outside_properties() -> None:
    before = {"updatedAt": "1", "updatedBy": "a", "properties": {"updatedAt": "1"}}
    after = {"updatedAt": "2", "updatedBy": "b", "properties": {"updatedAt": "2"}}
    assert find_changes(before, after) == (EventChange("properties.updatedAt", "1", "2"),)


def test_find_changes_returns_at_most_200_changes() -> None:
    wide = {str(number): number for number in range(1000)}
    found = find_changes(wide, dict.fromkeys(wide, -1))
    assert len(found) == 200
    assert found[0] == EventChange("0", 0, -1)


def test_documents_of_any_depth_are_compared() -> None:
    def nested(depth: int, leaf: Any, wrap: type) -> Any:
        for _ in range(depth):
            leaf = {"k": leaf} if wrap is dict else [leaf]
        return leaf

    (change,) = find_changes(nested(2000, 1, dict), nested(2000, 2, dict))
    assert change == EventChange(".".join(["k"] * 2000), 1, 2)
    # Lists are compared as a whole. If that is not possible, they count as changed.
    assert len(find_changes(nested(100_000, 1, list), nested(100_000, 2, list))) == 1


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=15,
)


@given(values, values)
def test_find_changes_swaps_each_change_when_its_arguments_are_swapped(before: Any, after: Any) -> None:
    there, back = find_changes(before, after), find_changes(after, before)
    assert sorted((c.path, repr(c.before), repr(c.after)) for c in there) == sorted(
        (c.path, repr(c.after), repr(c.before)) for c in back
    )
    assert all(change.before != change.after for change in there)
