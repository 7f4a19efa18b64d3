from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.runs.urls import (
    app_url_for,
    is_in_ports_own,
    is_ports_own,
    parse_api_url,
    region_api_url,
    run_page,
    sends_in_the_clear,
)


def test_parse_api_url_removes_only_the_version_and_trailing_slashes() -> None:
    rows: list[tuple[Any, Any]] = [
        ("https://api.port.io", "https://api.port.io"),
        ("https://api.port.io/v1/", "https://api.port.io"),
        ("  https://api.port.io/v1\n", "https://api.port.io"),
        ("http://127.0.0.1:8080/port/v1/", "http://127.0.0.1:8080/port"),
        ("http://127.0.0.1/dev1", "http://127.0.0.1/dev1"),
    ]
    for text, url in rows:
        assert parse_api_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ftp://api.port.io",
        "https://",
        "https://a b",
        "https://a\x1b[2J",
        "https://a/?b=c",
        "http://a:99999",
        "https://[a",
        "https://a\u2100b",
    ],
)
def test_api_url_is_rejected_when_it_is_not_a_base_url(text: str) -> None:
    with pytest.raises(ValueError, match=r"URL|query|port"):
        parse_api_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://user:SECRET@host",
        "https://user:SECRET@ho st",
        "https://user:SECRET@a\u2100b",
        "https://SECRET@[x",
        "user:SECRET@host",
        "ftp://user:SECRET@host",
        "https://host/?token=SECRET",
        "https://host:99999999/#SECRET",
    ],
)
def test_secret_in_a_url_is_rejected_and_not_quoted(text: str) -> None:
    with pytest.raises(ValueError, match=r"user name or password|query or fragment") as caught:
        parse_api_url(text)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_only_the_beginning_of_a_long_api_url_is_quoted() -> None:
    with pytest.raises(ValueError, match="is not a URL") as caught:
        parse_api_url("a" * 100_000)
    assert len(str(caught.value)) < 300


def test_region_has_an_api_and_an_app() -> None:
    rows: list[tuple[Any, Any, Any]] = [
        ("eu", "https://api.port.io", "https://app.port.io"),
        ("US", "https://api.us.port.io", "https://app.us.port.io"),
    ]
    for region, api, app in rows:
        assert region_api_url(region) == api
        assert app_url_for(api) == app

    assert app_url_for("https://api.us.getport.io") == "https://app.us.port.io"

    with pytest.raises(ValueError, match="'apac' is neither 'eu' nor 'us'"):
        region_api_url("apac")


def test_run_page_encodes_any_run_id_as_one_query_value() -> None:
    assert run_page("https://app.port.io", "r_1") == "https://app.port.io/organization/run?runId=r_1"

    for run_id in ("r_\x1b]0;owned\x07\x1b[2J", "a&b=c#d/e?f", "é\ud800", "\u202e"):
        page = run_page("https://app.port.io", run_id)
        value = page.removeprefix("https://app.port.io/organization/run?runId=")
        assert re.fullmatch(r"[A-Za-z0-9_.~%-]+", value)
        assert unquote(value) == run_id.encode("utf-8", "backslashreplace").decode()

    assert run_page(app_url_for("http://127.0.0.1:4010"), "r_1") == ""


def test_only_plain_http_to_another_machine_is_unencrypted() -> None:
    for url in ("http://localhost:1", "HTTP://127.9.9.9:80/x", "http://[::1]:9", "https://x"):
        assert not sends_in_the_clear(url)
    others = (
        "http://api.port.io",
        "HTTP://10.0.0.1",
        "http://localhost.example.com",
        "http://[::ffff:127.0.0.1]",
        "http://[",
    )
    for url in others:
        assert sends_in_the_clear(url)


def test_is_ports_own_accepts_only_the_four_addresses_of_port() -> None:
    rows: list[tuple[Any, Any]] = [
        ("https://api.port.io", True),
        ("https://API.us.getport.io", True),
        ("http://api.port.io", False),
        ("https://api.port.io:444", False),
        ("https://api.port.io.example.com", False),
    ]
    for url, own in rows:
        assert is_ports_own(url) is own


HOSTS = ("https://api.port.io", "https://api.us.port.io", "https://api.getport.io", "https://api.us.getport.io")
VISIBLE = st.text(st.characters(min_codepoint=0x21), max_size=20)


@given(st.sampled_from(HOSTS), VISIBLE)
def test_url_is_in_ports_own_api_only_with_exactly_ports_host(host: str, rest: str) -> None:
    assert is_in_ports_own(host + rest) is (rest[:1] in {"", "/", "?", "#"})


def test_url_without_the_scheme_and_host_of_port_is_not_in_its_api() -> None:
    rows: list[Any] = ["", "//api.port.io/v1", "api.port.io/v1", "http://api.port.io/v1", "https://[", "https://\u212a"]
    for url in rows:
        assert not is_in_ports_own(url)
