"""Access to Port: settings that are read once, the secret, and clients of the API."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from port_hook_cli.errors import PortHookError
from port_hook_cli.http.limits import API_TIMEOUT_S
from port_hook_cli.invocations.forwarding import is_on_this_machine
from port_hook_cli.port_api.credentials import open_port_api, read_settings
from port_hook_cli.port_api.settings import ALL_NEEDS, Settings
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.remark import Say
from port_hook_cli.text.secret import Secret

if TYPE_CHECKING:
    from port_hook_cli.port_api.client import PortApi

DELIVERIES = "/v1/sandbox/deliveries"
_ANNOUNCE_TIMEOUT_S = 2.0


class PortAccess:
    """What a verb needs of Port. A face creates it from its options and passes it down.

    Nothing is read before it is used, and everything is read once: the secret may come from stdin. `say` gets warnings
    and notes about settings from the current directory's `.env`, each once per process.
    """

    def __init__(
        self,
        runtime: Runtime,
        say: Say,
        *,
        org: str | None = None,
        secret_file: str | None = None,
        insecure_api: bool = False,
        needs: tuple[str, ...] = ALL_NEEDS,
        timeout_s: float = API_TIMEOUT_S,
    ) -> None:
        self._runtime, self._timeout_s = runtime, timeout_s
        self._read = partial(
            read_settings, runtime, say=say, org=org, secret_file=secret_file, insecure_api=insecure_api, needs=needs
        )

    @cached_property
    def settings(self) -> Settings:
        """The settings of `needs`. Raises SettingsError like `load_settings`, and for an address that is not safe."""
        return self._read()

    @property
    def secret(self) -> Secret:
        """The client secret. Raises SettingsError if none is set."""
        return self.settings.require_secret()

    def client(
        self,
        *,
        on_retry: Callable[[str], None] = lambda _: None,
        on_headers: Callable[[Mapping[str, str]], None] = lambda _: None,
        timeout_s: float | None = None,
        retries: bool = True,
    ) -> PortApi:
        """Return a client of Port's API, for use with `async with`. `timeout_s` bounds each request, in seconds.

        Without `retries`, each call is tried once. Raises SettingsError for a missing setting and for an address that
        the secret must not be sent to.
        """
        return open_port_api(
            self.settings,
            self._runtime,
            timeout_s=self._timeout_s if timeout_s is None else timeout_s,
            on_retry=on_retry,
            on_headers=on_headers,
            retries=retries,
        )

    async def get_run(self, run_id: str) -> Mapping[str, Any]:
        """Return an action run from Port. Raises PortApiError and SettingsError."""
        async with self.client() as port:
            return await port.get_run(run_id)

    async def announce(self, deliveries: Sequence[Mapping[str, Any]]) -> None:
        """Tell a sandbox on this machine what a handler is about to get, so that its runs have an action and inputs.

        Does nothing if the settings lead to Port. No failure is raised, the first failure ends it, and it takes at most
        2 seconds.
        """
        settings = self.settings
        if settings.client_id is None or settings.client_secret is None or not is_on_this_machine(settings.api_url):
            return
        if not deliveries:
            return
        with contextlib.suppress(PortHookError, TimeoutError):
            async with (
                asyncio.timeout(_ANNOUNCE_TIMEOUT_S),
                self.client(timeout_s=_ANNOUNCE_TIMEOUT_S, retries=False) as api,
            ):
                for delivery in deliveries:
                    await api.call("POST", DELIVERIES, delivery)
