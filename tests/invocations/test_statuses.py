from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.statuses import Expectation


@given(st.integers(100, 599), st.integers(100, 599))
def test_expected_code_matches_only_the_same_code(code: int, other: int) -> None:
    expectation = Expectation.parse(str(code))
    assert expectation.met_by(code)
    assert expectation.met_by(other) == (code == other)


@given(st.integers(1, 5), st.integers(100, 599), st.sampled_from(["xx", "XX", "xX"]))
def test_expected_class_matches_every_status_of_the_class(digit: int, status: int, letters: str) -> None:
    assert Expectation.parse(f"{digit}{letters}").met_by(status) == (status // 100 == digit)


def test_expectation_does_not_match_a_missing_response() -> None:
    for text in ["200", "2xx", " 2XX "]:
        assert not Expectation.parse(text).met_by(None)


def test_expectation_is_rejected_when_it_is_not_a_status() -> None:
    for text in ["", "20", "2000", "2x", "x00", "20x", "600", "0xx", "ok", "²00", "-200", "2xx,3xx"]:
        with pytest.raises(UsageError) as caught:
            Expectation.parse(text)
        assert "2xx" in caught.value.hint
