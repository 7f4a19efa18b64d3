"""The URL and the headers of a forwarded request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.forwarding import fields_with_length, forwarded_headers, relayed_headers
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.targets import BadTarget, is_below, join_target, parse_target, read_target
from tests.factories import an_invocation


def test_target_may_be_a_port_a_host_or_a_url() -> None:
    for text, url in [
        ("8000", "http://127.0.0.1:8000"),
        (":8000", "http://127.0.0.1:8000"),
        ("8000/hook?a=b", "http://127.0.0.1:8000/hook?a=b"),
        ("localhost:8000", "http://localhost:8000"),
        ("localhost:8000/hook", "http://localhost:8000/hook"),
        ("https://dev.example.com/a?b=c", "https://dev.example.com/a?b=c"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ]:
        assert parse_target(text) == url


def test_target_is_rejected_with_a_message_when_it_is_not_a_url() -> None:
    for text in ["", "http://", "ftp://x", "http://x:99999", "http://x:0", "0", "http://u:p@x", "http://x/#f"]:
        with pytest.raises(BadTarget, match=r"."):
            parse_target(text)


def test_join_target_retains_the_path_unless_the_base_has_a_path() -> None:
    for base, target, mount, url in [
        ("http://h:1", "/a/b?c=d&e", "/", "http://h:1/a/b?c=d&e"),
        ("http://h:1/", "/a", "/", "http://h:1/a"),
        ("http://h:1/api", "/", "/", "http://h:1/api"),
        ("http://h:1/api", "/a?x=1", "/", "http://h:1/api/a?x=1"),
        ("http://h:1/api", "/hooks?x=1", "/hooks", "http://h:1/api?x=1"),
        ("http://h:1/api/", "/hooks/a", "/hooks/", "http://h:1/api/a"),
        ("http://h:1", "/hooks/a", "/hooks", "http://h:1/hooks/a"),
        ("http://h:1?k=v", "/a?x=1", "/", "http://h:1/a?k=v&x=1"),
        ("http://h:1", "/a?", "/", "http://h:1/a?"),
        ("http://h:1", "/%C3%A9%2F..//b", "/", "http://h:1/%C3%A9%2F..//b"),
    ]:
        assert join_target(base, target, mount=mount) == url


def test_mount_includes_its_path_and_the_paths_below() -> None:
    for target, mount, below in [
        ("/", "/", True), ("/a", "/", True), ("/hooks", "/hooks", True), ("/hooks?x", "/hooks", True),
        ("/hooks/a", "/hooks", True), ("/hooksa", "/hooks", False), ("/", "/hooks", False),
        ("/hooks", "/hooks/", True),
    ]:  # fmt: skip
        assert is_below(target, mount) is below


def test_forwarded_headers_retain_order_case_and_duplicates_without_hop_by_hop_headers() -> None:
    headers = Headers(
        (
            ("X-B", "1"), ("hOsT", "public.example"), ("x-a", "2"), ("X-B", "3"), ("Connection", "close, X-Secret-Hop"),
            ("x-secret-hop", "y"), ("Transfer-Encoding", "chunked"), ("TE", "trailers"), ("Content-Length", "4"),
        )
    )  # fmt: skip
    sent = forwarded_headers(an_invocation(headers=headers), "http://127.0.0.1:9/x", client="1.2.3.4", scheme="https")

    assert sent.items == (
        ("X-B", "1"), ("hOsT", "127.0.0.1:9"), ("x-a", "2"), ("X-B", "3"), ("Content-Length", "4"),
        ("x-forwarded-for", "1.2.3.4"), ("x-forwarded-host", "public.example"), ("x-forwarded-proto", "https"),
    )  # fmt: skip


def test_forwarded_headers_extend_the_headers_of_a_tunnel() -> None:
    headers = Headers(
        (("Host", "a"), ("X-Forwarded-For", "9.9.9.9"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "p"))
    )
    sent = forwarded_headers(an_invocation(headers=headers), "http://h", client="127.0.0.1", scheme="http")

    assert sent.all("x-forwarded-for") == ("9.9.9.9, 127.0.0.1",)
    assert sent.all("x-forwarded-proto") == ("https",)
    assert sent.all("x-forwarded-host") == ("p",)
    headers = Headers((("Transfer-Encoding", "chunked"), ("X", "1"), ("Connection", "keep-alive"), ("X", "2")))
    assert relayed_headers(headers).items == (("X", "1"), ("X", "2"))


def test_response_has_the_length_of_its_body_or_of_the_omitted_body() -> None:
    x, length = ("X", "1"), ("Content-Length", "42")
    cases: list[tuple[str, int, int, tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]] = [
        ("GET", 200, 2, (length, x), (("Content-Length", "2"), x)),
        ("GET", 200, 2, (length, x, length), (("Content-Length", "2"), x)),
        ("GET", 200, 0, (length,), (("Content-Length", "0"),)),
        ("GET", 200, 2, (x,), (x, ("content-length", "2"))),
        ("HEAD", 200, 0, (length, x), (length, x)),
        ("HEAD", 200, 0, (x,), (x,)),
        ("HEAD", 200, 2, (x,), (x, ("content-length", "2"))),
        ("GET", 304, 0, (length, x), (length, x)),
        ("GET", 304, 0, (x,), (x,)),
        ("GET", 204, 2, (length, x), (x,)),
        ("HEAD", 204, 0, (length,), ()),
    ]
    for method, status, size, fields, sent in cases:
        assert fields_with_length(status, Headers(fields), size, is_head=method == "HEAD") == sent


@given(st.text(), st.sampled_from(["/", "/a", "/a/b/"]))
def test_join_target_never_raises_for_any_request_target(target: str, mount: str) -> None:
    assert join_target("http://h:1/api", f"/{target}", mount=mount).startswith("http://h:1/")


def test_invalid_target_is_a_usage_error_with_the_option() -> None:
    assert read_target("8001/hook", "--to") == "http://127.0.0.1:8001/hook"
    with pytest.raises(UsageError, match=r"--to: 'ftp://x' does not start with http"):
        read_target("ftp://x", "--to")
    for text in ("ftp://u:s3cret@x", "http://u:s3cret@:80", "http://u:s3cret@x:99999", "http://u:s3cret@x"):
        with pytest.raises(UsageError) as caught:
            read_target(text, "--to")
        assert "s3cret" not in caught.value.message
