"""Hypothesis strategies for JSON texts in all the ways that the grammar allows."""

from __future__ import annotations

from hypothesis import strategies as st

_SPACES = st.sampled_from(["", "", "", " ", "\n", "\t\r\n"])
_CHARACTERS = st.one_of(
    st.characters(min_codepoint=0x20, exclude_characters='"\\'),
    st.sampled_from(["\ud800", "\udc00", "\\ud83d", "\\ude00", "\\u0031", "\\u00E9", "\\u0000", "\\/", "\\b", "\\n"]),
)
_STRINGS = st.lists(_CHARACTERS, max_size=5).map(lambda parts: f'"{"".join(parts)}"')
_INDICES = st.sampled_from(["0", "1", "2", "10", "01", "-0", "4294967294", "4294967295", "99999999999"])
_KEYS = st.one_of(
    _STRINGS,
    _INDICES.map(lambda index: f'"{index}"'),
    st.sampled_from(['"a"', '"a"', '"__proto__"', '"\\u0031"', '""', '"$"']),
)
NUMBERS = st.one_of(
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.from_regex(r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?", fullmatch=True).filter(str.isascii),
)
_SCALARS = st.one_of(NUMBERS, _STRINGS, st.sampled_from(["true", "false", "null"]))


def _spaced(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(_SPACES, texts, _SPACES).map("".join)


def _containers(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    members = st.tuples(_spaced(_KEYS), values).map(":".join)
    return _spaced(
        st.one_of(
            st.lists(values, max_size=4).map(lambda parts: f"[{','.join(parts)}]"),
            st.lists(members, max_size=5).map(lambda parts: f"{{{','.join(parts)}}}"),
        )
    )


JSON_TEXTS = st.recursive(_spaced(_SCALARS), _containers, max_leaves=12)


@st.composite
def nearly_json(draw: st.DrawFn) -> str:
    """A JSON text with one character removed, inserted or replaced."""
    text = draw(JSON_TEXTS)
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(start + 1, len(text))))
    return (
        text[:start] + draw(st.sampled_from(["", ",", '"', "]", "}", "0", "\ufeff", "\x0b", "NaN", "\\"])) + text[end:]
    )
