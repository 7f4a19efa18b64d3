"""Captures by the names that a user gives: `last`, an id or its start, or a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from port_hook_cli.captures.documents.request_file import NotARequest, capture_in
from port_hook_cli.captures.store.capture_store import LAST, CaptureStore
from port_hook_cli.captures.store.reading import LateStore, open_captures
from port_hook_cli.errors import StoreError, UsageError
from port_hook_cli.files.input import read_input
from port_hook_cli.invocations.http_text import NotHttp, is_request, parse_request
from port_hook_cli.invocations.models import Exchange, Headers, Invocation, Status, Verdict
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.runtime import Runtime

_KINDS = "Give a capture's id, `last`, or a file with a capture, a raw HTTP request or a payload."


@dataclass(frozen=True, slots=True)
class FoundCapture:
    """A capture under the name that the user gave. `is_body_only` says that it is a payload from a file."""

    name: str
    exchange: Exchange
    is_body_only: bool = False

    @property
    def shown(self) -> str:
        """The capture's id, or the name of its file."""
        return self.exchange.invocation.id or self.name


class CaptureFinder:
    """Finds captures; opens the store when it is first needed. Close it after use.

    The captures are only displayed or compared, so the store may belong to another user.
    """

    def __init__(self, option: Path | None, runtime: Runtime) -> None:
        self._runtime = runtime
        self._store = LateStore(lambda: open_captures(option, runtime, show_only=True))
        self.close = self._store.close

    def find(self, name: str) -> FoundCapture:
        """Return the capture in the file `name`, or else the one of the store; raises UsageError and StoreError."""
        if not name:
            raise UsageError("A capture's name is empty.", hint="Check whether a shell variable is unset.")
        if name == "-" or self._is_file(name):
            return _from_file(name, read_input(name, cwd=self._runtime.cwd, stdin=self._runtime.stdin))
        return FoundCapture(name, self._in_store(name))

    def store(self) -> CaptureStore:
        """Return the open store; raises StoreError."""
        return self._store.open()

    def last_target(self) -> str | None:
        """Return where the last listener with the store forwarded to, None if the store was not needed so far."""
        return self._store.open().last_target() if self._store.is_open else None

    def _in_store(self, name: str) -> Exchange:
        try:
            return self.store().get(name)
        except StoreError as error:
            if name == LAST or not self._store.is_open:
                raise
            raise StoreError(f"{error.message} There is no file {name} either.", hint=error.hint) from error

    def _is_file(self, name: str) -> bool:
        try:
            return (self._runtime.cwd / name).is_file()
        except (OSError, ValueError):  # too long for a file's name, or with a null character
            return False


def _from_file(name: str, content: bytes) -> FoundCapture:
    if is_request(content):
        return FoundCapture(name, _from_raw_request(name, content))
    try:
        capture = capture_in(content)
    except NotARequest as problem:
        raise StoreError(f"{name} cannot be read: {problem}.", hint=_KINDS) from problem
    if capture is not None:
        return FoundCapture(name, capture)
    return FoundCapture(name, _unsent("POST", "/", Headers(), content), is_body_only=True)


def _from_raw_request(name: str, content: bytes) -> Exchange:
    try:
        raw = parse_request(content)
    except NotHttp as problem:
        raise StoreError(f"{name} cannot be read as an HTTP request: {problem}.", hint=_KINDS) from problem
    return _unsent(raw.method, raw.target, raw.headers, raw.body)


def _unsent(method: str, target: str, headers: Headers, body: bytes) -> Exchange:
    return Exchange(
        invocation=Invocation(id="", received_at=0.0, method=method, target=target, headers=headers, body=body),
        verdict=Verdict(status=Status.UNCHECKED),
        payload=read_payload(body, headers),
    )
