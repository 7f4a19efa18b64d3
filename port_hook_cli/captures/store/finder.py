"""Find what a name means: `last`, a capture ID or a prefix of it, a run ID, a file, or `-`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from port_hook_cli.captures.documents.capture_fields import require_whole
from port_hook_cli.captures.latest import parse_latest
from port_hook_cli.errors import MissingCredentialsError, PortHookError, SettingsError, StoreError, UsageError
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Invocation, Status
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.safe import brief, input_name, printable

if TYPE_CHECKING:
    from port_hook_cli.captures.store.body_filter import JqBodyFilter
    from port_hook_cli.captures.store.reader import StoreReader
    from port_hook_cli.invocations.http_text import RawRequest
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.text.remark import Say


LEAST_PREFIX = 4
"""The minimum length of an ID prefix for sending a capture, because a typo could send another request."""

_TARGET = r":?\d{2,5}|https?://[\w.:/-]+"
_KINDS = "Pass a capture ID, `last`, or a file with a capture, a raw HTTP request or a payload."


class CaptureUse(Enum):
    """The purpose for which a command needs a capture.

    A capture to SHOW may be in another user's store. A capture to SEND needs at least `LEAST_PREFIX` characters of its
    ID.
    """

    SHOW = 1
    CHECK = 2
    SEND = 3


class FoundRequest(NamedTuple):
    """The meaning of a name: a capture, a raw HTTP request, the bytes of another file, or an action run from Port.

    `is_stored` means that the capture is in the store.
    """

    name: str
    content: Capture | RawRequest | bytes | Mapping[str, Any]
    is_stored: bool = False

    @property
    def is_body_only(self) -> bool:
        """Whether the name means a file without a request, such as a payload."""
        return isinstance(self.content, bytes)

    @property
    def shown(self) -> str:
        """The capture's ID, or the name of the file."""
        return (self.content.invocation.id if isinstance(self.content, Capture) else "") or self.name

    @property
    def capture(self) -> Capture:
        """The capture. A request from any other file has no verdict and no outcome."""
        from port_hook_cli.invocations.payload import unsent

        content, method, target, headers = self.content, "POST", "/", Headers()
        if isinstance(content, Capture):
            return content
        assert not isinstance(content, Mapping)
        if not isinstance(content, bytes):
            method, target, headers, content = content.method, content.target, content.headers, content.body
        return unsent(Invocation(id="", received_at=0.0, method=method, target=target, headers=headers, body=content))

    @property
    def request(self) -> Invocation:
        """The request of the capture. Raises StoreError if its body is incomplete."""
        return require_whole(input_name(self.name), self.capture.invocation)


