from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.invocations.http_text import NotHttp, is_request, parse_request

TOKENS = st.from_regex(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", fullmatch=True)
# Header values have no line breaks, and no whitespace at their ends.
VALUES = st.binary(max_size=30).map(lambda value: value.translate(None, b"\r\n\0").strip(b" \t"))
FIELDS = st.lists(
    st.tuples(
        TOKENS.filter(lambda name: name.lower() not in {"content-length", "transfer-encoding"}).map(str.encode), VALUES
    ),
    max_size=5,
)
LINE_ENDS = st.sampled_from([b"\n", b"\r\n"])


def a_request(*lines: bytes, body: bytes = b"", line_end: bytes = b"\r\n") -> bytes:
    return line_end.join((b"POST /hook?a=1 HTTP/1.1", *lines, b"", body))


@given(TOKENS, st.binary(min_size=1, max_size=20), FIELDS, st.binary(), LINE_ENDS)
def test_written_request_parses_back_to_the_same_request(
    method: str, target: bytes, fields: list[tuple[bytes, bytes]], body: bytes, line_end: bytes
) -> None:
    target = b"/" + target.translate(None, b" \t\n\r\v\f")
    lines = [method.encode() + b" " + target + b" HTTP/1.1", *(name + b": " + value for name, value in fields)]
    request = parse_request(line_end.join((*lines, b"", body)))
    assert (request.method, request.target.encode("utf-8", "surrogateescape")) == (method, target)
    assert request.headers.raw() == fields
    assert request.body == body
    assert not request.remarks


@given(st.binary())
def test_any_bytes_are_parsed_as_a_request_or_raise_not_http(content: bytes) -> None:
    if is_request(content):
        with suppress(NotHttp):
            parse_request(content)
    else:
        with pytest.raises(NotHttp, match="not a request line"):
            parse_request(content)


@given(st.binary())
def test_any_bytes_after_a_request_line_are_parsed_or_raise_not_http(content: bytes) -> None:
    content = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n" + content
    with suppress(NotHttp):
        assert len(parse_request(content).body) <= len(content)


def test_body_ends_at_content_length_with_a_remark_about_a_difference() -> None:
    request = parse_request(b"\r\n\n" + a_request(b"Content-Length: 2", body=b"{}\n"))
    assert request.body == b"{}"
    cut = "content-length is 2, so the rest (1 B) was left out. If you edited the body, delete that header"
    assert request.remarks == (cut,)
    request = parse_request(a_request(b"Content-Length: 9", body=b"{}"))
    assert request.body == b"{}"
    assert "only 2" in request.remarks[0]


def test_content_length_is_ignored_when_it_is_not_a_number() -> None:
    for length in [b"two", b"-1", b"9" * 5000, "٣".encode()]:
        request = parse_request(a_request(b"Content-Length: " + length, body=b"{}"))
        assert request.body == b"{}"
        assert "not a number" in request.remarks[0]


@given(st.lists(st.binary(min_size=1), max_size=4), LINE_ENDS)
def test_chunks_of_a_body_are_joined(chunks: list[bytes], line_end: bytes) -> None:
    parts = [f"{len(chunk):x};name=value".encode() + line_end + chunk + line_end for chunk in chunks]
    body = b"".join((*parts, b"0", line_end, line_end))
    request = parse_request(a_request(b"Transfer-Encoding: chunked", body=body))
    assert request.body == b"".join(chunks)
    assert not request.remarks


def test_body_is_used_unchanged_when_it_is_not_chunked_as_declared() -> None:
    for body in [b'{"a":1}', b"5\r\nab", b"5\r\nabcdefgh", b""]:
        request = parse_request(a_request(b"Transfer-Encoding: chunked", body=body))
        assert request.body == body
        assert "chunked" in request.remarks[0]


def test_folded_incomplete_and_invalid_headers_are_read_or_reported() -> None:
    assert parse_request(a_request(b"X-Long: one", b"\t two ", body=b"")).headers.get("x-long") == "one two"
    request = parse_request(b"POST / HTTP/1.1\nHost: localhost\n")
    assert (request.headers.get("host"), request.body) == ("localhost", b"")
    assert "no empty line" in request.remarks[0]
    with pytest.raises(NotHttp, match="line 3 is not a header like 'name: value': 'nonsense'"):
        parse_request(a_request(b"Host: a", b"nonsense"))


def test_other_files_are_not_requests() -> None:
    for content in [b"", b"\n\n", b'{"a": 1}', b"HTTP/1.1 200 OK\r\n\r\n", b"POST /\r\n\r\n", b"\xff"]:
        assert not is_request(content)
        with pytest.raises(NotHttp, match="not a request line"):
            parse_request(content)


def test_header_value_with_many_spaces_is_parsed_quickly() -> None:
    value = b" " * 200_000 + b"x" + b" " * 200_000
    assert parse_request(a_request(b"A:" + value)).headers.get("a") == "x"
