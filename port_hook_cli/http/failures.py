"""Why a request got no response: the kinds of failure, and one message for each kind.

A message is a clause about the target. The user's options belong in hints, not in these messages.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from typing import NamedTuple

from port_hook_cli.http.limits import format_size

# What OpenSSL makes of a response in plain HTTP.
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"})
_ERRNO = r"^\[(?:Errno|WinError) -?[0-9]+\] "


class UnreadableResponse(Exception):
    """A response is not well-formed HTTP/1.1. The message describes the fault, as a clause."""


class ResponseTooLarge(Exception):
    """A response exceeds a limit. The message describes the failure."""


class UnsendableRequest(ValueError):
    """A request cannot be sent as HTTP/1.1. The message contains the reason, as a clause."""


class ClosedEarly(ConnectionError):
    """The target closed the connection before the response was complete.

    `has_begun` is true if a part of the response has arrived.
    """

    def __init__(self, *, has_begun: bool) -> None:
        super().__init__()
        self.has_begun = has_begun


class CannotConnect(Exception):
    """No connection to the target could be opened. `__cause__` is the reason."""


class SendFailure(NamedTuple):
    """Why a request got no response: the slug for `Delivery.fault`, and the message for `Delivery.error`."""

    fault: str
    message: str


EXPECTED = (UnreadableResponse, ResponseTooLarge, CannotConnect, OSError, ValueError)
"""The exceptions that `describe_failure` accepts: everything that a target, a network or a request can cause."""


def describe_failure(error: Exception, place: str, *, timeout_s: float) -> SendFailure:
    """Return the failure that `error` means for a request to `place`, which is a host and a port."""
    match error:
        case CannotConnect():
            return _unreachable(error.__cause__ or error, place)
        case ssl.SSLError():
            return _unreachable(error, place)
        case OSError():
            return _interrupted(error, place, timeout_s)
        case ResponseTooLarge():
            return SendFailure("too-large", str(error))
        case UnreadableResponse():
            return SendFailure("broken", f"the response of {place} could not be read: {error}")
        case _:
            return SendFailure("broken", f"the request cannot be sent as HTTP: {error}")


def _interrupted(error: OSError, place: str, timeout_s: float) -> SendFailure:
    match error:
        case TimeoutError():
            return SendFailure("timeout", f"no response within {timeout_s:g} s")
        case ClosedEarly(has_begun=True):
            message = f"{place} closed the connection before its response was complete"
        case ClosedEarly():
            message = f"{place} closed the connection without a response"
        case ConnectionResetError() | BrokenPipeError():
            message = f"{place} reset the connection before its response was complete"
        case _:
            message = f"the connection to {place} failed: {_system_message(error)}"
    return SendFailure("broken", message)


def _unreachable(error: BaseException, place: str) -> SendFailure:
    match error:
        case ssl.SSLError():
            reason = getattr(error, "verify_message", "") or getattr(error, "reason", "") or str(error)
            message = f"no TLS connection to {place}: {reason.rstrip('.')}"
            if reason in _NOT_TLS:
                message = f"{place} does not use TLS, so its URL begins with http://"
        case socket.gaierror() | UnicodeError():
            message = f"the host name in {place} cannot be resolved"
        case ConnectionRefusedError():
            message = f"nothing listens on {place}: is your handler running?"
        case OSError():
            message = f"{place} cannot be reached: {_system_message(error)}"
        case _:
            message = f"{place} cannot be reached: {error}"
    return SendFailure("unreachable", message)


def _system_message(error: OSError) -> str:
    """Return the operating system's message for an error, without the error number."""
    # asyncio puts the address in `strerror`: "Connect call failed ('::1', 8000, 0, 0)".
    is_of_asyncio = error.errno is not None and (error.strerror or "").startswith("Connect call failed")
    text = os.strerror(error.errno or 0) if is_of_asyncio else error.strerror
    return re.sub(_ERRNO, "", text or str(error)) or type(error).__name__


def body_too_large(limit: int) -> str:
    """Return the message for a body of more than `limit` bytes."""
    return f"the response is larger than {format_size(limit)}"


def head_too_large(limit: int) -> str:
    """Return the message for a response with more than `limit` bytes outside its body."""
    return f"the header section or the trailers of the response are larger than {format_size(limit)}"


def too_many_interim(limit: int) -> str:
    """Return the message for more than `limit` interim responses."""
    return f"the target sent more than {limit} interim (1xx) responses"
