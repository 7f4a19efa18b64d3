"""The errors that a user can fix.

An outcome (a bad signature, a handler's 500) is a value, not an exception. A problem that the user can fix is a
`PortHookError`. Any other exception is a bug.
"""

from __future__ import annotations

from typing import ClassVar

CREDENTIALS_IN_PORT = "in Port: `...` > Credentials"
"""Where a user finds the client ID and the client secret."""
ORGANIZATION_SIGNS = (
    "Only the organization's client secret signs. Credentials of a service account or a person can log in but never "
    "match (observed, not documented)."
)
"""Which secret signs, from a post on Port's public roadmap."""
_UNAUTHORIZED = 401  # a literal, because importing `http` takes a millisecond


class PortHookError(Exception):
    """A problem that the user can fix.

    The message says what happened, `hint` says what to do next, and `code` is the kind of problem.
    """

    code: ClassVar[str] = "failed"
    options_hint: ClassVar[str] = ""
    """The hint of a command, if it differs from the hint elsewhere."""
    is_for_doctor: bool = False
    """Whether `port-hook doctor` may find the cause: the problem is about credentials, Port's API or a tunnel."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(PortHookError):
    """The user passed options that contradict each other, or a value that an option does not accept."""

    code = "usage"


class SourceError(UsageError):
    """A file, capture or definition that the user named is missing or has unusable content."""

    code = "store"


class SettingsError(PortHookError):
    """A secret, client ID or settings file is missing, unreadable, invalid or unsafe."""

    code = "settings"


class PackageError(SettingsError):
    """An optional package is not installed."""


class CredentialsError(SettingsError):
    """Credentials that a command needs are missing, or their values cannot be used."""

    is_for_doctor = True  # `doctor` checks every place of credentials


class MissingCredentialsError(CredentialsError):
    """No place has the credentials that a command needs."""

    is_for_doctor = False  # the hint says how to set them


class ListenError(PortHookError):
    """A local server could not start: the port is in use, or the address cannot be bound."""

    code = "listen"


class TunnelError(ListenError):
    """A tunnel could not be opened."""

    code = "tunnel"
    is_for_doctor = True  # `doctor` checks all tunnel providers


class BrokerError(ListenError):
    """A Kafka broker cannot be used: it cannot be reached, rejects the credentials or lacks the topics."""

    code = "kafka"


class TargetError(PortHookError):
    """A target could not be reached."""

    code = "target"


class PortApiError(PortHookError):
    """Port's API rejected a call or could not be reached. `status` is None if it did not respond."""

    code = "port-api"
    is_for_doctor = True

    def __init__(self, message: str, *, hint: str = "", status: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.is_for_doctor = self.is_for_doctor and status in {None, _UNAUTHORIZED}


class LoginRejectedError(PortApiError):
    """Port did not accept the credentials that `login` was to save."""

    is_for_doctor = False  # `doctor` checks saved credentials, not the credentials of this login


class RunEndedError(PortApiError):
    """The run has ended, so Port doesn't accept more updates for it."""

    code = "run-ended"
    is_for_doctor = False  # the credentials were accepted


class RetargetError(PortHookError):
    """An action or workflow node could not be retargeted or restored."""

    code = "retarget"


class RenderError(PortHookError):
    """A template could not be rendered because of its braces, a key or, in strict mode, an expression."""

    code = "render"


class ExpressionStoppedError(RenderError):
    """An expression took too long or too much memory, so jq was stopped."""

    def __init__(self, message: str, *, program: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.program = program


class StoreError(PortHookError):
    """A file or capture does not exist, or a file or the store cannot be read or written."""

    code = "store"
