from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.captures.store.body_filter import JqBodyFilter
from port_hook_cli.errors import UsageError

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=6,
)


def matching(expression: str, *bodies: bytes) -> list[int]:
    with JqBodyFilter(expression) as bodies_filter:
        return list(bodies_filter(enumerate(bodies)))


def as_bodies(*values: Any) -> list[bytes]:
    return [json.dumps(value).encode() for value in values]


def test_bodies_match_when_the_first_result_is_neither_null_nor_false() -> None:
    bodies = as_bodies({"a": 1}, {"a": 0}, {"a": False}, {"a": None}, {}, {"a": ""})
    assert matching(".a", *bodies) == [0, 1, 5]
    assert matching("(.a | not), true", *bodies) == [2, 3, 4]
    assert matching("empty", *bodies) == []


def test_non_json_bodies_do_not_match_and_do_not_shift_other_results() -> None:
    bodies = (b"", b"\xff", b"1,2", b"[1", b"NaN", b"1] | [1", b'{\n "a":\n 1}', b"9" * 5000, b"[" * 5000)
    assert matching("true", *bodies) == [6]


def test_body_that_jq_cannot_read_does_not_match_and_does_not_stop_the_search() -> None:
    deep = b"[" * 300 + b"]" * 300
    found = matching("true", b"1", b"[%s1]" % (b"[]," * 20_000_000), b"2", deep, b"3")
    assert {0, 2, 4} <= set(found) <= {0, 2, 3, 4}


@pytest.fixture(scope="module")
def objects() -> Iterator[JqBodyFilter]:
    """Yield one filter for all examples, because starting a jq process takes longer than running an expression."""
    with JqBodyFilter('type == "object" # comment \\') as bodies_filter:
        yield bodies_filter


@given(values=st.lists(documents, max_size=8))
def test_every_body_gets_its_own_result(objects: JqBodyFilter, values: list[Any]) -> None:
    expected = [number for number, value in enumerate(values) if isinstance(value, dict)]
    assert list(objects(enumerate(as_bodies(*values)))) == expected


def test_failures_are_counted_and_the_first_message_is_returned() -> None:
    with JqBodyFilter(".a.b") as bodies:
        assert list(bodies(enumerate(as_bodies({"a": 1}, {"a": {"b": 1}}, 7)))) == [1]
        assert bodies.failures == 2
        assert "number" in bodies.failure


def test_incomplete_expression_is_rejected() -> None:
    for expression in [".a |", "1) | (2", "1] | [2", ""]:
        with pytest.raises(UsageError, match="is invalid"):
            matching(expression, b"1")


def test_endless_expression_is_stopped() -> None:
    endless = 'if type == "null" then 1 else [range(1e12)] end'
    with (
        JqBodyFilter(endless, timeout_s=0.5) as bodies_filter,
        pytest.raises(UsageError, match=r"port-hook stopped the --jq expression: it took longer than 0\.5 s"),
    ):
        list(bodies_filter([(0, b"1")]))


def test_expression_cannot_read_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT_CLIENT_SECRET", "canary")
    assert matching("env.PORT_CLIENT_SECRET or $ENV.PORT_CLIENT_SECRET", b"1") == []


def test_bodies_are_read_only_until_enough_match() -> None:
    taken: list[int] = []

    def bodies() -> Iterator[tuple[int, bytes]]:
        for number in range(10_000):
            taken.append(number)
            yield number, b"1"

    with JqBodyFilter("true") as bodies_filter:
        assert next(bodies_filter(bodies())) == 0
    assert len(taken) < 200
