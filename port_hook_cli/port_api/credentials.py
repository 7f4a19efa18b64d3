"""Reads the settings of a command and creates its client of Port's API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO

from port_hook_cli.files.input import read_stdin
from port_hook_cli.files.settings_names import PROJECT_FILE
from port_hook_cli.http.limits import API_TIMEOUT_S
from port_hook_cli.port_api.settings import ALL_NEEDS, Settings, load_settings
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import sayer
from port_hook_cli.text.remark import Remark, Say, note, warning

if TYPE_CHECKING:
    from port_hook_cli.port_api.client import PortApi


def read_settings(
    runtime: Runtime,
    *,
    org: str | None,
    secret_file: str | None,
    needs: tuple[str, ...] = ALL_NEEDS,
    insecure_api: bool = False,
    tells_secret_place: bool = True,
    say: Say | None = None,
) -> Settings:
    """Return the settings that a command needs. `say` gets warnings and notes about settings from the folder's `.env`.

    Without `say`, they are printed.

    Without `tells_secret_place`, the caller says where the client secret comes from.
    Raises SettingsError as `load_settings` does, and if the secret must not be sent to the API's address.
    """
    settings = load_settings(
        environ=runtime.environ,
        cwd=runtime.cwd,
        home=runtime.home,
        stdin=_secret_stdin(runtime) if secret_file == "-" else runtime.stdin,  # noqa: S105 - a name
        org=org,
        secret_file=secret_file,
        needs=needs,
        insecure_api=insecure_api,
        on_secret=runtime.keep_secret,
    )
    new = partial(_say_once, say=say or sayer(runtime), runtime=runtime)
    for text in settings.warnings:
        new(warning(text))
    if tells_secret_place and "client_secret" in needs and settings.secret_place == PROJECT_FILE:
        new(note(f"client secret from {PROJECT_FILE}"))
    if {"client_secret", "api_url"} <= set(needs):
        settings.refuse_address()
        if settings.project_address:
            new(note(f"using {settings.project_address} from {PROJECT_FILE}"))
    return settings


def _secret_stdin(runtime: Runtime) -> BinaryIO:
    """Return stdin from its beginning: a command may read its settings more than once."""
    if runtime.memory.stdin is None:
        runtime.memory.stdin = read_stdin(runtime.stdin)
    return BytesIO(runtime.memory.stdin)


def open_port_api(
    settings: Settings,
    runtime: Runtime,
    *,
    timeout_s: float = API_TIMEOUT_S,
    on_retry: Callable[[str], None] = lambda _: None,
    on_headers: Callable[[Mapping[str, str]], None] = lambda _: None,
    retries: bool = True,
) -> PortApi:
    """Return a client of Port's API, for use with `async with`. `timeout_s` bounds each request, in seconds.

    Without `retries`, each call is tried once. `on_headers` gets the header fields of each response.

    All clients are created here, so that the address is checked before the secret is sent.
    Raises SettingsError for a missing setting and for an address that the secret must not be sent to.
    """
    from port_hook_cli.port_api.client import PortApi
    from port_hook_cli.port_api.retries import MAX_TRIES

    api_url, client_id, client_secret = settings.require_access()
    return PortApi(
        api_url=api_url,
        client_id=client_id,
        client_secret=client_secret,
        now=runtime.now,
        timeout_s=timeout_s,
        on_retry=on_retry,
        on_token=runtime.keep_secret,
        on_headers=on_headers,
        conflict=settings.conflict,
        max_tries=MAX_TRIES if retries else 1,
    )


def _say_once(remark: Remark, *, say: Say, runtime: Runtime) -> None:
    if runtime.memory.is_new(remark.line):
        say(remark)