class Finder:
    """Finds what names mean, and opens the store when it is first needed. Close the finder after use.

    `say` prints notes about the store's files. Without `reads_files`, a name never means a file. `kinds` is the hint
    for a file that cannot be used.
    """

    def __init__(
        self,
        option: Path | None,
        runtime: Runtime,
        purpose: CaptureUse,
        say: Say,
        *,
        reads_files: bool = True,
        kinds: str = _KINDS,
        takes_target: bool = False,
    ) -> None:
        self._option, self._runtime, self._purpose = option, runtime, purpose
        self._reads_files, self._kinds = reads_files, kinds
        self._takes_target = takes_target or purpose is CaptureUse.SEND
        self._store = LateStore(lambda: open_captures(option, runtime, say, show_only=purpose is CaptureUse.SHOW))
        self.close = self._store.close

    def find(self, name: str) -> FoundRequest:
        """Return the file `name`, or the capture `name` if no file has it. `last` and `last-replay` are never files.

        Raises StoreError, or UsageError for an empty name or an ID that is too short.
        """
        from port_hook_cli.invocations.payload import is_run_id

        if not name:
            raise UsageError("A capture's name is empty.", hint="Check whether a shell variable is unset.")
        can_be_id = name.isalnum() or is_run_id(name) or re.fullmatch(_TARGET, name) is not None
        return self._file(name, can_be_missing=can_be_id) or FoundRequest(name, self._in_store(name), is_stored=True)

    def earlier(self, found: FoundRequest) -> Capture | None:
        """Return an earlier verified request with the signature of an invalid capture, or None."""
        content = found.content
        if not found.is_stored or not isinstance(content, Capture) or content.verdict.status is not Status.INVALID:
            return None
        with suppress(StoreError):  # a damaged earlier capture is no reason to fail
            return self.store().signed_before(content)
        return None

    async def find_or_get(self, name: str, access: PortAccess) -> FoundRequest:
        """Find `name` like `find`. If `name` is the ID of a run without a capture, get the run from Port.

        port-hook can request only action runs from Port. Also raises PortApiError and SettingsError.
        """
        from port_hook_cli.invocations.payload import is_run_id

        if not is_run_id(name):
            return self.find(name)
        from port_hook_cli.runs.updates import is_node_run

        if found := self._file(name, can_be_missing=True):
            return found
        captured = None if self.has_no_store() else self.store().of_run(name)
        if captured is not None:
            return FoundRequest(name, captured, is_stored=True)
        if is_node_run(name):
            # Port's API reference has routes that update node runs and their logs, but no route that returns their
            # requests.
            raise StoreError(
                f"File or capture not found: {name}. Port's API does not return a node run's request, so node runs "
                "can only be replayed from captures.",
                hint="Capture it with `port-hook listen` when the node runs again, or pass a file with its payload.",
            )
        try:
            return FoundRequest(name, await access.get_run(name))
        except MissingCredentialsError as error:
            raise SettingsError(
                f"File or capture not found: {name}.", hint="To read the run from Port, run `port-hook login`."
            ) from error
        except PortHookError as problem:
            problem.message = f"File or capture not found: {name}, so port-hook asked Port. {problem.message}"
            raise

    def store(self) -> StoreReader:
        """Return the open store. Raises StoreError."""
        return self._store.open()

    def last_target(self) -> str | None:
        """Return the target of the store's last listener, or None without a target or a store. Raises StoreError."""
        return self.store().last_target() if self._store.is_open or self.has_store_file() else None

    def _file(self, name: str, *, can_be_missing: bool) -> FoundRequest | None:
        if not self._reads_files or parse_latest(name) or "\0" in name:  # a path never contains a null character
            return None
        if can_be_missing and not self._is(name, Path.is_file):
            return None
        return FoundRequest(name, self._read(name))

    def _read(self, name: str) -> Capture | RawRequest | bytes:
        # The imports are here because captures from the store do not need these modules.
        from port_hook_cli.captures.documents.request_file import NotARequest, capture_in
        from port_hook_cli.files.user_files import read_input
        from port_hook_cli.invocations.http_text import NotHttp, is_request, parse_request

        shown, content = input_name(name), read_input(name, cwd=self._runtime.cwd, stdin=self._runtime.stdin)
        try:
            if is_request(content):
                return parse_request(content)
            return capture_in(content) or content
        except NotHttp as problem:
            raise StoreError(f"{shown} cannot be read as an HTTP request: {problem}.", hint=self._kinds) from problem
        except NotARequest as problem:
            raise StoreError(f"{shown} cannot be read: {problem}.", hint=self._kinds) from problem

    def _in_store(self, name: str) -> Capture:
        try:
            return self._captured(name)
        except PortHookError as error:
            if parse_latest(name) or not self._reads_files:
                raise
            if self._takes_target and re.fullmatch(_TARGET, name):
                raise type(error)(error.message, hint=f"Pass a target with --to: `--to {name}`.") from error
            if self._is(name, Path.is_dir):
                raise StoreError(
                    f"{name} is a directory. Pass a file or a capture.", hint="Pass a file in it."
                ) from error
            error.message = f"File not found: {name}. {error.message}"
            raise

    def _captured(self, name: str) -> Capture:
        from port_hook_cli.invocations.payload import is_run_id

        if is_run_id(name):
            return self.store().of_run(name) or self.store().get(name)
        if self._purpose is CaptureUse.SEND and len(name) < LEAST_PREFIX:
            raise UsageError(
                f"{name} is too short for a capture ID.",
                hint=f"Pass at least {LEAST_PREFIX} characters of the ID. `port-hook captures` lists the IDs.",
            )
        return self.store().get(name)

    def has_no_store(self) -> bool:
        """Return whether the user passed no store and the current directory has none."""
        return self._option is None and not self.has_store_file()

    def has_store_file(self) -> bool:
        """Return whether the store's file exists."""
        from port_hook_cli.captures.database.opening import store_path

        return store_path(self._option, self._runtime.cwd).exists()

    def _is(self, name: str, kind: Callable[[Path], bool]) -> bool:
        try:
            return kind(self._runtime.cwd / name)
        except (OSError, ValueError):  # too long for a file name, or contains a null character
            return False


def open_captures(option: Path | None, runtime: Runtime, say: Say, *, show_only: bool = False) -> StoreReader:
    """Open the store for reading, and pass notes about its files to `say`. Raises StoreError.

    With `show_only`, the captures are only displayed, so the store may belong to another user.
    """
    from port_hook_cli.captures.store.reader import open_reader

    reader = open_reader(option, runtime.cwd, show_only=show_only)
    say_warnings(reader, say)
    return reader


def say_warnings(store: StoreReader, say: Say) -> None:
    """Pass the warnings about an open store's files to `say`."""
    if store.warnings:
        from port_hook_cli.text.remark import note

        for warning in store.warnings:
            say(note(printable(warning)))


@contextmanager
def open_body_filter(expression: str | None, say: Say, *, name: str) -> Iterator[JqBodyFilter | None]:
    """Yield the filter for a jq expression. Afterward, pass the number of its failures to `say`.

    Messages refer to the expression as `name`.
    """
    if expression is None:
        yield None
        return
    from port_hook_cli.captures.store.body_filter import JqBodyFilter

    with JqBodyFilter(expression) as bodies:
        yield bodies
    if bodies.failures:
        from port_hook_cli.text.remark import note

        count = f"{bodies.failures} captures" if bodies.failures > 1 else "1 capture"
        text = f"{name} failed for {count}, for example with: {brief(bodies.failure)}"
        say(note(text))


OpenStore = TypeVar("OpenStore", bound="StoreReader")


class LateStore(Generic[OpenStore]):
    """A store that `opening` opens when it is first used."""

    def __init__(self, opening: Callable[[], OpenStore]) -> None:
        self._opening = opening
        self._store: OpenStore | None = None

    @property
    def is_open(self) -> bool:
        """Whether the store was opened."""
        return self._store is not None

    def open(self) -> OpenStore:
        """Return the store, and open it on the first call. Raises StoreError."""
        if self._store is None:
            self._store = self._opening()
        return self._store

    def close(self) -> None:
        """Close the store if it was opened."""
        if self._store is not None:
            self._store.close()
