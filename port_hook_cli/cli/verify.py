"""The command `port-hook verify`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from math import isfinite
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from port_hook_cli.captures.documents.request_file import SavedRequest, explain, from_capture
from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import argument, command, option, option_group, short_option
from port_hook_cli.errors import MissingCredentialsError, StoreError, UsageError
from port_hook_cli.files.settings_file import PROJECT_FILE
from port_hook_cli.invocations.headers import SIGNATURE_HEADER, TIMESTAMP_HEADER, Headers
from port_hook_cli.invocations.models import Capture, Status
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import SigningKeys
from port_hook_cli.signatures.verification import DEFAULT_TOLERANCE_S
from port_hook_cli.signatures.view import verdict_record, verdict_view
from port_hook_cli.terminal.console import Output, emit, sayer, tell
from port_hook_cli.text.safe import input_name, printable
from port_hook_cli.text.secret import Secret

if TYPE_CHECKING:
    from port_hook_cli.port_api.settings import Settings
    from port_hook_cli.signatures.own_code import Computed

_FORMS = "Pass a capture (an ID, `last` or a file), a raw HTTP request, or --body FILE --signature S --timestamp T."
_THROWAWAY = (
    "verified with the throwaway secret in the capture, not with a client secret. Anyone can sign with that secret, so "
    "the verdict does not say who sent the request"
)


@option_group()
class WrittenRequest:
    """The options for a request, or for the signature that the user's code computed for a capture."""

    body: Annotated[
        str | None,
        short_option("--body", help="A file with the raw body, or - for stdin.", metavar="FILE|-", stdin="the body"),
    ] = None
    signature: Annotated[
        str | None,
        short_option(
            "--signature",
            help="The x-port-signature header's value. With a request: the signature that your code computed.",
            metavar="S",
            may_be_empty=True,
        ),
    ] = None
    timestamp: Annotated[
        str | None,
        short_option(
            "--timestamp",
            help="The x-port-timestamp header's value. With a request: the timestamp that your code signed.",
            metavar="T",
            may_be_empty=True,
        ),
    ] = None

    def require_one_form(self, request: str | None) -> None:
        """Raise UsageError unless there is either a request, or all three parts of a request."""
        if request is not None and self.body is not None:
            raise UsageError("Use either a request or --body, not both.", hint=_FORMS)
        if request is not None and self.timestamp is not None and self.signature is None:
            raise UsageError("With a request, --timestamp needs --signature.", hint=_FORMS)
        if request is None and self.body is None:
            raise UsageError("The request to verify is missing.", hint=_FORMS)
        if request is None and None in (self.body, self.signature, self.timestamp):
            raise UsageError("--body, --signature and --timestamp must be used together.", hint=_FORMS)

    def read(self, runtime: Runtime) -> SavedRequest | None:
        """Return the request of the options, or None without --body."""
        if self.body is None:
            return None
        from port_hook_cli.files.user_files import read_input  # not needed for a capture in the store

        body = read_input(self.body, cwd=runtime.cwd, stdin=runtime.stdin)
        fields = ((SIGNATURE_HEADER, self.signature or ""), (TIMESTAMP_HEADER, self.timestamp or ""))
        return SavedRequest(headers=Headers(tuple((name, _on_the_wire(value)) for name, value in fields)), body=body)

    def computed(self) -> Computed | None:
        """Return the signature that the user's code computed, or None."""
        if self.body is not None or self.signature is None:
            return None
        from port_hook_cli.signatures.own_code import Computed  # not needed to explain a captured signature

        return Computed(self.signature, self.timestamp)


