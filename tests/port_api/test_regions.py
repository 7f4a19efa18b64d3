"""The region of an organization is the API that accepts its credentials."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from port_hook_cli.errors import PortApiError
from port_hook_cli.port_api.access import find_api
from port_hook_cli.runs.urls import REGIONS
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.secret import Secret
from tests.port_answers import REFUSED, token_answer
from tests.servers import handler

Build = Callable[..., Runtime]


async def find(addresses: list[str], runtime: Build) -> str:
    return (await find_api("an-id", Secret("a-secret"), addresses, runtime(), timeout_s=30))[0]


async def test_second_region_is_found_when_the_first_rejects_the_credentials(runtime: Build) -> None:
    with handler(REFUSED) as europe, handler(token_answer()) as america:
        assert await find([europe.url, america.url], runtime) == america.url
    assert (len(europe.requests), len(america.requests)) == (1, 1)


async def test_second_region_does_not_get_the_secret_when_the_first_accepts_it(runtime: Build) -> None:
    with handler(token_answer()) as europe, handler(token_answer()) as america:
        assert await find([europe.url, america.url], runtime) == europe.url
    assert america.requests == []


def test_regions_are_ports_own_urls_over_tls() -> None:
    assert {"https://api.port.io", "https://api.us.port.io"} == set(REGIONS.values())


async def test_search_ends_at_an_unreachable_region(runtime: Build) -> None:
    with handler(token_answer()) as america, pytest.raises(PortApiError, match="cannot reach"):
        await find(["http://127.0.0.1:1", america.url], runtime)
    assert america.requests == []


async def test_credentials_are_rejected_when_no_region_accepts_them(runtime: Build) -> None:
    refused = pytest.raises(PortApiError, match="rejected these credentials")
    with handler(REFUSED) as europe, handler(REFUSED) as america, refused:
        await find([europe.url, america.url], runtime)
