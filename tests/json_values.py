"""JSON values for property tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st


def json_values(
    scalars: st.SearchStrategy[Any],
    keys: st.SearchStrategy[str] | None = None,
    *,
    max_size: int | None = None,
    max_leaves: int = 10,
) -> st.SearchStrategy[Any]:
    """Return null, booleans and `scalars`, and lists and objects of them. By default, keys are any text."""
    keys = st.text() if keys is None else keys
    return st.recursive(
        st.none() | st.booleans() | scalars,
        lambda inner: st.lists(inner, max_size=max_size) | st.dictionaries(keys, inner, max_size=max_size),
        max_leaves=max_leaves,
    )
