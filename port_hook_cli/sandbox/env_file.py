"""The file of `sandbox --env-file`, which shells and `.env` readers use for the sandbox's credentials."""

from __future__ import annotations

import re
from pathlib import Path

from port_hook_cli.files.user_files import check_replaceable, replace_file
from port_hook_cli.invocations.targets import is_on_this_machine
from port_hook_cli.sandbox.events import format_exports

_EXPORT = re.compile(r"^export (PORT_[A-Z_]+)=(.*)$", re.MULTILINE)


def check_env_file(name: str, *, cwd: Path) -> None:
    """Raise StoreError unless the file is missing, empty, or contains only a sandbox's credentials.

    Other content may be a real account's credentials or another program's settings.
    """
    check_replaceable(
        name,
        "a sandbox's credentials",
        is_env_file,
        cwd=cwd,
        hint="Move it away, or pass another file name, such as --env-file sandbox.env.",
    )


def write_env_file(name: str, exports: str, *, cwd: Path) -> None:
    """Write `exports` to a file that only the user can read. Raises the same error as `check_env_file`."""
    check_env_file(name, cwd=cwd)
    replace_file(name, f"{exports}\n".encode(), cwd=cwd)


def is_env_file(content: bytes) -> bool:
    """Return whether `content` is exactly what `write_env_file` writes for a sandbox on this machine."""
    text = content.decode("utf-8", "replace")
    values = dict(_EXPORT.findall(text))
    url, identity = values.get("PORT_API_URL", ""), values.get("PORT_CLIENT_ID", "")
    exports = format_exports(url, identity, values.get("PORT_CLIENT_SECRET", ""), values.get("PORT_ORG_ID"))
    return identity.startswith("sandbox_") and is_on_this_machine(url) and text == f"{exports}\n"
