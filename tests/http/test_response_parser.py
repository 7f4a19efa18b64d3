from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.http.failures import ResponseTooLarge, UnreadableResponse
from port_hook_cli.http.response_parser import MAX_HEAD_BYTES, MAX_INTERIM, ResponseParser


def parse(*parts: bytes, at_end: bool = False) -> tuple[ResponseParser, bytes]:
    body = bytearray()
    parser = ResponseParser(body.extend)
    for part in parts:
        parser.feed(part)
    if at_end:
        parser.feed_end()
    return parser, bytes(body)


def read(*parts: bytes, at_end: bool = False) -> tuple[int, bytes] | str:
    """Return status and body of a complete response, `incomplete`, or the kind of error."""
    try:
        parser, body = parse(*parts, at_end=at_end)
    except (UnreadableResponse, ResponseTooLarge) as error:
        return type(error).__name__
    return (parser.status, body) if parser.is_complete else "incomplete"


def test_response_is_read_in_one_piece_or_byte_by_byte() -> None:
    for data, expected in [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", (200, b"ok")),
        (b"\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", (200, b"ok")),
        (b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok", (200, b"ok")),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\n\r\n\r\n", (200, b"\r\n\r\n")),
        (b"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", (200, b"")),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok", (200, b"ok")),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nT: 1\r\n\r\n", (200, b"ok")),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\nok\n0\n\n", (200, b"ok")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", (304, b"")),
        (b"HTTP/1.1 103 Hints\r\na: b\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", (200, b"")),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil close", "incomplete"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok", "incomplete"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", "incomplete"),
    ]:
        assert read(data) == expected
        assert read(*(data[at : at + 1] for at in range(len(data)))) == expected


def test_malformed_response_is_unreadable() -> None:
    for data in [
        b"SSH-2.0-OpenSSH",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 two\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded: first\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\x00b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\rb\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1, 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ]:
        assert read(data) == "UnreadableResponse"


def test_folded_header_is_joined_with_a_space() -> None:
    parser, _ = parse(b"HTTP/1.1 200 OK\r\nX: a\r\n  b\r\n\tc\r\ncontent-length: 0\r\n\r\n")
    assert parser.headers.items == (("X", "a b c"), ("content-length", "0"))


def test_only_the_end_of_the_connection_ends_a_body_without_a_length() -> None:
    assert read(b"HTTP/1.1 200 OK\r\n\r\nall", at_end=True) == (200, b"all")
    assert read(b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nall", at_end=True) == (200, b"all")
    assert read(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", at_end=True) == "incomplete"
    assert read(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n", at_end=True) == "incomplete"


def feed_again(parser: ResponseParser, piece: bytes) -> None:
    for _ in range(2 * MAX_HEAD_BYTES // len(piece)):
        parser.feed(piece)


def test_head_chunk_lines_and_trailers_are_limited_in_size() -> None:
    for begin, piece in [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nx: ", b"y" * 100),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: ", b"y" * 100),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1;x=" + b"y" * 99 + b"\r\nb\r\n"),
    ]:
        parser = ResponseParser(lambda _: None)
        parser.feed(begin)
        with pytest.raises(ResponseTooLarge):
            feed_again(parser, piece)
    parser = ResponseParser(lambda _: None)
    parser.feed(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;")
    with pytest.raises(UnreadableResponse):
        feed_again(parser, b"x" * 1024)


def test_interim_responses_are_skipped_up_to_32() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" * MAX_INTERIM
    assert read(interim + b"HTTP/1.1 204 No Content\r\n\r\n") == (204, b"")


LINES = st.sampled_from([
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 404 Not Found\r\n", b"HTTP/1.1 204 No Content\r\n", b"HTTP/1.1 500\r\n",
])  # fmt: skip
FIELDS = st.lists(
    st.sampled_from([
        b"content-length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"X-A:  b \r\n", b"x-a:\r\n",
        b"connection: close\r\n",
        b"Set-Cookie: \xff\xe9\r\n", b"content-type: application/json\r\n",
    ]),
    max_size=3,
    unique=True,
)  # fmt: skip
BODIES = st.sampled_from([b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nT: u\r\n\r\n"])


@given(LINES, FIELDS, BODIES, st.lists(st.integers(0, 200), max_size=5))
def test_response_is_read_the_same_in_any_segmentation(
    line: bytes, fields: list[bytes], body: bytes, cuts: list[int]
) -> None:
    data = line + b"".join(fields) + b"\r\n" + body
    points = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    parts = [data[start:end] for start, end in pairwise(points)]
    whole, cut = read(data, at_end=True), read(*parts, at_end=True)
    # Bytes after the end are noticed only if they arrive with the end.
    assert whole in {cut, "UnreadableResponse"}


@given(st.lists(st.binary(max_size=60), max_size=4), st.booleans())
def test_parser_raises_only_its_own_exceptions_for_any_bytes(parts: list[bytes], is_headed: bool) -> None:
    read(*([b"HTTP/1.1 200 OK\r\n"] if is_headed else []), *parts, at_end=True)


def test_connection_is_not_reused_after_a_forbidden_response_body() -> None:
    for head, can_reuse in [
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\n\r\nstill", False),
        (b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\ncontent-length: 38\r\n\r\n", False),
        (b"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n", False),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 38\r\n\r\n", True),
        (b"HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n", False),
    ]:
        parser, body = parse(head)
        assert (parser.is_complete, parser.can_reuse, body) == (True, can_reuse, b"")


def test_small_chunks_are_parsed_in_linear_time() -> None:
    for end in [b"\r\n", b"\n"]:
        stream = (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
            + (b"1" + end + b"x" + end) * 60_000
            + b"0"
            + end
            + end
        )
        started = time.process_time()
        parser, body = parse(*(stream[at : at + 2**18] for at in range(0, len(stream), 2**18)))
        assert (parser.is_complete, len(body)) == (True, 60_000)
        assert (
            time.process_time() - started < 5
        )  # guards against a hang: a copy for each chunk would take a second for each arrival
