"""Reads the settings of a command and creates its client of Port's API, for commands without a `PortAccess`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from port_hook_cli.http.limits import API_TIMEOUT_S
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import ALL_NEEDS, Settings
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import sayer

if TYPE_CHECKING:
    from port_hook_cli.port_api.client import PortApi


def read_settings(
    runtime: Runtime,
    *,
    org: str | None,
    secret_file: str | None,
    needs: tuple[str, ...] = ALL_NEEDS,
    insecure_api: bool = False,
) -> Settings:
    """Return the settings that a command needs, and print what is to be said about them; see `PortAccess.settings`."""
    access = PortAccess(
        runtime, sayer(runtime), org=org, secret_file=secret_file, needs=needs, insecure_api=insecure_api
    )
    return access.settings


def open_port_api(
    settings: Settings,
    runtime: Runtime,
    *,
    timeout_s: float = API_TIMEOUT_S,
    on_retry: Callable[[str], None] = lambda _: None,
) -> PortApi:
    """Return a client of Port's API; see `PortAccess.client`."""
    return PortAccess.known(settings, runtime, timeout_s=timeout_s).client(on_retry=on_retry)