@command
def verify(
    ctx: typer.Context,
    *,
    request: Annotated[
        str | None,
        argument(
            help="A capture ID, `last`, `last-replay`, a run ID, a capture file, or a file with a raw HTTP "
            "request; - for stdin.",
            metavar="[CAPTURE|FILE|-]",
            stdin="the request",
            completes="captures_and_files",
        ),
    ] = None,
    written: WrittenRequest,
    tolerance: options.Tolerance = DEFAULT_TOLERANCE_S,
    now: Annotated[
        float | None, option("--now", help="Check the age at this time: seconds since 1970.", metavar="N")
    ] = None,
    redacted: Annotated[
        bool,
        option(
            "--redacted",
            help="Verify a capture from `export --redact` with its throwaway secret. Anyone can sign with that secret.",
            excludes=("--secret-file", "--org"),
        ),
    ] = False,
    secret_file: options.SecretFile = None,
    org: options.Org = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> ExitCode:
    """Explain why a signature is invalid and how to fix it.

    With a request and --signature, explains how your own code computed that signature. Exits with code 0 if the
    signature is valid, and with 3 otherwise.
    """
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.port_api.settings import ONLY_THE_SECRET, known_secrets

    runtime: Runtime = ctx.obj
    written.require_one_form(request)
    saved = written.read(runtime) or _saved(request or "", store, runtime)
    computed = written.computed()
    clock = _clock(saved, now, runtime)
    if redacted:
        keys, conflict, place = SigningKeys(_throwaway_secret(saved)), "", [_THROWAWAY]
    else:
        # Code may use the client ID as the secret by mistake.
        needs = ONLY_THE_SECRET if computed is None else ("client_id", "client_secret")
        settings = PortAccess(runtime, sayer(runtime), org=org, secret_file=secret_file, needs=needs).settings
        keys, conflict = _own_keys(settings, saved, request or "")
        # For a secret from the project's file, the place has been reported already.
        place = [] if settings.secret_place == PROJECT_FILE else [f"client secret from {settings.secret_place}"]
    known = () if redacted else known_secrets(runtime)
    explained = explain(
        saved, keys, now=clock, tolerance_s=tolerance, conflict=conflict, computed=computed, known=known
    )
    verdict = explained.verdict
    if as_json:
        emit(verdict_record(verdict, explained.side), runtime.stdout)
    else:
        output = Output(runtime.stdout, runtime.environ)
        output.print(*output.wrap(verdict_view(verdict, explained.side)))
    for note in (*saved.remarks, *place, *explained.notes):
        tell(f"note: {printable(note)}", runtime)
    return ExitCode.OK if verdict.status is Status.VALID else ExitCode.NOT_VALID


def _own_keys(settings: Settings, saved: SavedRequest, name: str) -> tuple[SigningKeys, str]:
    """Return the user's keys, and a sentence before the fix for a wrong secret. Raises MissingCredentialsError."""
    if saved.throwaway_secret is None:
        return settings.signing_keys(), settings.conflict
    advice = f"No client secret matches a redacted capture. Run `port-hook verify {quote(name)} --redacted`."
    try:
        return settings.signing_keys(), advice
    except MissingCredentialsError as error:
        error.hint = advice
        raise


def _throwaway_secret(saved: SavedRequest) -> Secret:
    if saved.throwaway_secret is None:
        raise UsageError("--redacted needs a capture that `export --redact` wrote.", hint="Leave out --redacted.")
    return saved.throwaway_secret


def _on_the_wire(value: str) -> str:
    return value.encode("utf-8", "surrogateescape").decode("latin-1")


def _saved(name: str, store: Path | None, runtime: Runtime) -> SavedRequest:
    from port_hook_cli.captures.store.finder import CaptureUse, Finder  # --body needs no database

    with closing(Finder(store, runtime, CaptureUse.CHECK, sayer(runtime), kinds=_FORMS)) as finder:
        found = finder.find(name)
        content = found.content
        if isinstance(content, Capture):
            return from_capture(content, finder.earlier(found))
    if not isinstance(content, bytes):
        assert not isinstance(content, Mapping)
        return SavedRequest(headers=content.headers, body=content.body, remarks=content.remarks)
    from port_hook_cli.captures.documents.request_file import NotARequest, read_request  # a capture needs no parser

    try:
        return read_request(content)
    except NotARequest as error:
        raise StoreError(f"{input_name(name)} does not contain a request: {error}.", hint=_FORMS) from error


def _clock(saved: SavedRequest, now: float | None, runtime: Runtime) -> float:
    if now is not None and not isfinite(now):
        raise UsageError(f"--now: {now} is not a point in time.", hint="Pass seconds since 1970.")
    if now is not None:
        return now
    return runtime.now() if saved.compared_at is None else saved.compared_at
