"""The headers that reveal a request from a web page."""

from __future__ import annotations

from port_hook_cli.http.web_pages import PublicNames, find_web_page_request

OURS = PublicNames()
OURS.add("https://Abc.Tunnel.example/path")


def test_local_host_name_is_accepted() -> None:
    for host in [
        None, "", "localhost", "LOCALHOST:8787", "localhost.", "app.localhost:1", "127.0.0.1:8787", "192.168.0.7",
        "[::1]:8787", "[fe80::1%eth0]", "host.docker.internal:8787", "abc.tunnel.example", "ABC.tunnel.example.:443",
    ]:  # fmt: skip
        assert find_web_page_request(host, None, None, names=OURS) is None


def test_any_other_host_is_rejected() -> None:
    for host in [
        "page.example", "tunnel.example", "x.abc.tunnel.example", "localhost.page.example", "127.0.0.1.page.example",
        "internal", "internal.page.example", "127.0.0.1@page.example", "[page.example]", "0x7f.1", "mymachine:8787",
        "a, localhost",
    ]:  # fmt: skip
        found = find_web_page_request(host, None, None, names=OURS)
        assert found is not None
        assert found.status == 421
        assert find_web_page_request(host, None, None, names=OURS, checks_host=False) is None


def test_own_or_local_origin_is_accepted() -> None:
    for origin in [
        "http://localhost:3000", "http://127.0.0.1:8787", "http://[::1]:8787", "http://app.localhost",
        "https://abc.tunnel.example", "http://10.0.0.1:8787",
    ]:  # fmt: skip
        assert find_web_page_request("10.0.0.1:8787", origin, None, names=OURS) is None


def test_any_other_origin_is_rejected() -> None:
    for origin in ["null", "", "https://page.example", "http://203.0.113.5", "http://[::1", "file://", "page.example"]:
        for checks_host in (True, False):
            found = find_web_page_request("localhost", origin, None, names=OURS, checks_host=checks_host)
            assert found is not None
            assert found.status == 403


def test_unknown_site_is_rejected() -> None:
    for site in ("none", "same-origin"):
        assert find_web_page_request("localhost", None, site, names=OURS) is None
    for site in ("same-site", "cross-site", "", "Cross-Site", "something-new"):
        found = find_web_page_request("localhost", "http://localhost", site, names=OURS)
        assert found is not None
        assert found.status == 403


def test_long_origin_or_host_is_truncated() -> None:
    found = find_web_page_request("x" * 10_000, None, None, names=OURS)
    assert found is not None
    assert len(found.message) < 400


def test_latest_public_host_names_are_accepted() -> None:
    names = PublicNames()
    for number in range(10):
        names.add(f"https://{number}.example")
        names.add(f"https://{number}.example/again")
    assert [f"{number}.example" in names for number in range(10)] == [False, False, *[True] * 8]
