"""`port-hook export --redact`: captures without names, IDs and other values."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace

from port_hook_cli.captures.documents.request_file import explain, from_capture
from port_hook_cli.captures.exports.formats import Exported
from port_hook_cli.captures.redaction.captures import redact
from port_hook_cli.captures.redaction.pseudonyms import Pseudonyms
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.invocations.handlers import DEFAULT_HANDLER, handler_of
from port_hook_cli.invocations.models import Capture, Status, Verdict
from port_hook_cli.invocations.targets import target_url
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.causes import REPLAYED, UNDIAGNOSED
from port_hook_cli.signatures.signing import SigningKeys
from port_hook_cli.signatures.verification import DEFAULT_TOLERANCE_S
from port_hook_cli.terminal.console import tell
from port_hook_cli.text.safe import brief


def redact_all(
    captures: Sequence[Exported], to: str | None, settings: Settings, runtime: Runtime, *, as_capture: bool
) -> tuple[list[Exported], ExitCode]:
    """Return the redacted captures with common pseudonyms, and FAILED if a verdict could not be reproduced.

    Their URLs are at `to`. If `to` is None, the URLs are at the handler on this machine that received the captures, or
    at the default handler.
    """
    pseudonyms, redacted, code = Pseudonyms(), [], ExitCode.OK
    for one in captures:
        original = _received(one.capture, runtime)
        wanted = _verdict(original, settings, runtime)
        result = redact(original, wanted, pseudonyms, new_secret=lambda: f"throwaway-{secrets.token_hex(24)}")
        capture = result.capture
        if not result.is_same:
            code = ExitCode.FAILED
            tell(
                f"warning: the verdict could not be reproduced: it is {_described(result.verdict)} instead of "
                f"{_described(wanted)}",
                runtime,
            )
        if REPLAYED.slug in wanted.slugs:
            tell("note: `verify` does not report `replayed`, which depends on an earlier request", runtime)
        secret = capture.throwaway_secret
        if secret is not None and not as_capture:
            tell(f"note: signed with the throwaway secret {secret.reveal()!r}", runtime)
        target = to or handler_of(capture) or DEFAULT_HANDLER
        redacted.append(Exported(capture, target_url(target, capture.invocation.target)))
    tell("note: read the export before you share it. Times, lengths and numbers of up to 7 digits stay", runtime)
    return redacted, code


def _received(capture: Capture, runtime: Runtime) -> Capture:
    """Return the capture with a time of receipt. A raw HTTP request in a file does not have such a time."""
    request = capture.invocation
    return capture if request.received_at else replace(capture, invocation=replace(request, received_at=runtime.now()))


def _verdict(capture: Capture, settings: Settings, runtime: Runtime) -> Verdict:
    """Return the verdict of `verify` on a capture, or the recorded verdict if the client secret is unknown."""
    recorded = capture.verdict
    if settings.client_secret is None and recorded.status is not Status.UNCHECKED:
        tell("note: without a client secret, the capture's recorded verdict is reproduced", runtime)
        return recorded
    # A redacted capture is not signed with the client secret.
    saved, keys = from_capture(capture), SigningKeys(capture.throwaway_secret or settings.require_secret())
    verdict = explain(saved, keys, now=capture.invocation.compared_at, tolerance_s=DEFAULT_TOLERANCE_S).verdict
    is_known = recorded.status is not Status.UNCHECKED and UNDIAGNOSED.slug not in recorded.slugs
    if verdict.signed_form is None and recorded.signed_form is not None and is_known:
        tell("note: the client secret does not match, so the capture's recorded verdict is reproduced", runtime)
        return recorded
    return verdict


def _described(verdict: Verdict) -> str:
    return f"{verdict.status} ({brief(', '.join(verdict.slugs))})" if verdict.slugs else str(verdict.status)
