"""The plain form of a body: every serializer writes it in the same way."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.javascript.stringify import stringify
from port_hook_cli.signatures.plain_body import MOST_BYTES, BodyFeature, ladder

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda value: st.lists(value, max_size=4) | st.dictionaries(st.text(), value, max_size=4),
    max_leaves=12,
)


@given(values, st.sampled_from([{}, {"indent": 2}, {"ensure_ascii": False}, {"separators": (",", ":")}]))
def test_plain_form_is_written_identically_by_node_and_python(value: object, style: dict[str, object]) -> None:
    body = json.dumps(value, **style).encode("utf-8", "surrogatepass")  # type: ignore[arg-type]
    rungs = ladder(body)
    plain = rungs[0].body.decode("ascii")
    assert rungs[-1].body == body
    assert json.dumps(json.loads(plain), separators=(",", ":"), sort_keys=True) == plain
    assert stringify(plain) == plain or any(key.isdigit() for key in keys_of(json.loads(plain)))


def keys_of(value: object) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(key for element in value.values() for key in keys_of(element))]
    return [key for element in value for key in keys_of(element)] if isinstance(value, list) else []


@given(values)
def test_each_step_adds_one_feature_in_order(value: object) -> None:
    first, *others = ladder(json.dumps(value).encode())
    features = [rung.feature for rung in others]
    assert first.feature is None
    assert features == [feature for feature in BodyFeature if feature in features]
    assert len({rung.body for rung in (first, *others)}) == len(others) + 1


def test_plain_form_does_not_change_ordinary_values_or_make_two_keys_equal() -> None:
    body = b'{"action":"create_vm","at":"2026-01-01T00:00:00.000Z","cpu":4,"share":0.5,"tags":["a",null,true]}'
    assert [rung.body for rung in ladder(body)] == [body]
    (plain, *_) = ladder('{"é":1,"è":2,"x":3}'.encode())
    assert json.loads(plain.body) == {"x": 1, "xx": 2, "xxx": 3}


def test_unreadable_body_has_no_plain_form() -> None:
    rows: list[Any] = [b"", b"\xff", b"NaN", b'{"a":', b"[" * 5000, b'"' + b"a" * MOST_BYTES + b'"']
    for body in rows:
        assert [rung.body for rung in ladder(body)] == [body]
