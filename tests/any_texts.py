"""Text with any characters: `st.text` rarely generates control characters or lone surrogates."""

from __future__ import annotations

from hypothesis import strategies as st

_ODD = "\0\x1b\x7f\x9b\u2028\u202e\ud800\udfff"


def any_texts(max_size: int | None = None) -> st.SearchStrategy[str]:
    """Return a strategy for text in which half of the characters are odd."""
    return st.lists(st.characters() | st.sampled_from(_ODD), max_size=max_size).map("".join)
