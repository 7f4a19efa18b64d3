"""What a user can run into, and the exit code each kind ends with.

Three kinds of trouble are never mixed. An outcome (a bad signature, a handler's 500) is a value. A problem the
user can mend is a `PortHookError`. Anything else is a bug and ends with `ExitCode.BUG`.
"""

from __future__ import annotations

from enum import IntEnum, unique
from typing import ClassVar

CREDENTIALS_IN_PORT = "in Port: `...` > Credentials"
"""Where a user finds the client id and the client secret."""


@unique
class ExitCode(IntEnum):
    """Exit codes of every command. Append-only: a code never changes its meaning."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_VALID = 3
    SETTINGS = 4
    LISTEN = 5
    TARGET = 6
    PORT_API = 7
    STORE = 8
    RUN_ENDED = 9
    TUNNEL_LOST = 10
    NOT_TRIGGERED = 11
    BUG = 70
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """One line for the table in the documentation."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.OK: "done; `listen` ends so after Ctrl-C or SIGTERM, too",
    ExitCode.FAILED: "expectation not met (`--expect-status`, `--count` in `--timeout`), or a failure of no other kind",
    ExitCode.USAGE: "the command line could not be understood",
    ExitCode.NOT_VALID: "`verify`: the signature is not valid",
    ExitCode.SETTINGS: "a secret, a client id or a settings file is missing, unreadable or not safe to use",
    ExitCode.LISTEN: "the listener, a local server or the tunnel could not start",
    ExitCode.TARGET: "the target of a forward, replay or trigger could not be reached",
    ExitCode.PORT_API: "Port's API refused or could not be reached",
    ExitCode.STORE: "no such capture or file, or a store that cannot be read or written",
    ExitCode.RUN_ENDED: "the run has already ended and takes no more reports",
    ExitCode.TUNNEL_LOST: "`listen`: the tunnel was lost for longer than `--exit-on-tunnel-loss`",
    ExitCode.NOT_TRIGGERED: "`trigger`: the automation's condition is not met by the event, so nothing was sent",
    ExitCode.BUG: "a bug in port-hook; a crash report was written",
    ExitCode.INTERRUPTED: "interrupted with Ctrl-C before it was done",
}


class PortHookError(Exception):
    """A problem the user can mend: what happened, what to do next, and the exit code."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED
    code: ClassVar[str] = "failed"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(PortHookError):
    """Options that contradict each other, or values that typer cannot check."""

    exit_code = ExitCode.USAGE
    code = "usage"


class SettingsError(PortHookError):
    """A secret, client id or settings file that is missing, unreadable, wrong or not safe to use."""

    exit_code = ExitCode.SETTINGS
    code = "settings"


class ListenError(PortHookError):
    """A local server that could not start: port in use, bind refused."""

    exit_code = ExitCode.LISTEN
    code = "listen"


class TunnelError(ListenError):
    """A tunnel that could not be opened."""

    code = "tunnel"


class TargetError(PortHookError):
    """A target that could not be reached at all."""

    exit_code = ExitCode.TARGET
    code = "target"


class PortApiError(PortHookError):
    """Port's API refused a call or could not be reached."""

    exit_code = ExitCode.PORT_API
    code = "port-api"


class RunEndedError(PortApiError):
    """The run has ended; Port takes no more updates for it."""

    exit_code = ExitCode.RUN_ENDED
    code = "run-ended"


class RetargetError(PortHookError):
    """An action that cannot be pointed elsewhere, or not put back."""

    code = "retarget"


class RenderError(PortHookError):
    """A template that cannot be rendered: its braces, a key, or, where that is asked for, an expression."""

    code = "render"


class StoreError(PortHookError):
    """A capture that is unknown, or a store that cannot be read or written."""

    exit_code = ExitCode.STORE
    code = "store"
