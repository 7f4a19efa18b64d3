"""The exit codes of the commands, and the exit code of each kind of error."""

from __future__ import annotations

from port_hook_cli.errors import ExitCode, PortHookError

__all__ = ["ExitCode", "exit_code_of"]

_CODES = {
    "usage": ExitCode.USAGE,
    "settings": ExitCode.SETTINGS,
    "listen": ExitCode.LISTEN,
    "tunnel": ExitCode.LISTEN,
    "kafka": ExitCode.LISTEN,
    "target": ExitCode.TARGET,
    "port-api": ExitCode.PORT_API,
    "run-ended": ExitCode.RUN_ENDED,
    "store": ExitCode.STORE,
}
"""By `PortHookError.code`. Every other error ends with FAILED."""


def exit_code_of(problem: PortHookError) -> ExitCode:
    """Return the exit code of a command that ends with this error."""
    return _CODES.get(problem.code, ExitCode.FAILED)
