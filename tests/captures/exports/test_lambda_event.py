from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from port_hook_cli.captures.exports.lambda_event import InvalidResult, lambda_event, read_result
from port_hook_cli.invocations.headers import Headers
from tests.factories import an_invocation

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
answers = st.fixed_dictionaries(
    {"statusCode": values | st.integers(100, 599)},
    optional=dict.fromkeys(("headers", "cookies", "body", "isBase64Encoded"), values),
)


@given(st.binary(max_size=50) | (answers | values).map(lambda value: json.dumps(value).encode()))
@example(b'{"statusCode":200,"headers":{"a":' + b"[" * 900 + b"]" * 900 + b"}}")
@example(b'{"statusCode":200,"body":"\\ud800"}')
def test_any_function_result_is_a_response_or_rejected(content: bytes) -> None:
    with suppress(InvalidResult):
        assert 100 <= read_result(content).status < 1000


@given(
    st.integers(100, 599), st.dictionaries(st.text(max_size=5), st.text("aé", max_size=5)), st.text("aé日", max_size=9)
)
def test_function_result_retains_status_headers_and_body(status: int, headers: dict[str, str], body: str) -> None:
    found = read_result(json.dumps({"statusCode": status, "headers": headers, "body": body}).encode())
    assert (found.status, found.body) == (status, body.encode())
    assert [value.encode("latin-1").decode() for _, value in found.headers] == list(headers.values())


def test_cookies_become_headers() -> None:
    answer: dict[str, Any] = {"statusCode": 200, "cookies": ["a=1", "b=2"]}
    assert read_result(json.dumps(answer).encode()).headers.all("set-cookie") == ("a=1", "b=2")


def test_event_joins_headers_and_parameters_of_the_same_name() -> None:
    headers = Headers((("X-A", "1"), ("x-a", "2"), ("User-Agent", "port")))
    event = lambda_event(an_invocation(headers=headers), "http://h/p?a=1&a=2&B=")
    assert event["headers"] == {"x-a": "1,2", "user-agent": "port"}
    assert event["queryStringParameters"] == {"a": "1,2", "B": ""}
    http = event["requestContext"]["http"]
    assert (http["method"], http["path"], http["userAgent"]) == ("POST", event["rawPath"], "port")
    assert event["rawPath"] == "/p"
    # These are the names that AWS uses for the route and the stage of a function URL.
    assert (event["requestContext"]["routeKey"], event["requestContext"]["stage"]) == ("$default", "$default")
    assert "queryStringParameters" not in lambda_event(an_invocation(), "http://h/")
