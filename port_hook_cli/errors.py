"""The errors that a user can fix, and the exit code of each kind.

An outcome (a bad signature, a handler's 500) is a value, not an exception. A problem that the user can fix is a
`PortHookError`. Any other exception is a bug and ends with `ExitCode.BUG`.
"""

from __future__ import annotations

from enum import IntEnum, unique
from typing import ClassVar

CREDENTIALS_IN_PORT = "in Port: `...` > Credentials"
"""Where a user finds the client id and the client secret."""
_UNAUTHORIZED = 401  # not from `http`, which takes a millisecond to import


@unique
class ExitCode(IntEnum):
    """The exit codes of all commands. Codes may be added, but a code never changes its meaning."""

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
        """What the code means, in one line for the documentation."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.OK: "success; also `listen` after Ctrl-C or SIGTERM",
    ExitCode.FAILED: (
        "an unmet expectation (`--expect-status`, `--compare`, `--count` within `--timeout`), "
        "a difference that `diff` found, or any other failure"
    ),
    ExitCode.USAGE: "the command line is not valid",
    ExitCode.NOT_VALID: "`verify`: the signature is not valid",
    ExitCode.SETTINGS: "a secret, a client id or a settings file is missing, unreadable or not safe to use",
    ExitCode.LISTEN: "the listener, a local server, the tunnel or the connection to Kafka could not start",
    ExitCode.TARGET: "the target of a forward, replay or trigger could not be reached",
    ExitCode.PORT_API: "Port's API refused or could not be reached",
    ExitCode.STORE: "a capture or file does not exist, or the store cannot be read or written",
    ExitCode.RUN_ENDED: "the run has already ended and accepts no more reports",
    ExitCode.TUNNEL_LOST: "`listen`: the tunnel was lost for longer than `--exit-on-tunnel-loss`",
    ExitCode.NOT_TRIGGERED: "`trigger`: the event does not meet the automation's condition, so nothing was sent",
    ExitCode.BUG: "a bug in port-hook; a crash report was written",
    ExitCode.INTERRUPTED: "interrupted with Ctrl-C",
}


class PortHookError(Exception):
    """A problem that the user can fix: what happened, what to do next (`hint`), and the exit code."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED
    code: ClassVar[str] = "failed"

    @property
    def is_for_doctor(self) -> bool:
        """Whether `port-hook doctor` may find the cause: it is about credentials, Port's API or a tunnel."""
        return False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(PortHookError):
    """Options that contradict each other, or a value that an option does not accept."""

    exit_code = ExitCode.USAGE
    code = "usage"


class SettingsError(PortHookError):
    """A secret, client id or settings file is missing, unreadable, wrong or unsafe, or a package is missing."""

    exit_code = ExitCode.SETTINGS
    code = "settings"


class CredentialsError(SettingsError):
    """Credentials that a command needs are missing, or what is set for them cannot be used."""

    @property
    def is_for_doctor(self) -> bool:
        """True: it checks all places of credentials."""
        return True


class ListenError(PortHookError):
    """A local server could not start: the port is in use, or the address cannot be bound."""

    exit_code = ExitCode.LISTEN
    code = "listen"


class TunnelError(ListenError):
    """A tunnel could not be opened."""

    code = "tunnel"

    @property
    def is_for_doctor(self) -> bool:
        """True: it checks all providers."""
        return True


class BrokerError(ListenError):
    """A Kafka broker cannot be used: it cannot be reached, refuses the credentials or lacks the topics."""

    code = "kafka"


class TargetError(PortHookError):
    """A target could not be reached."""

    exit_code = ExitCode.TARGET
    code = "target"


class PortApiError(PortHookError):
    """Port's API refused a call or could not be reached. `status` is that of its response, None without one."""

    exit_code = ExitCode.PORT_API
    code = "port-api"

    def __init__(self, message: str, *, hint: str = "", status: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status

    @property
    def is_for_doctor(self) -> bool:
        """Whether the credentials were refused, or there was no response."""
        return self.status in {None, _UNAUTHORIZED}


class LoginRefusedError(PortApiError):
    """Port did not accept the credentials that `login` was to save."""

    @property
    def is_for_doctor(self) -> bool:
        """False: `doctor` checks saved credentials, not these."""
        return False


class RunEndedError(PortApiError):
    """The run has ended, so Port accepts no more updates for it."""

    exit_code = ExitCode.RUN_ENDED
    code = "run-ended"

    @property
    def is_for_doctor(self) -> bool:
        """False: the credentials were accepted."""
        return False


class RetargetError(PortHookError):
    """An action or workflow node could not be retargeted or restored."""

    code = "retarget"


class RenderError(PortHookError):
    """A template could not be rendered because of its braces, a key or, in strict mode, an expression."""

    code = "render"


class StoreError(PortHookError):
    """A capture does not exist, or the store cannot be read or written."""

    exit_code = ExitCode.STORE
    code = "store"
