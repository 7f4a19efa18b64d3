from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.invocations.targets import masked_url, percent_encoded, request_target, sendable_url
from port_hook_cli.text.safe import is_visible
from port_hook_cli.text.secret import Masker
from tests.any_texts import any_texts


def test_percent_encoded_returns_the_sent_url() -> None:
    for url, sent in [
        ("http://127.0.0.1:8000/a?b=c%20d&e=[f]", "http://127.0.0.1:8000/a?b=c%20d&e=[f]"),
        ("http://h/\x1b[2J\u202e\x9b", "http://h/%1B[2J%E2%80%AE%C2%9B"),
        ("http://h\u202e/x", "http://h%E2%80%AE/x"),
        ("https://zoë.example/zoë?é", "https://zoë.example/zo%C3%AB?%C3%A9"),
        ("http://h?a b", "http://h?a%20b"),
        ("http://h/\udcff\ud800", "http://h/%FF%EF%BF%BD"),
        ("/path\x00", "/path%00"),
    ]:
        assert percent_encoded(url) == sent
    assert sendable_url("http://h/zoë?q=a b#part") == "http://h/zo%C3%AB?q=a%20b"


@given(any_texts())
def test_percent_encoded_returns_visible_ascii_and_is_idempotent(text: str) -> None:
    encoded = percent_encoded(f"http://h/{text}")
    assert encoded.isascii()
    assert is_visible(encoded)
    assert percent_encoded(encoded) == encoded


def test_request_target_is_unchanged_except_for_spaces_and_control_characters() -> None:
    for url, target in [
        ("http://h", b"/"),
        ("http://h?a=b", b"/?a=b"),
        ("http://user:secret@h/x", b"/x"),
        ("http://h/zoë?q=\udcff#x", b"/zo\xc3\xab?q=\xff#x"),
        ("http://h/a b\r\n\x00\x7f", b"/a%20b%0D%0A%00%7F"),
    ]:
        assert request_target(url) == target


def test_masked_url_has_a_host_and_a_path() -> None:
    for url, secret, expected in [
        ("https://h.example/x", "nothing-here", "https://h.example/x"),
        ("https://h.example/a-secret/x", "a-secret", "https://h.example/***/x"),
        ("https://a-secret.example/x", "a-secret", "https://***.example/x"),
        ("https://h.example/x", "https://h.example", "https://***/x"),
        ("https://h.example", "https://h.example", "https://***"),
        ("https://h.example/x?k=1", "https://h.exam", "https://***ple/x?k=1"),
        ("https://h.example/base/x", "https://h.example/base", "https://***/***/x"),
        ("https://h.example/base/x", "h.example/base", "https://***/***/x"),
        ("https://h.example/base", "https://h.example/base", "https://***/***"),
        ("https://u:a-secret@h.example/x", "a-secret", "https://u:***@h.example/x"),
    ]:
        assert masked_url(url, Masker([secret]).text) == expected


@given(st.data())
def test_masked_url_never_contains_the_secret(data: st.DataObject) -> None:
    url = "https://" + data.draw(st.text("abc./?#@:", min_size=1, max_size=30))
    start = data.draw(st.integers(0, len(url) - 1))
    secret = url[start : start + data.draw(st.integers(8, 30))]
    masked = masked_url(url, Masker([secret]).text)
    assert len(secret) <= len("https://") or secret not in masked
