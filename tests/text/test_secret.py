from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.invocations.headers import Headers, mask_headers
from port_hook_cli.text.secret import MASK, Masker, Secret, cut_message

# This is a copy of the package's list, so that this test fails for a header that is missing in the package.
CREDENTIALS = {"authorization", "cookie", "proxy-authorization", "set-cookie", "x-api-key"}
NAMES = st.one_of(st.sampled_from(sorted(CREDENTIALS)), st.text(max_size=12)).flatmap(
    lambda name: st.sampled_from([name, name.upper(), name.title()])
)
HEADERS = st.lists(st.tuples(NAMES, st.text(max_size=20))).map(lambda items: Headers(tuple(items)))


def test_secret_is_shown_only_by_reveal() -> None:
    secret = Secret("s3cr3t")
    shown = [str(secret), repr(secret), f"{secret}", f"{secret!r}", f"{[secret]}", f"{secret}"]
    assert not any("s3cr3t" in text for text in shown)
    assert secret.reveal() == "s3cr3t"


@given(HEADERS)
def test_mask_headers_masks_only_the_values_of_credentials(headers: Headers) -> None:
    masked = mask_headers(headers)
    assert [name for name, _ in masked] == [name for name, _ in headers]
    for (name, before), (_, after) in zip(headers, masked, strict=True):
        assert after == (MASK if name.lower() in CREDENTIALS else before)


@given(st.text(min_size=8).filter(lambda text: "*" not in text and len(text.strip()) >= 8), st.text())
def test_secret_is_masked_in_text_json_and_urls(secret: str, around: str) -> None:
    masker = Masker([secret])
    for form in (
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, "", errors="replace"),
    ):
        assert form not in masker.text(around + form).replace(around, "")
    assert masker.value({secret: [secret, 1, None]}) == {"***": ["***", 1, None]}


def test_secret_containing_another_secret_is_masked_first() -> None:
    assert Masker(["long-key", "long-key-2"]).text("long-key-2 long-key") == "*** ***"


def test_value_too_short_to_be_secret_is_not_masked() -> None:
    masker = Masker(["", "e", "1234567", " 1234567 "])
    assert masker.text("every error: e 1234567") == "every error: e 1234567"
    assert masker.content(b"1234567") == b"1234567"
    assert Masker(["12345678"]).text("12345678") == "***"
    assert Masker([]).value({"a": ["b"]}) == {"a": ["b"]}


def test_secret_is_masked_in_bytes_literals_of_python_logs() -> None:
    secret = "pässwörd-of-all"
    masker = Masker([secret])
    assert masker.text(f"body: {secret.encode()!r}") == "body: b'***'"
    assert masker.text(secret.encode().decode("latin-1")) == "***"
    assert Masker(["sécret-1"]).content("sécret-1".encode() + b"\xff") == b"***\xff"
    assert Masker(["secret\ud800b"]).content(b'"secret\\ud800b"') == b'"***"'


def test_secret_truncated_by_jq_is_masked() -> None:
    masker = Masker(["correct-horse-battery"])
    assert masker.message('Cannot index string ("correct-ho...) with "x"') == 'Cannot index string ("***...) with "x"'
    assert masker.message("cor...") == "cor..."


def test_secret_is_masked_without_characters_removed_from_urls_and_headers() -> None:
    masker = Masker([" a-to\nken-x \n"])
    assert masker.text("http://e/?a=a-token-x ") == "http://e/?a=*** "
    assert masker.text("x: a-to\nken-x.") == "x: ***."


def test_long_secret_is_masked_quickly() -> None:
    masker = Masker(["a line of a certificate\n" * 20_000])
    started = time.monotonic()
    assert masker.message('"a line of ...') == '"***...'
    assert time.monotonic() - started < 30  # guards against a hang, because one pattern per line would take minutes


def test_deeply_nested_value_is_masked_in_a_copy() -> None:
    value = {"a": ["a-secret"]}
    assert Masker(["a-secret"]).value(value) == {"a": ["***"]}
    assert value == {"a": ["a-secret"]}
    deep: Any = "a-secret"
    for _ in range(5000):
        deep = [deep]
    masked = Masker(["a-secret"]).value(deep)
    while isinstance(masked, list):
        (masked,) = masked
    assert masked == "***"


def test_secret_cut_off_by_the_limit_of_messages_is_masked() -> None:
    message = cut_message(f"{'x' * 200} {'s3cret' * 50}")
    assert len(message) == 256
    assert Masker(["s3cret" * 50]).message(message) == f"{'x' * 200} ***..."
