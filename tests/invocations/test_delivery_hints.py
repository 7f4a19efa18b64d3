from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.invocations.models import Delivery
from port_hook_cli.invocations.view import delivery_hint

URL = "http://127.0.0.1:8000/"


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (301, "final URL"),
        (302, "final URL"),
        (307, "trailing slash"),
        (308, "trailing slash"),
        (400, "--timestamp-unit ms"),
        (401, "secret"),
        (401, "--timestamp-unit ms"),
        (403, "secret"),
        (403, "--timestamp-unit ms"),
        (404, "--forward-to"),
        (405, "method"),
        (413, "size"),
        (415, "content-type"),
        (422, "field"),
        (429, "limits the rate"),
        (500, "log"),
        (502, "log"),
        (599, "log"),
    ],
)
def test_error_status_has_a_hint_that_says_where_to_look(status: int, word: str) -> None:
    assert word in delivery_hint(Delivery(url=URL, status=status))


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("unreachable", "port-hook replay last --to URL"),
        ("timeout", "--forward-timeout"),
        ("broken", "log"),
        ("interrupted", "port-hook replay last --to URL"),
    ],
)
def test_a_delivery_without_a_response_has_a_hint_for_its_fault(fault: str, word: str) -> None:
    assert word in delivery_hint(Delivery(url=URL, fault=fault))


@pytest.mark.parametrize(
    "delivery",
    [
        *(Delivery(url=URL, status=status) for status in (200, 204, 299, 418, 499)),
        Delivery(url=URL),
        Delivery(url=URL, fault="of a later version"),
    ],
)
def test_delivery_has_no_hint_when_the_cause_is_unknown(delivery: Delivery) -> None:
    assert delivery_hint(delivery) == ""


@given(st.integers(100, 999))
def test_a_delivery_has_a_hint_only_when_it_failed(status: int) -> None:
    hint = delivery_hint(Delivery(url=URL, status=status))
    assert hint == "" or not 200 <= status <= 299
    assert "\n" not in hint


@pytest.mark.parametrize("status", [400, 401, 403])
def test_hint_names_the_signed_form_when_a_handler_refuses_a_message(status: int) -> None:
    delivery = Delivery(url="http://127.0.0.1:8000/", status=status)
    hint = delivery_hint(delivery, is_message=True)
    assert "without the two signature headers" in hint
    assert hint != delivery_hint(delivery)
