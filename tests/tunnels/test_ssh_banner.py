from __future__ import annotations

import pytest

from port_hook_cli.tunnels.ssh.destination import find_url, last_line, ports_to_request, read_destination, url_of


def url(name: str, text: str) -> str | None:
    service = read_destination(name).service
    assert service
    return find_url(text, service)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("localhost.run", '{"data":"x.lhr.life tunneled, https://x.lhr.life\\r\\nQR"}\n', "https://x.lhr.life"),
        ("localhost.run", "see https://admin.localhost.run/ and https://x.lhr.life\n", "https://x.lhr.life"),
        ("serveo.net", "from https://a.serveo.net\nhttps://b.serveo.net\n", "https://a.serveo.net"),
        ("serveo.net", "Tip: https://console.serveo.net/settings\n", None),
        ("a.pinggy.io", "https://dashboard.pinggy.io\nhttp://x.free.pinggy.net\n", "http://x.free.pinggy.net"),
        ("a.pinggy.io", "http://x.a.free.pinggy.link\nhttps://X.a.free.pinggy.link\n", "https://x.a.free.pinggy.link"),
    ],
)
def test_find_url_finds_the_url_of_the_tunnel_among_others(name: str, text: str, expected: str | None) -> None:
    assert url(name, text) == expected


@pytest.mark.parametrize(
    "text", ["https://x.lhr.life", "https://x.lhr.lif", "https://x.lhr.life.evil.example\n", "https://u@x.lhr.life/\n"]
)
def test_find_url_ignores_incomplete_names_and_other_domains(text: str) -> None:
    assert url("localhost.run", text) is None


def test_last_line_skips_empty_lines() -> None:
    assert last_line("one\ntwo \r\n\n") == "two"
    assert last_line("\n") == ""


def test_read_destination_keeps_the_case_of_hosts_and_decodes_users() -> None:
    to = read_destination("ssh://me%40corp@MyBox:2222/9000")
    assert (to.user, to.host, to.port, to.remote_port) == ("me@corp", "MyBox", 2222, 9000)
    assert read_destination("ssh://[::1]:22").host == "::1"
    assert url_of("::1", 9000) == "http://[::1]:9000"


def test_read_destination_uses_keys_for_a_service_only_with_a_user() -> None:
    assert not read_destination("serveo.net").uses_keys
    assert not read_destination("ssh://serveo.net").uses_keys
    assert read_destination("ssh://me@serveo.net").uses_keys


def test_ports_to_request_prefers_the_named_and_the_previous_port() -> None:
    assert ports_to_request(9000, public_url="https://x", previous_url="http://h:1") == (9000,)
    assert ports_to_request(None, public_url="http://x:81", previous_url=None) == (81,)
    assert ports_to_request(None, public_url="https://x", previous_url=None) == ()
    assert ports_to_request(None, public_url=None, previous_url="http://h:82/hook") == (82, 0)
    assert ports_to_request(None, public_url=None, previous_url=None) == (0,)
