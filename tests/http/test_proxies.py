from __future__ import annotations

import pytest

from port_hook_cli.http.proxies import is_this_machine


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "api.localhost",
        "127.0.0.1",
        "127.8.9.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",  # noqa: S104 - nothing is bound
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
    ],
)
def test_loopback_address_is_recognized_in_any_notation(host: str) -> None:
    assert is_this_machine(f"http://{host}:3000/v1")
    assert is_this_machine(f"https://{host}")


@pytest.mark.parametrize(
    "url",
    [
        "https://api.port.io",
        "http://10.0.0.1",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://128.0.0.1",
        "http://[2001:db8::1]",
        "http://[",
        "http://\u0661\u0662\u0667.1",
        "",
    ],
)
def test_other_host_is_not_recognized_as_this_machine(url: str) -> None:
    assert not is_this_machine(url)
