"""Where the ngrok agent and the user's settings for it are."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path

from port_hook_cli.errors import TunnelError
from port_hook_cli.programs import find_programs
from port_hook_cli.tunnels.protocol import NotUsable, Usable

# pyngrok installs a script named `ngrok` next to Python. The agent itself is about 30 MB.
_MAX_SCRIPT_BYTES = 1 << 20


def find_config(environ: Mapping[str, str], home: Path, platform: str = sys.platform) -> Path | None:
    """Return the user's ngrok settings: NGROK_CONFIG, else ngrok.yml in the agent's default folder if it exists."""
    named = environ.get("NGROK_CONFIG")
    if not named:
        path = ngrok_folder(environ, home, platform) / "ngrok.yml"
        return path if path.is_file() else None
    if not Path(named).is_file():
        raise TunnelError(f"NGROK_CONFIG names a file that does not exist: {named}.", hint="Correct or unset it.")
    return Path(named)


def find_agent(environ: Mapping[str, str], home: Path) -> Path | None:
    """Return the ngrok program: PYNGROK_NGROK_PATH, else `ngrok` on PATH, else the one that pyngrok installed."""
    named = environ.get("PYNGROK_NGROK_PATH")
    if named:
        if not Path(named).is_file():
            raise TunnelError(
                f"PYNGROK_NGROK_PATH names a file that does not exist: {named}.", hint="Correct or unset it."
            )
        return Path(named)
    found = map(Path, find_programs("ngrok", environ))
    on_path = next((path for path in found if not _is_pyngrok(path)), None)
    managed = managed_agent(environ, home)
    return on_path or (managed if managed.is_file() else None)


def managed_agent(environ: Mapping[str, str], home: Path, platform: str = sys.platform) -> Path:
    """Return where pyngrok installs the agent."""
    return ngrok_folder(environ, home, platform) / ("ngrok.exe" if platform == "win32" else "ngrok")


def ngrok_folder(environ: Mapping[str, str], home: Path, platform: str = sys.platform) -> Path:
    """Return the folder that ngrok (https://ngrok.com/docs/agent/config) and pyngrok use for the user's files."""
    if platform == "darwin":
        return home / "Library" / "Application Support" / "ngrok"
    if platform == "win32":
        return Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "ngrok"
    return Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "ngrok"


def check_usable(environ: Mapping[str, str], home: Path, *, can_ask: bool) -> Usable | NotUsable:
    """Return why `--tunnel auto` can use ngrok, or why not. The agent must be installed: `auto` downloads nothing."""
    del can_ask
    try:
        if find_agent(environ, home) is None:
            return NotUsable("the ngrok program is not installed")
        if environ.get("NGROK_AUTHTOKEN", "").strip():
            return Usable("NGROK_AUTHTOKEN is set")
        if config := find_config(environ, home):
            return Usable(f"{config} exists")
    except TunnelError as problem:
        return NotUsable(problem.message.removesuffix("."))
    return NotUsable("NGROK_AUTHTOKEN is not set, and ngrok has no configuration file")


def _is_pyngrok(path: Path) -> bool:
    """Return whether this is pyngrok's script named `ngrok`, which would start another agent."""
    with contextlib.suppress(OSError):
        return path.stat().st_size < _MAX_SCRIPT_BYTES and b"pyngrok" in path.read_bytes()
    return False
