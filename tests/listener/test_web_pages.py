"""A request that may come from a web page is rejected before it is captured."""

from __future__ import annotations

import json

from port_hook_cli.http.web_pages import PublicNames
from port_hook_cli.tunnels.report import ProbeEndpoint
from tests.receivers import receiving

PROBE_ENDPOINT = ProbeEndpoint(path="/echo", token="the-token")


def request(*fields: str, target: str = "/") -> bytes:
    lines = [f"POST {target} HTTP/1.1", "Connection: close", "Content-Length: 2", *fields]
    return "\r\n".join((*lines, "", "hi")).encode()


async def test_page_of_another_site_gets_a_403_and_is_reported_once() -> None:
    for field in (
        "Sec-Fetch-Site: cross-site",
        "sec-fetch-site: same-site",
        "Origin: https://page.example",
        "ORIGIN: null",
    ):
        async with receiving() as world:
            answers = {await world.capture(request("Host: localhost", field)) for _ in range(3)}
        (answer,) = answers
        assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"] == "web-page"
        assert world.received == []
        assert len(world.notices) == 1
        assert field.partition(": ")[2] in world.notices[0]


async def test_unknown_host_gets_a_421_with_a_hint() -> None:
    async with receiving() as world:
        answers = {await world.capture(request("Host: page.example:80")) for _ in range(3)}
    (answer,) = answers
    assert answer.startswith(b"HTTP/1.1 421 Misdirected Request\r\n")
    problem = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert problem["error"] == "host"
    assert problem["hint"] == "if that is your own tunnel, start port-hook with --tunnel https://page.example"
    assert world.received == []
    assert len(world.notices) == 1
    assert "--tunnel https://page.example" in world.notices[0]


async def test_malformed_host_that_begins_with_a_local_name_gets_a_421() -> None:
    for host in ("localhost:80@evil.example", "localhost@evil.example", "[::1]evil.example", "[::1]:80@evil.example"):
        async with receiving() as world:
            assert (await world.capture(request(f"Host: {host}"))).startswith(b"HTTP/1.1 421 ")
            assert "--tunnel" not in world.notices[0]
            assert (await world.capture(request("Host: localhost", f"Origin: http://{host}"))).startswith(
                b"HTTP/1.1 403 "
            )


async def test_each_host_is_reported_once_and_at_most_100_are() -> None:
    async with receiving() as world:
        for number in range(120):
            await world.capture(request(f"Host: {number}.example"))
    assert len(world.notices) == 100


async def test_names_of_the_public_urls_are_looked_up_for_each_request() -> None:
    names = PublicNames()
    async with receiving(names=names, probe_endpoint=PROBE_ENDPOINT) as world:
        assert (await world.capture(request("Host: tunnel.example"))).startswith(b"HTTP/1.1 421 ")
        names.add("https://tunnel.example")
        for fields in (["Host: tunnel.example"], ["Host: tunnel.example", "Origin: https://tunnel.example"]):
            assert (await world.capture(request(*fields))).startswith(b"HTTP/1.1 200 ")
        assert (await world.capture(request("Host: tunnel.example", target="/echo"))).endswith(b"the-token")
        assert (await world.capture(request("Host: other.example", target="/echo"))).startswith(b"HTTP/1.1 421 ")


async def test_request_without_a_host_is_accepted() -> None:
    async with receiving() as world:
        assert (await world.capture(request().replace(b"HTTP/1.1", b"HTTP/1.0"))).startswith(b"HTTP/1.1 200 ")


async def test_web_pages_are_rejected_and_the_host_is_not_checked_when_listening_beyond_loopback() -> None:
    async with receiving(host="0.0.0.0") as world:  # noqa: S104 - what is tested
        assert (await world.capture(request("Host: my-machine"))).startswith(b"HTTP/1.1 200 ")
        answer = await world.capture(request("Host: my-machine", "Origin: https://page.example"))
    assert answer.startswith(b"HTTP/1.1 403 ")
