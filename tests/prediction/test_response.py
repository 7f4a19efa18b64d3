"""A response in the format of `requests`, compared with requests itself."""

from __future__ import annotations

import io
from typing import Any

import requests
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.invocations.headers import Headers
from port_hook_cli.prediction.response import AgentResponse

KINDS = st.sampled_from(
    [
        "application/json",
        "text/plain",
        "text/html; charset=utf-8",
        "application/json;charset=iso-8859-1",
        "x; charset='x'",
    ]
)
BODIES = st.sampled_from(
    [b"", b"{}", b"null", b'{"a": "\xc3\xa9"}', b"\xff\xfe", b"[1", b'"x"', b"1e999", '{"ü": 1}'.encode("utf-16")]
) | st.binary(max_size=6)


def a_response(status: int, body: bytes) -> requests.Response:
    """Return what requests makes of a response without headers."""
    response = requests.Response()
    response.status_code, response.raw = status, io.BytesIO(body)
    return response


@given(st.integers(200, 620), KINDS, BODIES)
def test_response_is_read_like_in_requests(status: int, kind: str, body: bytes) -> None:
    real = a_response(status, body)
    real.headers["Content-Type"] = kind
    real.encoding = requests.utils.get_encoding_from_headers(real.headers)
    made = AgentResponse(name="", status=status, headers=Headers((("Content-Type", kind),)), body=body)
    assert (made.is_ok, made.text) == (real.ok, real.text)
    try:
        expected: Any = real.json()
    except ValueError:
        assert made.document()["json"] is None
        expected = real.text
    assert repr(made.content) == repr(expected)
    assert made.document()["headers"] == {"Content-Type": kind}


def test_json_without_a_content_type_is_recognized_by_its_first_bytes() -> None:
    rows: list[Any] = [b'{"a": "\xc3\xa9"}', '{"ü": 1}'.encode("utf-16"), b"\xef\xbb\xbf[1]", b"", b"\xff{"]
    for body in rows:
        real = a_response(200, body)
        made = AgentResponse(name="", status=200, body=body)
        try:
            assert made.content == real.json()
        except requests.exceptions.JSONDecodeError:
            assert made.document()["json"] is None


def test_repeated_headers_are_joined() -> None:
    headers = Headers((("X-A", "1"), ("x-a", "2"), ("B", "3")))
    assert AgentResponse(name="", status=200, headers=headers).document()["headers"] == {"X-A": "1, 2", "B": "3"}
