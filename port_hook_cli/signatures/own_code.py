"""Explain a verdict on a signature that the user's own code, not the sender, computed for a request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from hmac import compare_digest
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from port_hook_cli.invocations.headers import SIGNATURE_HEADER, TIMESTAMP_HEADER, Headers
from port_hook_cli.invocations.models import KAFKA_VALUE, Cause, Side, Status, Verdict
from port_hook_cli.signatures import causes
from port_hook_cli.signatures.causes import RAW_BODY
from port_hook_cli.signatures.headers import read_fields, whole_number
from port_hook_cli.signatures.signing import RAW

if TYPE_CHECKING:
    from port_hook_cli.signatures.wrong_ways import WrongWay

_AS_PORT = f"{causes.SIGNED_TEXT}."
_EXACT_BODY = "Sign the raw body, without changing it."
_MOST_BYTES = 2**16
"""Larger bodies are not compared with the ways that serialize them again, which would take half a minute per MiB."""


class Computed(NamedTuple):
    """The signature that the user's code computed for a request, and the timestamp that it used, if known."""

    signature: str
    timestamp: str | None = None


class Comparison(NamedTuple):
    """The verdict on a signature, the side whose code its causes explain, and a note on the request's own signature."""

    verdict: Verdict
    side: Side = Side.SENDER
    note: str = ""


class _Words(NamedTuple):
    """The explanation and fix of a cause for the user's own code. If a text is empty, the cause's own text applies."""

    explanation: str
    fix: str = ""


def _signed(what: str) -> _Words:
    return _Words(f"Your code signed {what}, not the raw body.", RAW_BODY)


_WORDS: Mapping[Cause, _Words] = MappingProxyType(
    {
        causes.SECRET_TRIMMED: _Words(
            "There is whitespace around port-hook's client secret. Your code's secret has none."
        ),
        causes.SECRET_PADDED: _Words(
            "Your code's secret ends with whitespace, usually a line break.",
            "Trim the secret when your code reads it.",
        ),
        causes.SECRET_UNQUOTED: _Words(
            "There are quotation marks around port-hook's client secret. Your code's secret has none."
        ),
        causes.SECRET_IN_QUOTES: _Words(
            "Your code's secret has quotation marks around it.",
            "Remove the quotation marks from your code's setting. Docker's `--env-file`, for example, doesn't remove "
            "them.",
        ),
        causes.RESERIALIZED_JS: _signed("JSON.stringify(body)"),
        causes.RESERIALIZED_PYTHON: _signed("json.dumps(body)"),
        causes.RESERIALIZED_PYTHON_COMPACT: _signed("json.dumps(body, separators=(',', ':'))"),
        causes.RESERIALIZED_PYTHON_UNESCAPED: _signed("json.dumps(body, separators=(',', ':'), ensure_ascii=False)"),
        causes.MEANING_CHANGED: _Words(
            "Your code's JSON parser changed a number, as happens beyond the precision or range of a double.", RAW_BODY
        ),
        causes.KEY_REPEATED: _Words(
            "A key appears twice in an object. Your code's JSON parser uses only one of its values.", RAW_BODY
        ),
        causes.NOT_COMPARED: _Words(
            "The body was not compared with the document that your code signed: it is too large or too deeply nested.",
            RAW_BODY,
        ),
        causes.NEWLINE_ADDED: _Words("Your code signed the body without the line break at its end.", _EXACT_BODY),
        causes.NEWLINE_REMOVED: _Words(
            "Your code signed a line break after the body, but the raw body has none.",
            "Sign the raw body: use printf or echo -n in a shell, and don't read it as lines.",
        ),
        causes.BOM_ADDED: _Words("Your code signed the body without its byte order mark.", _EXACT_BODY),
        causes.BOM_REMOVED: _Words(
            "Your code signed a byte order mark before the body, but the raw body has none.", _EXACT_BODY
        ),
        causes.COMPRESSED: _Words("Your code signed the decompressed body.", "Sign the body before decompressing it."),
        causes.COMPRESSED_UNDECLARED: _Words(
            "Your code signed the decompressed body.", "Sign the body before decompressing it."
        ),
        causes.CHARSET: _Words("Your code signed the body in UTF-8, not in the raw body's character set.", _EXACT_BODY),
        causes.CHARSET_UNDECLARED: _Words(
            "Your code signed the body in UTF-8, not in the raw body's character set.", _EXACT_BODY
        ),
        causes.TIMESTAMP_NOT_SIGNED: _Words("Your code signed the body alone."),
        causes.WITHOUT_DOT: _Words("Your code signed the timestamp and the body without the dot between them."),
        causes.TIMESTAMP_AFTER_BODY: _Words("Your code signed the body and then the timestamp."),
        causes.V0: _Words("Your code signed `v0:timestamp:body`, like Slack's examples."),
        causes.TIMESTAMP_UNIT: _Words(
            "Your code signed the timestamp in a different unit (seconds or milliseconds) from x-port-timestamp.",
            "Sign the exact text of x-port-timestamp.",
        ),
        causes.SIGNATURE_MISSING: _Words("Your code computed an empty signature.", _AS_PORT),
        causes.NOT_A_SIGNATURE: _Words(
            "Your code's signature does not contain 32 bytes in base64 or hex.",
            "Compute `v1,` and the base64 of the HMAC-SHA-256 digest, 44 characters.",
        ),
        causes.PREFIX_MISSING: _Words(
            "Your code's signature does not begin with `v1,`.",
            "Put `v1,` before the base64, or compare it with the text after the comma in x-port-signature.",
        ),
        causes.PREFIX_VERSION: _Words(
            "Your code's signature begins with another version, with `v1,` twice, or with a variant of `v1,`."
        ),
        causes.HEX_ENCODED: _Words("Your code wrote the digest in hex."),
        causes.BASE64_URLSAFE: _Words("Your code used the URL-safe alphabet of base64, with - and _."),
        causes.BASE64_PADDING: _Words("Your code's base64 is not 43 characters followed by exactly one =."),
    }
)
_WORDS_BY_SLUG: Mapping[str, _Words] = MappingProxyType(
    {
        "reserialized-indented": _signed("indented JSON"),
        "wrong-separator": _Words("Your code put a separator other than a dot between the timestamp and the body."),
        "wrong-hash": _Words("Your code's signature is as long as the digest of a hash other than SHA-256.", _AS_PORT),
        "clock-skew": _Words(
            "", "The age says nothing about your code's signature. To accept any age, use a larger tolerance."
        ),
    }
)
"""The causes whose own text depends on the request."""

