"""Show verdicts and signatures as text for the screen, and as records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from port_hook_cli.invocations.headers import SIGNATURE_HEADER, TIMESTAMP_HEADER
from port_hook_cli.invocations.models import KAFKA_VALUE, Side, Status, Verdict
from port_hook_cli.invocations.view import MAX_EXPLANATION, status_color, verdict_fields
from port_hook_cli.text.durations import format_duration
from port_hook_cli.text.safe import brief
from port_hook_cli.text.styled import Styled

if TYPE_CHECKING:
    from port_hook_cli.invocations.snippets import SignedRequest

VERDICT = "port-hook/verdict/1"


SIGNATURE = "port-hook/signature/1"
STATUS_MEANINGS = {
    Status.VALID: "the signature matches exactly these bytes",
    Status.REENCODED: "the signature matches the same JSON written differently, not these bytes",
    Status.STALE: "the signature matches, but its timestamp is outside the tolerance",
    Status.INVALID: "the signature does not match",
    Status.MISSING: "the signature or the timestamp is missing",
    Status.MALFORMED: "the signature or the timestamp cannot be read",
    Status.UNCHECKED: "the signature was not verified",
}
_OWN_MEANINGS = {
    Status.VALID: "your code's signature is correct",
    Status.REENCODED: "your code signed the same JSON written differently, not the raw body",
    Status.STALE: "your code's signature is correct, but the timestamp is outside the tolerance",
    Status.INVALID: "your code's signature does not match",
    Status.MISSING: "the signature or the timestamp is missing",
    Status.MALFORMED: "your code's signature or the timestamp cannot be read",
    Status.UNCHECKED: "the signature was not verified",
}
_VALID_MESSAGE = "the signature matches this message, without its two signature headers"

_FIX = "  fix: "


def verdict_lines(verdict: Verdict, side: Side = Side.SENDER) -> list[str]:
    """Return the lines of a verdict: the status, the signed form, the age, and each cause with its fix."""
    lines = [f"{verdict.status}: {meaning(verdict, side)}"]
    if verdict.signed_form is not None:
        lines.append(f"signed form: {brief(verdict.signed_form)}")
    if verdict.age_s is not None:
        lines.append(f"age: {format_age(verdict.age_s)}")
    for cause in verdict.causes:
        lines.append(f"{brief(cause.slug)}: {brief(cause.explanation, MAX_EXPLANATION)}")
        if cause.fix:
            lines.append(f"{_FIX}{brief(cause.fix, MAX_EXPLANATION)}")
    return lines


def meaning(verdict: Verdict, side: Side = Side.SENDER) -> str:
    """Return a clause that explains the status."""
    if side is Side.VERIFIER:
        return _OWN_MEANINGS[verdict.status]
    is_message = verdict.status is Status.VALID and verdict.signed_form == KAFKA_VALUE
    return _VALID_MESSAGE if is_message else STATUS_MEANINGS[verdict.status]


def verdict_view(verdict: Verdict, side: Side = Side.SENDER) -> Iterator[Styled]:
    """Yield the lines of `verdict_lines`, with the status and the fixes in color."""
    first, *others = verdict_lines(verdict, side)
    status = str(verdict.status)
    yield Styled.assemble((status, f"bold {status_color(verdict.status)}"), first.removeprefix(status))
    for line in others:
        yield Styled(line, "cyan" if line.startswith(_FIX) else "")


def format_age(age_s: float) -> str:
    """Return an age in seconds as text, such as `5 min 3 s`, or `5 min 3 s in the future` for a negative age."""
    duration = format_duration(abs(age_s))
    return f"{duration} in the future" if age_s < 0 else duration


def verdict_record(verdict: Verdict, side: Side = Side.SENDER) -> dict[str, Any]:
    """Return the record that `verify --json` prints for a verdict, whose causes are about the code of `side`."""
    return {
        "schema": VERDICT,
        **verdict_fields(verdict),
        "age_s": None if verdict.age_s is None else round(verdict.age_s, 3),
        "hint": verdict.hint,
        "details": [{"slug": cause.slug, "words": cause.explanation, "fix": cause.fix} for cause in verdict.causes],
        "side": str(side),
    }


def signature_record(request: SignedRequest, *, form: str) -> dict[str, Any]:
    """Return the record that `sign --json` prints for a signed request.

    `body` is None if the bytes are not UTF-8, and otherwise `body_base64` is None.
    """
    from base64 import b64encode  # `show` and `captures` need only the texts

    headers = dict(request.headers)
    try:
        body, encoded = request.body.decode("utf-8"), None
    except UnicodeDecodeError:
        body, encoded = None, b64encode(request.body).decode("ascii")
    return {
        "schema": SIGNATURE,
        "signature": headers[SIGNATURE_HEADER],
        "timestamp": headers[TIMESTAMP_HEADER],
        "form": form,
        "body": body,
        "body_base64": encoded,
        "method": request.method,
        "url": request.url,
        "headers": headers,
    }
