"""The settings of a command: the process's world and its flags, handed to the adapter that reads them."""

from __future__ import annotations

from port_hook_cli.adapters.settings import ALL_NEEDS, Settings, load_settings
from port_hook_cli.runtime import Runtime


def read_settings(
    runtime: Runtime, *, org: str | None, secret_file: str | None, needs: tuple[str, ...] = ALL_NEEDS
) -> Settings:
    """Return the settings that a command needs; raises SettingsError as `load_settings` does."""
    return load_settings(
        environ=runtime.environ,
        cwd=runtime.cwd,
        home=runtime.home,
        stdin=runtime.stdin,
        org=org,
        secret_file=secret_file,
        needs=needs,
    )
