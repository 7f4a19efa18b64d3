"""Access to Port: the settings (read once), the secret, clients of the API, and the region of a login."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from port_hook_cli.errors import CREDENTIALS_IN_PORT, LoginRejectedError, PortApiError, PortHookError
from port_hook_cli.files.settings_file import PROJECT_FILE
from port_hook_cli.port_api.settings import ALL_NEEDS, Settings, load_settings
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.remark import Remark, Say, note, say_nothing, warning
from port_hook_cli.text.secret import Secret

if TYPE_CHECKING:
    from port_hook_cli.port_api.client import PortApi

DELIVERIES = "/v1/sandbox/deliveries"
_ANNOUNCE_TIMEOUT_S = 2.0
_UNAUTHORIZED = 401


class PortAccess:
    """Everything that an operation needs to call Port. A command creates it from its options and passes it down.

    Each value is read once, when it is first used, because the secret may come from stdin. `say` is called with
    warnings and notes about settings from the current directory's `.env`, each once per process. With
    `tells_secret_place` set to False, there is no note about the secret's source, because the command reports the
    source itself.
    """

    def __init__(
        self,
        runtime: Runtime,
        say: Say,
        *,
        org: str | None = None,
        secret_file: str | None = None,
        needs: tuple[str, ...] = ALL_NEEDS,
        timeout_s: float | None = None,
        tells_secret_place: bool = True,
    ) -> None:
        self._runtime, self._say, self._needs = runtime, say, needs
        self._org, self._secret_file = org, secret_file
        self._timeout_s, self._tells_secret_place = timeout_s, tells_secret_place

    @classmethod
    def known(cls, settings: Settings, runtime: Runtime, *, timeout_s: float | None = None) -> Self:
        """Return the access with existing settings, without reading them again."""
        access = cls(runtime, say_nothing, timeout_s=timeout_s)
        access.settings = settings
        return access

    @cached_property
    def found(self) -> Settings:
        """The settings of `needs`, even if the address is unsafe. `doctor` reads them without printing remarks."""
        return load_settings(
            self._runtime,
            org=self._org,
            secret_file=self._secret_file,
            needs=self._needs,
        )

    @property
    def _limit_s(self) -> float:
        from port_hook_cli.port_api.variables import api_timeout_s  # so that commands start faster

        return api_timeout_s(self._runtime.environ) if self._timeout_s is None else self._timeout_s

    @property
    def is_chosen(self) -> bool:
        """Whether the user chose an organization or a file with the secret."""
        return bool(self._org or self._secret_file)

    @cached_property
    def settings(self) -> Settings:
        """The settings of `needs`. Raises the errors of `load_settings`, and SettingsError for an unsafe address."""
        settings, needs = self.found, self._needs
        for text in settings.warnings:
            self._say_once(warning(text))
        if self._tells_secret_place and "client_secret" in needs and settings.secret_place == PROJECT_FILE:
            self._say_once(note(f"client secret from {PROJECT_FILE}"))
        if {"client_secret", "api_url"} <= set(needs):
            settings.refuse_address()
            if settings.project_address:
                self._say_once(note(f"using {settings.project_address} from {PROJECT_FILE}"))
        return settings

    @property
    def secret(self) -> Secret:
        """The client secret. Raises SettingsError if no secret is set."""
        return self.settings.require_secret()

    @property
    def is_api_on_this_machine(self) -> bool:
        """Whether the API's address is on this machine, where only a sandbox can be.

        Raises SettingsError if the settings cannot be read.
        """
        from port_hook_cli.invocations.targets import is_on_this_machine  # so that other commands start faster

        return is_on_this_machine(self.settings.api_url)

    @property
    def has_sandbox(self) -> bool:
        """Whether the settings have credentials and the address of a sandbox on this machine.

        Raises SettingsError if the settings cannot be read.
        """
        settings = self.settings
        has_credentials = settings.client_id is not None and settings.client_secret is not None
        return has_credentials and self.is_api_on_this_machine

    def client(
        self,
        *,
        on_retry: Callable[[str], None] = lambda _: None,
        on_headers: Callable[[Mapping[str, str]], None] = lambda _: None,
        timeout_s: float | None = None,
        retries: bool = True,
    ) -> PortApi:
        """Return a client of Port's API, for use with `async with`. `timeout_s` is the limit for a request in seconds.

        `on_retry` is called with a message before each pause, and `on_headers` with the headers of each response.
        Without `retries`, each call is tried once. All clients are created here, so that the address is checked before
        the secret is sent. Raises SettingsError for a missing setting and for an address that must not get the secret.
        """
        from port_hook_cli.port_api.client import PortApi
        from port_hook_cli.port_api.retries import MAX_TRIES, RetryPolicy

        return PortApi(
            self.settings.require_access(),
            retries=RetryPolicy(max_tries=MAX_TRIES if retries else 1, on_retry=on_retry),
            timeout_s=self._limit_s if timeout_s is None else timeout_s,
            now=self._runtime.now,
            on_token=self._runtime.keep_secret,
            on_headers=on_headers,
        )

    async def get_run(self, run_id: str) -> Mapping[str, Any]:
        """Return an action run from Port.

        Raises PortApiError if the call fails, and SettingsError for missing settings.
        """
        async with self.client() as port:
            return await port.get_run(run_id)

    async def announce(self, deliveries: Sequence[Mapping[str, Any]]) -> None:
        """Tell a sandbox on this machine which runs a handler is about to receive, with their actions and inputs.

        If the settings point to Port, this method does nothing. It stops at the first failure, takes at most 2 seconds,
        and never raises an error.
        """
        if not deliveries:
            return
        # Imported here, so that commands that need only the secret start faster.
        from asyncio import timeout

        with contextlib.suppress(PortHookError, TimeoutError):
            if not self.has_sandbox:
                return
            async with (
                timeout(_ANNOUNCE_TIMEOUT_S),
                self.client(timeout_s=_ANNOUNCE_TIMEOUT_S, retries=False) as api,
            ):
                for delivery in deliveries:
                    await api.call("POST", DELIVERIES, delivery)

    def _say_once(self, remark: Remark) -> None:
        if self._runtime.memory.is_new(remark.line):
            self._say(remark)


async def find_api(
    client_id: str, secret: Secret, addresses: Sequence[str], runtime: Runtime, *, timeout_s: float
) -> tuple[str, bool | None]:
    """Return the first of `addresses` that accepts the credentials, and the claim `isMachine` of the token.

    Raises LoginRejectedError if no address accepts the credentials.

    The next address is tried only if an address rejects the credentials, so an unreachable address ends the search.
    """
    for address in addresses:
        settings = Settings(client_id=client_id, client_secret=secret, api_url=address)
        try:
            async with PortAccess.known(settings, runtime, timeout_s=timeout_s).client(retries=False) as api:
                claim = await api.check_access()
        except PortApiError as problem:
            if problem.status != _UNAUTHORIZED:
                problem.hint = _with_options(problem.hint)
                raise
        else:
            return address, claim
    raise LoginRejectedError(
        f"{' and '.join(addresses)} rejected these credentials.",
        hint=f"Copy the client ID and the client secret again. You can find them {CREDENTIALS_IN_PORT}.",
        status=_UNAUTHORIZED,
    )


def _with_options(hint: str) -> str:
    """Return a hint of the API client with the options of `login` instead of the variables, which `login` ignores."""
    return hint.replace(" or PORT_REGION", "").replace("PORT_API_URL", "--api-url")
