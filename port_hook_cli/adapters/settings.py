"""Where the client id, the secret and Port's address come from, and in which order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from port_hook_cli.core.redaction import Secret

DEFAULT_API_URL = "https://api.port.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Credentials and addresses. `api_url` and `app_url` have neither `/v1` nor a trailing slash."""

    client_id: str | None = None
    client_secret: Secret | None = None
    api_url: str = DEFAULT_API_URL
    app_url: str = "https://app.port.io"

    def require_secret(self) -> Secret:
        """Return the client secret; raises SettingsError that says where it may be put."""
        raise NotImplementedError

    def require_client_id(self) -> str:
        """Return the client id; raises SettingsError that says where it may be put."""
        raise NotImplementedError


def load_settings(
    *,
    environ: Mapping[str, str],
    cwd: Path,
    home: Path,
    stdin: BinaryIO,
    org: str | None = None,
    secret_file: str | None = None,
) -> Settings:
    """Return the settings by the documented precedence; raises SettingsError naming the file that is wrong."""
    raise NotImplementedError