_SECRET_OR_BODY = Cause(
    causes.SECRET_OR_BODY.slug,
    "Your code's signature does not match this request in any known encoding. Your code uses another secret, or signs "
    "another body or timestamp.",
    "Compare your code's secret with port-hook's. If they are the same, print the bytes that your code signs: they "
    "begin with the text of x-port-timestamp and a dot, and end with the raw body.",
)


def compare_signature(
    headers: Headers,
    computed: Computed,
    verify: Callable[[Headers], Verdict],
    ways: Iterable[WrongWay] = (),
    body: bytes = b"",
) -> Comparison:
    """Return whether the user's code computed the right signature for a request, and if not, why. Never raises.

    `verify` returns the verdict on the request with other headers. If the code computed exactly the request's own
    signature, the result is the verdict on the request. A signature that `verify` cannot explain is compared with
    `ways` over `body`, the bytes that Port signs.
    """
    own = headers.without(SIGNATURE_HEADER).plus((SIGNATURE_HEADER, computed.signature))
    sent, (signatures, timestamps) = verify(headers), read_fields(headers)
    if _is_same(computed.signature, signatures):
        note = "your code's signature equals the request's signature"
        return Comparison(*_on_own_code(sent) if _is_right(sent) else (sent, Side.SENDER), note)
    verdict = verify(own)
    if verdict.signed_form is None and computed.timestamp is not None and computed.timestamp not in timestamps[:1]:
        moved = verify(own.without(TIMESTAMP_HEADER).plus((TIMESTAMP_HEADER, computed.timestamp)))
        verdict = _with_another_timestamp(moved, verdict.age_s) if moved.signed_form is not None else verdict
    note = f"the request's own signature is {_described(sent)}"
    if verdict.signed_form is None and (way := _find_way(computed, timestamps, ways, body)) is not None:
        return Comparison(_in_way(way, verdict), Side.VERIFIER, note)
    return Comparison(*_on_own_code(verdict), note)


def _find_way(computed: Computed, timestamps: list[str], ways: Iterable[WrongWay], body: bytes) -> WrongWay | None:
    """Return the wrong way in which the user's code computed the signature, or None."""
    stamps = [stamp for stamp in (computed.timestamp, *timestamps[:1]) if stamp is not None and whole_number(stamp)]
    tried = (way for way in ways if len(body) <= _MOST_BYTES or not way.changes_body)
    pairs = ((way, stamp) for way in tried for stamp in dict.fromkeys(stamps))
    return next((way for way, stamp in pairs if _is_same(computed.signature, [way.signature(stamp, body)])), None)


def _in_way(way: WrongWay, unmatched: Verdict) -> Verdict:
    """Return the verdict on a signature that the user's code computed in a wrong way."""
    slug = "wrong-hash" if "wrong-hash" in unmatched.slugs else way.cause
    skew = (_in_own_words(cause) for cause in unmatched.causes if cause.slug == "clock-skew")
    found = (Cause(slug, f"Your code {way.sentence}.", way.fix), *skew)
    return replace(unmatched, status=Status.INVALID, causes=found)


def _on_own_code(verdict: Verdict) -> tuple[Verdict, Side]:
    """Return a verdict whose causes explain what the user's code did and how to fix that code."""
    return replace(verdict, causes=tuple(map(_in_own_words, verdict.causes))), Side.VERIFIER


def _in_own_words(cause: Cause) -> Cause:
    if cause.slug == _SECRET_OR_BODY.slug:
        return causes.secret_or_body(causes.untried_in(cause), _SECRET_OR_BODY)
    words = _WORDS.get(cause) or _WORDS_BY_SLUG.get(cause.slug) or _Words("")
    return Cause(cause.slug, words.explanation or cause.explanation, words.fix or cause.fix)


def _is_right(sent: Verdict) -> bool:
    """Return whether the signature of a request is Port's signature, regardless of its age."""
    return sent.status is Status.VALID or (sent.status is Status.STALE and sent.signed_form in {RAW, KAFKA_VALUE})


def _is_same(signature: str, signatures: list[str]) -> bool:
    one, *others = (text.strip().encode("utf-8", "surrogatepass") for text in (signature, *signatures))
    return any(compare_digest(one, other) for other in others[:1])


def _with_another_timestamp(verdict: Verdict, age_s: float | None) -> Verdict:
    """Return the verdict on a signature that matches only with the timestamp that the user's code used.

    `age_s` is the age of the request.
    """
    others = (cause for cause in verdict.causes if cause.slug != "clock-skew")
    return replace(verdict, status=Status.INVALID, causes=(causes.TIMESTAMP_DIFFERS, *others), age_s=age_s)


def _described(sent: Verdict) -> str:
    if sent.status is Status.VALID:
        return "valid, so port-hook has the right client secret"
    return f"{sent.status}: {', '.join(sent.slugs)}"
