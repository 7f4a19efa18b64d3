"""Which URLs lead to this machine. This safety check decides where requests and secrets may go."""

from __future__ import annotations

from itertools import product
from urllib.parse import urlsplit

import httpx
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.invocations.targets import is_loopback, is_on_this_machine, may_be_on_this_machine

CERTAIN = [
    "localhost", "LocalHost", "127.0.0.1", "127.0.0.2", "127.255.255.254", "[::1]", "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]", "[0::1]",
]  # fmt: skip
# Some resolvers, systems or Python versions find this machine for these hosts, and others don't.
UNCERTAIN = [
    "localhost.", "api.localhost", "127.0.0.1.", "127.1", "127.0.1", "2130706433", "0x7f000001", "0X7F.1", "0177.0.0.1",
    "127.0.0.01", "0.0.0.0", "0", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:0.0.0.0]",  # noqa: S104
    "[::1%eth0]", "[::1%25lo]", "user@127.0.0.1", "user:password@localhost", "example.com\\@127.0.0.1", "127.0.0.1\t",
    "127.0.0\n.1",
]  # fmt: skip
ELSEWHERE = [
    "example.com", "10.0.0.1", "126.255.255.255", "128.0.0.1", "127.999.0.1", "127.0.0.256", "1.2.3.4.5", "0x",
    "08.0.0.1", "127_0.0.1", "[2001:db8::1]", "[fe80::1]", "[fe80::1%eth0]", "[::2]", "[::127.0.0.1]",
    "localhost.example.com", "mylocalhost", "localhosts", "127.0.0.1.example.com", "127.0.0.1@example.com",
    "127.0.0.1:80@example.com", "localhost\\@example.com", "127.0.0.1\\.example.com", "127.0.0.1\n.example.com",
    "127.0.0.1;example.com", "127.0.0.1,example.com", "127.0.0.1 example.com", "127.0.0.1%00.example.com",
    "127%2e0.0.1", "\u0661\u0662\u0667.1", "\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021", "localho\u017ft",
    "\u24dbocalhost", "[::1]@example.com", "[localhost]", "[127.0.0.1]", "::1", "[", "",
]  # fmt: skip


def test_loopback_in_every_notation_is_this_machine() -> None:
    for host in CERTAIN:
        assert is_loopback(host.strip("[]"))
        for scheme, rest in product(
            ["http", "https", "HTTP"], ["", "/", ":3000", ":3000/v1?to=me@example.com", "?a", "#a"]
        ):
            assert is_on_this_machine(f"{scheme}://{host}{rest}")
            assert may_be_on_this_machine(f"{scheme}://{host}{rest}")


def test_ambiguous_host_is_rejected_but_may_be_this_machine() -> None:
    for host in UNCERTAIN:
        assert not is_loopback(host.strip("[]"))
        for rest in ("", "/", ":3000/v1"):
            assert not is_on_this_machine(f"http://{host}{rest}")
            assert may_be_on_this_machine(f"http://{host}{rest}")


def test_other_host_is_not_this_machine() -> None:
    for host in ELSEWHERE:
        for rest in ("", "/", ":3000", ":3000/v1?a=@localhost", "#@127.0.0.1", "/@127.0.0.1"):
            assert not is_on_this_machine(f"http://{host}{rest}")
            assert not may_be_on_this_machine(f"http://{host}{rest}")


def test_non_http_url_is_not_this_machine() -> None:
    for url in [
        "127.0.0.1", "localhost:8000", "//127.0.0.1/", "ftp://127.0.0.1/", "file://localhost/etc/hosts",
        "http:127.0.0.1", "http:/127.0.0.1/", "http:///127.0.0.1/", "http:\\\\127.0.0.1/", "http:/\\127.0.0.1/",
        " http://127.0.0.1/", "http://127.0.0.1:port/", "http://127.0.0.1:80:80/", "http://127.0.0.1:-1/",
        "http://127.0.0.1:\u0661/", "http://127.0.0.1\\", "http://127.0.0.1 /", "http://127.0.0.1\x00/",
        "http://example.com\n@127.0.0.1/", "http://[::1].example.com/", "http://[::1]example.com/", "http://[::1",
    ]:  # fmt: skip
        assert not is_on_this_machine(url)


PIECES = ["localhost", "127.0.0.1", "[::1]", "::1", "example.com", "@", "\\", "/", "?", "#", ":", ":80", ".", "%", "\t"]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=2), max_size=5).map("".join))
def test_every_parser_finds_this_machine_in_an_accepted_url(rest: str) -> None:
    url = f"http://{rest}"
    if is_on_this_machine(url):
        assert is_loopback(urlsplit(url).hostname or "")
        assert is_loopback(httpx.URL(f"http://{urlsplit(url).netloc}").host)
        assert may_be_on_this_machine(url)
