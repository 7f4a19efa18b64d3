"""Find the region of an organization: the address of Port's API that accepts its credentials."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from port_hook_cli.errors import CREDENTIALS_IN_PORT, LoginRefusedError, PortApiError
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.secret import Secret


async def find_api(
    client_id: str, secret: Secret, addresses: Sequence[str], runtime: Runtime, *, timeout_s: float
) -> str:
    """Return the first of `addresses` that accepts the credentials; raises LoginRefusedError if none does.

    The next address is tried only if an address refuses them, so an unreachable address ends the search.
    """
    for address in addresses:
        settings = Settings(client_id=client_id, client_secret=secret, api_url=address)
        try:
            async with PortAccess.known(settings, runtime, timeout_s=timeout_s).client(retries=False) as api:
                await api.check_access()
        except PortApiError as problem:
            if problem.status != HTTPStatus.UNAUTHORIZED:
                problem.hint = _with_options(problem.hint)
                raise
        else:
            return address
    raise LoginRefusedError(
        f"These credentials were not accepted by {' or '.join(addresses)}.",
        hint=f"Copy the client id and the client secret again; you find them {CREDENTIALS_IN_PORT}.",
        status=HTTPStatus.UNAUTHORIZED,
    )


def _with_options(hint: str) -> str:
    """Return a hint of the API client with the options of `login`, which ignores the variables."""
    return hint.replace("PORT_API_URL", "--api-url").replace("PORT_REGION", "--region")
