from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from port_hook_cli.port_api.client import PortApi
from port_hook_cli.port_api.retries import MAX_TRIES, RetryPolicy
from port_hook_cli.port_api.settings import ApiCredentials
from port_hook_cli.text.secret import Secret


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
