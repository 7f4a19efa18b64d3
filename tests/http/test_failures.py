from __future__ import annotations

import errno
import socket
import ssl

from port_hook_cli.http.failures import (
    CannotConnect,
    ClosedEarly,
    ResponseTooLarge,
    UnreadableResponse,
    describe_failure,
)

PLACE = "h:8000"


def not_connected(cause: BaseException) -> CannotConnect:
    error = CannotConnect()
    error.__cause__ = cause
    return error


def test_each_failure_has_a_slug_and_a_message() -> None:
    failures: list[tuple[Exception, str, str]] = [
        (not_connected(ConnectionRefusedError()), "unreachable", "nothing listens on h:8000: is your handler running?"),
        (not_connected(socket.gaierror(-2, "x")), "unreachable", "the host name in h:8000 cannot be resolved"),
        (not_connected(UnicodeError("label too long")), "unreachable", "the host name in h:8000 cannot be resolved"),
        (not_connected(OSError(errno.EHOSTUNREACH, "Connect call failed ('1.2.3.4', 8000)")), "unreachable",
         "h:8000 cannot be reached: No route to host"),
        (not_connected(ssl.SSLError(1, "x")), "unreachable", "no TLS connection to h:8000: "),
        (ssl.SSLError(1, "x"), "unreachable", "no TLS connection to h:8000: "),
        (TimeoutError(), "timeout", "no response within 0.5 s"),
        (ClosedEarly(has_begun=False), "broken", "h:8000 closed the connection without a response"),
        (ClosedEarly(has_begun=True), "broken", "h:8000 closed the connection before its response was complete"),
        (ConnectionResetError(), "broken", "h:8000 reset the connection before its response was complete"),
        (BrokenPipeError(), "broken", "h:8000 reset the connection before its response was complete"),
        (OSError(5, "Input/output error"), "broken", "the connection to h:8000 failed: Input/output error"),
        (UnreadableResponse("it begins with 'x'"), "broken", "the response of h:8000 could not be read: it"),
        (ResponseTooLarge("the response is larger than 1 MiB"), "too-large", "the response is larger than 1 MiB"),
        (ValueError("no"), "broken", "the request cannot be sent as HTTP: no"),
    ]  # fmt: skip
    for error, fault, message in failures:
        failure = describe_failure(error, PLACE, timeout_s=0.5)
        assert failure.fault == fault
        assert failure.message.startswith(message)


def test_reason_of_openssl_has_no_period() -> None:
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_message = "Hostname mismatch, certificate is not valid for 'h'."
    assert describe_failure(error, PLACE, timeout_s=0.5).message.endswith("for 'h'")
