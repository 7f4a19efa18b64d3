"""The proxy for a handler's calls to the internet: it refuses Port's addresses, and tunnels the others."""

from __future__ import annotations

import asyncio

import httpx
from aiohttp import web

from port_hook_cli.check.outbound import OutboundProxy, read_proxied, uses_proxy
from tests.check.test_checking import handled


async def _exchange(proxy: OutboundProxy, *sent: bytes) -> bytes:
    """Send bytes to the proxy, each after a part of the response, and return the whole response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    received = b""
    for data in sent:
        writer.write(data)
        received += await reader.read(1000)
    received += await reader.read()
    writer.close()
    return received


async def test_call_to_port_is_rejected_and_recorded() -> None:
    for head in (
        b"CONNECT api.us.getport.io:443 HTTP/1.1\r\n\r\n",
        b"CONNECT API.port.io.:443 HTTP/1.1\r\n\r\n",
        b"POST https://api.port.io/v1/auth/access_token HTTP/1.1\r\n\r\n",
    ):
        async with OutboundProxy.open() as proxy:
            assert (await _exchange(proxy, head)).startswith(b"HTTP/1.1 403 "), head
            assert proxy.called


async def test_other_hosts_are_reached_through_a_tunnel_and_by_their_urls() -> None:
    async def hello(request: web.Request) -> web.Response:
        assert "proxy-authorization" not in request.headers
        return web.Response(text=f"hello {request.path_qs}")

    async with handled(hello) as url, OutboundProxy.open() as proxy:
        place = httpx.URL(url).netloc
        request = b"GET /tunnel HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert b"hello /tunnel" in await _exchange(proxy, b"CONNECT %b HTTP/1.1\r\n\r\n" % place, request)
        async with httpx.AsyncClient(proxy=f"http://name:word@127.0.0.1:{proxy.port}", trust_env=False) as client:
            assert (await client.get(f"{url}?a=b")).text == "hello /hook?a=b"
        assert proxy.called is None


async def test_request_that_no_proxy_can_serve_is_rejected() -> None:
    async with OutboundProxy.open() as proxy:
        for head in (b"GET /", b"CONNECT x:y", b"CONNECT x\0:443", b"CONNECT \x1bc.port.io:443"):
            assert (await _exchange(proxy, head + b" HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 400 "), head
        assert (await _exchange(proxy, b"\xff\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


def test_host_that_ends_like_a_domain_of_port_is_not_ports() -> None:
    assert not read_proxied(b"CONNECT airport.io:443 HTTP/1.1\r\n\r\n").is_for_port


def test_proxy_of_the_user_is_respected() -> None:
    assert uses_proxy({"https_proxy": "http://proxy.example:3128"})
    assert not uses_proxy({"HTTPS_PROXY": "", "PATH": "/bin"})
