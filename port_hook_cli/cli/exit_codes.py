"""The exit codes of the commands, and the exit code of each kind of error."""

from __future__ import annotations

from enum import IntEnum, unique

from port_hook_cli.errors import PortHookError


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
    NOT_OBSERVED = 12
    UNPROVED = 13
    BUG = 70
    INTERRUPTED = 130

    @property
    def situations(self) -> tuple[str, ...]:
        """The situations in which a command ends with the code, each as a clause for the documentation."""
        return _SITUATIONS[self]

    @property
    def meaning(self) -> str:
        """The meaning of the code, in one line for the documentation."""
        *first, last = self.situations
        return f"{', '.join(first)}{', or ' if first else ''}{last}"


_SITUATIONS = {
    ExitCode.OK: ("the command succeeded", "`listen` was stopped by Ctrl-C or SIGTERM"),
    ExitCode.FAILED: (
        "a check failed",
        "`diff` found a difference",
        "an expectation such as `--expect-status` is unmet",
        "`export --redact` cannot reproduce a verdict",
        "any other failure",
    ),
    ExitCode.USAGE: ("the command line is invalid",),
    ExitCode.NOT_VALID: ("`verify`: the verdict is not `valid`",),
    ExitCode.SETTINGS: (
        "a secret or client ID is missing",
        "a settings file, secret file or key file is missing, unreadable, invalid or unsafe",
        "an optional package is not installed",
    ),
    ExitCode.LISTEN: (
        "the listener or another local server could not start",
        "the tunnel could not open",
        "the Kafka broker cannot be used",
    ),
    ExitCode.TARGET: ("the target of a request could not be reached",),
    ExitCode.PORT_API: ("Port's API rejected a call", "Port's API could not be reached"),
    ExitCode.STORE: (
        "a file or capture is missing",
        "a new file already exists",
        "a file cannot be read or written",
        "a file or capture has unusable content",
        "the capture store cannot be read or written",
    ),
    ExitCode.RUN_ENDED: ("the run has ended, so Port rejects its status and fields",),
    ExitCode.TUNNEL_LOST: ("`listen`: the tunnel was lost for longer than `--exit-on-tunnel-loss`",),
    ExitCode.NOT_TRIGGERED: ("`trigger`: the event does not meet the condition, so nothing was sent",),
    ExitCode.NOT_OBSERVED: ("`check`: no check has a result",),
    ExitCode.UNPROVED: ("`check`: nothing is proved, because `valid`, `no-signature` or `other-secret` has no result",),
    ExitCode.BUG: ("a bug in port-hook, described in a crash report",),
    ExitCode.INTERRUPTED: ("interrupted with Ctrl-C",),
}

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
"""The exit codes by `PortHookError.code`. Every other error ends with FAILED."""


def exit_code_of(problem: PortHookError) -> ExitCode:
    """Return the exit code for an error."""
    return _CODES.get(problem.code, ExitCode.FAILED)
