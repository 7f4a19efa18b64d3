"""Why a signature does not match: every cause with its words and its fix.

The slugs are an interface: they travel in `--json` records and are listed in docs/reference/signatures.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from port_hook_cli.errors import CREDENTIALS_IN_PORT
from port_hook_cli.invocations.models import Cause, Verdict

CAUSES: Mapping[str, str] = MappingProxyType(
    {
        "wrong-secret": "nothing matches: the secret of another organisation, or a changed body or timestamp",
        "undiagnosed": "nothing was looked for: too many requests without a good signature came at once",
        "secret-whitespace": "the secret has white space around it, on one of the two sides",
        "secret-quoted": "the secret has quotation marks around it, on one of the two sides",
        "reserialised-js": "the signature matches the body as JSON.stringify writes it",
        "reserialised-python": "the signature matches the body as Python's json.dumps writes it",
        "reserialised-python-compact": "the signature matches the body as json.dumps writes it without spaces",
        "reserialised-indented": "the signature matches the body written with indentation",
        "meaning-changed": "the body that arrived does not, or not for every reader, mean what was signed",
        "trailing-newline": "a line break at the body's end was added or removed",
        "timestamp-unit": "the timestamp is in milliseconds, or was signed in another unit than it was sent",
        "timestamp-malformed": "the timestamp is not a whole number",
        "timestamp-missing": "there is no timestamp",
        "clock-skew": "the timestamp lies outside the tolerance",
        "signature-missing": "there is no signature",
        "not-a-signature": "the signature header holds no 32 bytes in any known notation",
        "prefix-missing": "the signature does not begin with `v1,`",
        "prefix-version": "the signature begins with something like `v1,`, but not with that",
        "hex-encoded": "the signature is written in hex instead of base64",
        "base64-urlsafe": "the signature is written in the URL-safe alphabet of base64",
        "base64-padding": "the signature's base64 does not end as it should",
        "bom": "a byte order mark was added to the body or removed from it",
        "content-encoding": "the body arrived compressed and was signed before that",
        "charset": "the body arrived in another character set than UTF-8",
        "replayed": "the same signature was seen before",
        "header-doubled": "the signature or the timestamp was sent more than once",
    }
)

WRONG_SECRET = Cause(
    "wrong-secret",
    "The signature matches neither the body as it arrived nor any other form of it: it was made with another secret, "
    "or the body or the timestamp was changed on its way.",
    f"Compare the client secret with the one of the organization that sent this ({CREDENTIALS_IN_PORT}). If it is the "
    "same one, look for a proxy or middleware that rewrites the body.",
)
UNDIAGNOSED = Cause(
    "undiagnosed",
    "The signature does not match the raw bytes; too many such requests came at once to look for the reason.",
    "`port-hook verify ID` looks for it.",
)
SECRET_TRIMMED = Cause(
    "secret-whitespace",
    "The configured client secret has white space around it; without that the signature matches.",
    "Remove the white space, most often a line break at the end of the file or variable that holds the secret.",
)
SECRET_PADDED = Cause(
    "secret-whitespace",
    "The signature was made with white space after the client secret, most often a line break.",
    "Trim the secret where the request is signed.",
)
SECRET_UNQUOTED = Cause(
    "secret-quoted",
    "The configured client secret has quotation marks around it; without them the signature matches.",
    "Remove the quotation marks: they were kept from a .env file or a shell line and are no part of the secret.",
)
SECRET_IN_QUOTES = Cause(
    "secret-quoted",
    "The signature was made with quotation marks around the client secret.",
    "Remove the quotation marks from the secret where the request is signed.",
)
RESERIALISED_JS = Cause(
    "reserialised-js",
    "The signature matches the body as JSON.stringify writes it, not the bytes that arrived.",
    "Something on the way rewrote the JSON. Send the signed bytes untouched, or verify JSON.stringify(body).",
)
RESERIALISED_PYTHON = Cause(
    "reserialised-python",
    "The signature matches the body as Python's json.dumps writes it, with a space after each comma and colon.",
    "Sign the bytes that are sent: send data=body and not json=document.",
)
RESERIALISED_PYTHON_COMPACT = Cause(
    "reserialised-python-compact",
    "The signature matches the body as json.dumps(body, separators=(',', ':')) writes it. Port's execution agent signs "
    "that form and sends another, with spaces.",
    "Verify json.dumps(json.loads(body), separators=(',', ':')) when requests come from the agent, or sign the bytes "
    "that are sent.",
)
RESERIALISED_PYTHON_UNESCAPED = Cause(
    "reserialised-python-compact",
    "The signature matches the body as json.dumps(body, separators=(',', ':'), ensure_ascii=False) writes it, the form "
    "in which Port's Kafka messages are signed.",
    "Verify that form of the parsed body, or sign the bytes that are sent.",
)
MEANING_CHANGED = Cause(
    "meaning-changed",
    "The document that arrived is not the signed one: a number changed its value, as one does that is beyond double "
    "precision or range.",
    "Send such numbers as strings, or sign the bytes that are sent.",
)
KEY_DOUBLED = Cause(
    "meaning-changed",
    "An object has a key twice, of which some readers take the first value and others the last.",
    "Send each key once. If Port sent this, somebody changed the body on its way.",
)
NOT_COMPARED = Cause(
    "meaning-changed",
    "Whether the body still means what was signed was not looked at: it is too large or too deeply nested for that.",
    "Send the signed bytes untouched.",
)
NEWLINE_ADDED = Cause(
    "trailing-newline",
    "A line break at the end of the body was not signed; without it the signature matches.",
    "Send the signed bytes: curl needs --data-binary, an editor or echo adds the line break.",
)
NEWLINE_REMOVED = Cause(
    "trailing-newline",
    "The signature covers a line break at the end of the body that did not arrive.",
    "Sign without the line break: echo -n, printf, or text stripped of it.",
)
MILLISECONDS = Cause(
    "timestamp-unit",
    "The timestamp is in milliseconds; Port's documentation says seconds, and verifiers that read seconds refuse it.",
    "Send the timestamp in seconds, and sign those.",
)
TIMESTAMP_UNIT = Cause(
    "timestamp-unit",
    "The signature was made over the timestamp in another unit (seconds or milliseconds) than the header carries.",
    "Sign the exact text that is sent as x-port-timestamp.",
)
TIMESTAMP_MALFORMED = Cause(
    "timestamp-malformed",
    "x-port-timestamp is not a whole number.",
    "Send the seconds since 1970 as digits, and nothing else.",
)
TIMESTAMP_MISSING = Cause(
    "timestamp-missing",
    "There is no x-port-timestamp, or it is empty.",
    "Send the timestamp that was signed. If Port sent this, look for a proxy that drops the header.",
)
SIGNATURE_MISSING = Cause(
    "signature-missing",
    "There is no x-port-signature, or it is empty.",
    "Port signs every webhook: this came from elsewhere (`port-hook sign` makes a signature), or a proxy dropped it.",
)
NOT_A_SIGNATURE = Cause(
    "not-a-signature",
    "x-port-signature holds no 32 bytes in base64 or hex, so it cannot be a signature.",
    "Send `v1,` and the base64 of the HMAC-SHA-256 digest, 44 characters.",
)
PREFIX_MISSING = Cause(
    "prefix-missing",
    "The signature does not begin with `v1,`.",
    "Put `v1,` in front: verifiers compare what stands after the first comma.",
)
PREFIX_VERSION = Cause(
    "prefix-version",
    "The signature begins with another version, a doubled one, or another notation of `v1,`.",
    "Begin with exactly `v1,`, once.",
)
HEX_ENCODED = Cause(
    "hex-encoded",
    "The digest is written in hex.",
    "Encode the 32 bytes of the digest in base64: digest() instead of hexdigest(), .digest('base64') in Node.",
)
BASE64_URLSAFE = Cause(
    "base64-urlsafe",
    "The signature uses the URL-safe alphabet of base64, with - and _.",
    "Use the standard alphabet, with + and /: b64encode instead of urlsafe_b64encode, 'base64' and not 'base64url'.",
)
BASE64_PADDING = Cause(
    "base64-padding",
    "The signature's base64 does not end with exactly one = behind 43 characters.",
    "Keep the padding that the base64 encoder writes.",
)
BOM_ADDED = Cause(
    "bom",
    "The body begins with a byte order mark that was not signed.",
    "Send UTF-8 without a byte order mark, most often one that an editor or PowerShell put into a file.",
)
BOM_REMOVED = Cause(
    "bom",
    "The signature covers a byte order mark before the body that did not arrive.",
    "Sign UTF-8 without a byte order mark.",
)
COMPRESSED = Cause(
    "content-encoding",
    "The body arrived compressed; the signature was made before that.",
    "Verify the decompressed body, or keep the proxy from compressing requests.",
)
COMPRESSED_UNDECLARED = Cause(
    "content-encoding",
    "The body arrived compressed, which its content-encoding does not say, or not clearly; the signature was made "
    "before that.",
    "Send the content-encoding along, or keep the proxy from compressing requests.",
)
CHARSET = Cause(
    "charset",
    "The body arrived in another character set; the signature was made over its UTF-8 form.",
    "Send the body as UTF-8.",
)
CHARSET_UNDECLARED = Cause(
    "charset",
    "The body arrived in another character set than UTF-8 or the one that its content-type declares; the signature was "
    "made over its UTF-8 form.",
    "Send the body as UTF-8.",
)
REPLAYED = Cause(
    "replayed",
    "This signature was seen before: the same request was sent again.",
    "Make sure that your handler does not do the work twice.",
)
HEADER_REPEATED = Cause(
    "header-doubled",
    "The signature or the timestamp was sent more than once, with the same value; frameworks join the values with a "
    "comma and then fail to verify them.",
    "Send each header once.",
)
HEADER_AMBIGUOUS = Cause(
    "header-doubled",
    "The signature or the timestamp was sent more than once, with different values; the first ones count here, others "
    "may take the last.",
    "Send each header once, most often by letting a proxy replace it and not add to it.",
)


def reserialised_indented(style: str) -> Cause:
    """Return the cause for a body that was signed in the indented form that `style` describes."""
    return Cause(
        "reserialised-indented",
        f"The signature matches the body {style}, not the bytes that arrived.",
        "Sign the bytes that are sent: indent for reading only.",
    )


def with_conflict(verdict: Verdict, conflict: str) -> Verdict:
    """Return a verdict whose fix for a wrong secret also says `conflict`: that another place has another secret.

    It is for the user's screen only: a response to a request that fails verification names no file.
    """
    if not conflict or WRONG_SECRET.slug not in verdict.slugs:
        return verdict
    fixes = [
        replace(cause, fix=f"{cause.fix} {conflict}") if cause.slug == WRONG_SECRET.slug else cause
        for cause in verdict.causes
    ]
    return replace(verdict, causes=tuple(fixes))


def wrong_secret(untried: Iterable[str]) -> Cause:
    """Return `WRONG_SECRET` with the sentences that say which forms were left out."""
    return Cause(WRONG_SECRET.slug, " ".join((WRONG_SECRET.words, *untried)), WRONG_SECRET.fix)
