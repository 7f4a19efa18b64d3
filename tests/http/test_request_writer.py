from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.http.failures import UnsendableRequest
from port_hook_cli.http.request_writer import Origin, RepeatedRequests, read_endpoint, write_request
from port_hook_cli.invocations.headers import Headers
from tests.any_texts import any_texts
from tests.factories import an_invocation

HOST = ("host", "h")


def written(
    body: bytes = b"", *fields: tuple[str, str], method: str = "POST", url: str = "http://127.0.0.1:8000/hook"
) -> bytes:
    request = an_invocation(body, headers=Headers(fields), method=method)
    return write_request(request, read_endpoint(url))


def test_request_writer_adds_only_host_and_content_length() -> None:
    assert written(b"123", ("a", "b")) == (
        b"POST /hook HTTP/1.1\r\nHost: 127.0.0.1:8000\r\na: b\r\nContent-Length: 3\r\n\r\n123"
    )


def test_content_length_is_added_when_there_is_a_body_or_the_method_expects_one() -> None:
    for method, body, end in [
        ("GET", b"", b"host: h\r\n\r\n"),
        ("GET", b"{}", b"Content-Length: 2\r\n\r\n{}"),
        ("DELETE", b"", b"host: h\r\n\r\n"),
        ("POST", b"", b"Content-Length: 0\r\n\r\n"),
        ("PUT", b"", b"Content-Length: 0\r\n\r\n"),
    ]:
        assert written(body, HOST, method=method).endswith(end)


def test_read_endpoint_returns_the_server_and_host_header_of_a_url() -> None:
    for url, origin, authority in [
        ("http://localhost/x", Origin("http", "localhost", 80), "localhost"),
        ("https://h.example", Origin("https", "h.example", 443), "h.example"),
        ("http://[::1]:8000", Origin("http", "::1", 8000), "[::1]:8000"),
        ("http://user:secret@h:1", Origin("http", "h", 1), "h:1"),
        ("http://zo\xeb.example:8", Origin("http", "zo\xeb.example", 8), "xn--zo-ija.example:8"),
    ]:
        destination = read_endpoint(url)
        assert (destination.origin, destination.authority) == (origin, authority)


def test_chunked_body_is_sent_as_one_chunk() -> None:
    field = ("Transfer-Encoding", "chunked")
    assert written(b"hello world!", HOST, field).endswith(b"\r\n\r\nc\r\nhello world!\r\n0\r\n\r\n")
    assert written(b"", HOST, field).endswith(b"chunked\r\n\r\n0\r\n\r\n")


def test_header_or_method_forbidden_by_http_is_rejected() -> None:
    for fields in [
        [("bad name", "x")],
        [("x", "a\r\nb: c")],
        [("x", "a\nb: c")],
        [("x", "\x00")],
        [("", "x")],
        [("x:y", "\r")],
        [("content-length", "99")],
        [("content-length", "2"), ("Content-Length", "3")],
        [("transfer-encoding", "gzip")],
        [("transfer-encoding", "chunked"), ("content-length", "2")],
        [("x", "\u20ac")],
    ]:
        with pytest.raises(ValueError):  # noqa: PT011 - UnsendableRequest, or UnicodeEncodeError
            written(b"{}", *fields)
    for method in ("", "PO ST", "P\xd6ST", "GET / HTTP/1.1\r\nx: y\r\n\r\nPOST"):
        with pytest.raises(UnsendableRequest, match="the method"):
            written(method=method)


@given(
    st.lists(st.tuples(st.text(max_size=6), st.text(max_size=12)), max_size=4),
    st.text(max_size=6),
    any_texts(max_size=12),
    st.binary(max_size=20),
)
def test_header_method_or_path_never_adds_a_line(
    fields: list[tuple[str, str]], method: str, path: str, body: bytes
) -> None:
    try:
        data = written(body, HOST, *fields, method=method, url=f"http://h/{path}")
    except ValueError:
        return
    head, _, rest = data.partition(b"\r\n\r\n")
    added = [b"Content-Length: %d" % len(body)] if "content-length" not in Headers(tuple(fields)).names else []
    added = added if body or method in {"POST", "PUT", "PATCH"} else []
    expected = [f"{name}: {value}".encode("latin-1") for name, value in (HOST, *fields)]
    assert head.split(b"\r\n")[1:] == expected + added
    assert rest == body


def test_repeated_requests_are_written_once_and_changed_requests_again() -> None:
    repeated = RepeatedRequests()
    body, other = b"1" * 20, b"2" * 20
    signed, renewed = Headers((("a", "1"),)), Headers((("a", "2"),))
    here, there = read_endpoint("http://h/1"), read_endpoint("http://h/2")
    request = an_invocation(body, headers=signed)
    content = repeated.write(request, here)
    assert repeated.write(an_invocation(body, headers=signed, id="other"), here) is content
    for changed, destination in (
        (an_invocation(body, headers=renewed), here),
        (an_invocation(other, headers=renewed), here),
        (an_invocation(body, headers=renewed), there),
        (an_invocation(body, headers=renewed, method="PUT"), there),
        (request, here),
    ):
        assert repeated.write(changed, destination) == write_request(changed, destination)


def test_unsendable_and_large_requests_are_not_remembered() -> None:
    repeated, destination = RepeatedRequests(), read_endpoint("http://h/")
    unsendable, large = an_invocation(b"", headers=Headers((("a b", "1"),))), an_invocation(b"1" * 17_000)
    for _ in range(2):
        with pytest.raises(UnsendableRequest):
            repeated.write(unsendable, destination)
    assert repeated.write(large, destination) is not repeated.write(large, destination)


def test_number_of_remembered_requests_is_limited() -> None:
    repeated, destination = RepeatedRequests(), read_endpoint("http://h/")
    first, *others = [an_invocation(b"%d" % number) for number in range(300)]
    content = repeated.write(first, destination)
    for request in others[:200]:
        repeated.write(request, destination)
    assert repeated.write(first, destination) is content
    for request in others:
        repeated.write(request, destination)
    assert repeated.write(first, destination) is not content
