"""Clients of Port's API: port-hook's client, and a plain HTTP client with a token."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from port_hook_cli.port_api.client import PortApi
from port_hook_cli.port_api.retries import MAX_TRIES, RetryPolicy
from port_hook_cli.port_api.settings import ApiCredentials
from port_hook_cli.text.secret import Secret
from tests.servers import NO_TLS


def port_client(
    api_url: str,
    *,
    client_id: str = "id",
    client_secret: Secret,
    max_tries: int = MAX_TRIES,
    on_retry: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    conflict: str = "",
    **options: Any,
) -> PortApi:
    """Return a client of Port's API."""
    return PortApi(
        ApiCredentials(api_url=api_url, client_id=client_id, client_secret=client_secret, conflict=conflict),
        retries=RetryPolicy(max_tries=max_tries, on_retry=on_retry, sleep=sleep),
        **options,
    )


@contextmanager
def authorized(environ: Mapping[str, str]) -> Iterator[httpx.Client]:
    """Yield a client that calls Port's API, or a sandbox, with the URL and the credentials of an environment."""
    with httpx.Client(base_url=environ["PORT_API_URL"], timeout=30, verify=NO_TLS) as client:
        body = {"clientId": environ["PORT_CLIENT_ID"], "clientSecret": environ["PORT_CLIENT_SECRET"]}
        token = client.post("/v1/auth/access_token", json=body).json()["accessToken"]
        client.headers["authorization"] = f"Bearer {token}"
        yield client
