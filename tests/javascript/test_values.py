"""Writing values: the fast path writes what `stringify` writes."""

from __future__ import annotations

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.javascript.stringify import stringify
from port_hook_cli.javascript.values import write_json
from tests.any_texts import any_texts

_numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-1e22, 1e22),
    st.floats(-1e-3, 1e-3),
    st.integers(-(2**80), 2**80),
    st.integers(2**53 - 3, 2**53 + 3).map(float),
)
_texts = any_texts()
_values = st.recursive(
    st.one_of(st.none(), st.booleans(), _numbers, _texts),
    lambda inner: st.one_of(
        st.lists(inner), st.dictionaries(st.one_of(_texts, st.integers(0, 99).map(str)), inner), st.tuples(inner)
    ),
    max_leaves=20,
)


@given(_values)
def test_write_json_equals_stringify(value: object) -> None:
    assert write_json(value) == stringify(json.dumps(value, ensure_ascii=False))


def test_write_json_equals_node() -> None:
    for value, text in [
        (math.inf, "null"),
        ([-math.inf, math.nan], "[null,null]"),
        (10**400, "null"),
        (12345678901234567890, "12345678901234567000"),
        (9007199254740994.0, "9007199254740994"),
        (1e21, "1e+21"),
        (1e-7, "1e-7"),
        (-0.0, "0"),
        ({"b": 1, "2": 2, "1": 3}, '{"1":3,"2":2,"b":1}'),
        ({1: 2}, '{"1":2}'),
        ("\ud800", '"\\ud800"'),
        ("\ud83d\ude00", '"😀"'),
    ]:
        assert write_json(value) == text
