"""Whether the user sees a browser that port-hook opens."""

from __future__ import annotations

import sys

from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.prompts import can_ask

_REMOTE = ("SSH_CONNECTION", "SSH_TTY")
_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")


def has_desktop(runtime: Runtime) -> bool:
    """Return whether a person uses port-hook in a terminal on a desktop.

    Without a desktop, `webbrowser` would start a text browser in the terminal. A browser started over SSH would be on
    another machine.
    """
    environ = runtime.environ
    if not can_ask(runtime) or any(environ.get(name) for name in _REMOTE):
        return False
    return sys.platform in {"darwin", "win32"} or any(environ.get(name) for name in _SCREENS)
