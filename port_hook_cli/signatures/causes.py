"""The causes of a signature that does not match, each with its explanation and its fix.

The slugs are public: `--json` records contain them, and docs/reference/signatures.md lists them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from port_hook_cli.errors import CREDENTIALS_IN_PORT
from port_hook_cli.invocations.models import Cause, Verdict

CAUSES: Mapping[str, str] = MappingProxyType(
    {
        "wrong-secret": "the signature matches another secret that port-hook knows",
        "body-changed": "an earlier request had the same signature with another body",
        "secret-or-body": "nothing matches: the secret is another organization's, or the body or timestamp was changed",
        "wrong-way": "your code signs in one of the wrong ways that `check` tries",
        "undiagnosed": "the cause was not searched for: too many requests with a bad signature arrived concurrently",
        "secret-whitespace": "there is whitespace around the secret, where it signs or where it verifies",
        "secret-quoted": "there are quotation marks around the secret, where it signs or where it verifies",
        "reserialized-js": "the signature matches `JSON.stringify(body)`",
        "reserialized-python": "the signature matches `json.dumps(body)` in Python",
        "reserialized-python-compact": "the signature matches `json.dumps(body)` without spaces",
        "reserialized-indented": "the signature matches the body written with indentation",
        "meaning-changed": "the raw body is not the signed document, at least for some parsers",
        "trailing-newline": "a line break at the end of the body was added or removed",
        "timestamp-not-signed": "the signature covers the body alone, without the timestamp",
        "without-dot": "the signature covers the timestamp and the body without the dot between them",
        "wrong-separator": "the signature covers a separator other than a dot between the timestamp and the body",
        "timestamp-after-body": "the signature covers the timestamp after the body instead of before it",
        "v0": "the signature covers `v0:timestamp:body`, like Slack's",
        "timestamp-unit": "the timestamp is in milliseconds, or it was signed in a different unit than it was sent",
        "timestamp-differs": "the signature covers a timestamp that differs from the request's",
        "timestamp-malformed": "the timestamp is not a whole number",
        "timestamp-missing": "there is no timestamp",
        "clock-skew": "the timestamp is outside the tolerance",
        "signature-missing": "there is no signature",
        "not-a-signature": "the signature header does not contain 32 bytes in a known notation",
        "wrong-hash": "the signature has the length of a SHA-1, SHA-384 or SHA-512 digest",
        "prefix-missing": "the signature does not begin with `v1,`",
        "prefix-version": "the signature begins with something similar to `v1,`",
        "hex-encoded": "the signature is written in hex instead of base64",
        "base64-urlsafe": "the signature is written in the URL-safe alphabet of base64",
        "base64-padding": "the padding of the signature's base64 is missing or incorrect",
        "bom": "a byte order mark was added to the body or removed from it",
        "content-encoding": "the body was compressed after it was signed",
        "charset": "the body arrived in a character set other than UTF-8",
        "replayed": "the same signature was seen before",
        "header-doubled": "the signature or the timestamp was sent more than once",
    }
)

SIGNED_TEXT = "Sign timestamp + '.' + raw body with HMAC-SHA-256"

RAW_BODY = (
    "Verify the raw body before you parse it: `await request.body()` in FastAPI, `request.get_data()` in Flask, "
    "`self.rfile.read(length)` in http.server, `Buffer.concat(chunks)` in Node, "
    "`express.raw({type: 'application/json'})` in Express."
)
"""The fix for code that serializes the parsed body before it verifies the signature."""

WRONG_WAY = "wrong-way"
"""The slug of the cause for user's code that signs in one of the ways in `wrong_ways`."""

WRONG_SECRET = Cause(
    "wrong-secret",
    "The signature was made with another client secret that port-hook knows.",
    f"Use the client secret of the organization that sent this ({CREDENTIALS_IN_PORT}).",
)
BODY_CHANGED = Cause(
    "body-changed",
    "An earlier request had this signature with another body, so this body was changed after it was signed.",
    "The client secret is correct. Look for a proxy or middleware that rewrites the body. To edit a capture, use "
    "`port-hook replay --edit`.",
)
SECRET_OR_BODY = Cause(
    "secret-or-body",
    "The signature does not match this body in any known encoding. It was made with another secret, or the body or "
    "timestamp changed in transit.",
    f"Use the sending organization's client secret ({CREDENTIALS_IN_PORT}), not a service account's. Otherwise, look "
    "for a proxy that rewrites the body.",
)
_ABOUT_SECRETS = frozenset({WRONG_SECRET.slug, SECRET_OR_BODY.slug})
_OF_OTHERS = frozenset({WRONG_SECRET.slug, BODY_CHANGED.slug, "timestamp-differs"})
UNDIAGNOSED = Cause(
    "undiagnosed",
    "The signature does not match the raw body. Too many such requests arrived concurrently to search for the cause.",
    "Find the cause with `port-hook verify ID`.",
)
SECRET_TRIMMED = Cause(
    "secret-whitespace",
    "There is whitespace around the configured client secret. Without it, the signature matches.",
    "Remove the whitespace. Usually it is a line break at the end of the file or variable with the secret.",
)
SECRET_PADDED = Cause(
    "secret-whitespace",
    "The signature was made with whitespace after the client secret, usually a line break.",
    "Trim the secret where the request is signed.",
)
SECRET_UNQUOTED = Cause(
    "secret-quoted",
    "There are quotation marks around the configured client secret. Without them, the signature matches.",
    "Remove the quotation marks: they come from a .env file or a shell command and are not part of the secret.",
)
SECRET_IN_QUOTES = Cause(
    "secret-quoted",
    "The signature was made with quotation marks around the client secret.",
    "Remove the quotation marks from the secret where the request is signed.",
)
RESERIALIZED_JS = Cause(
    "reserialized-js",
    "The signature matches JSON.stringify(body), not the raw body.",
    "The JSON was rewritten in transit. Send the signed bytes unchanged, or verify JSON.stringify(body).",
)
RESERIALIZED_PYTHON = Cause(
    "reserialized-python",
    "The signature matches Python's json.dumps(body), with a space after each comma and colon, not the raw body.",
    "Sign exactly what you send: use data=body instead of json=document.",
)
RESERIALIZED_PYTHON_COMPACT = Cause(
    "reserialized-python-compact",
    "The signature matches json.dumps(body, separators=(',', ':')), not the raw body. Port's execution agent signs "
    "that form, but sends JSON with spaces.",
    "If requests come from the agent, verify json.dumps(json.loads(body), separators=(',', ':')). Otherwise sign "
    "exactly what you send.",
)
RESERIALIZED_PYTHON_UNESCAPED = Cause(
    "reserialized-python-compact",
    "The signature matches json.dumps(body, separators=(',', ':'), ensure_ascii=False), not the raw body. Port signs "
    "its Kafka messages in that form.",
    "Verify that form of the parsed body, or sign exactly what you send.",
)
MEANING_CHANGED = Cause(
    "meaning-changed",
    "The raw body is not the signed document: the value of a number changed, as happens beyond the "
    "precision or range of a double.",
    "Send such numbers as strings, or sign exactly what you send.",
)
KEY_REPEATED = Cause(
    "meaning-changed",
    "A key appears twice in an object. Some parsers use its first value, others its last.",
    "Send each key once. If Port sent this, the body changed in transit.",
)
NOT_COMPARED = Cause(
    "meaning-changed",
    "The body was not compared with the signed document: it is too large or too deeply nested.",
    "Send the signed bytes unchanged.",
)
NEWLINE_ADDED = Cause(
    "trailing-newline",
    "A line break at the end of the body was not signed. Without it, the signature matches.",
    "Send the signed bytes: use curl's --data-binary, and remove a line break that an editor or echo added.",
)
NEWLINE_REMOVED = Cause(
    "trailing-newline",
    "The signature covers a line break at the end of the body, but the raw body has none.",
    "Sign the body without the line break, for example with printf or echo -n.",
)
MILLISECONDS = Cause(
    "timestamp-unit",
    "The timestamp is in milliseconds. Port documents seconds, and code that expects seconds rejects it.",
    "Sign and send the timestamp in seconds.",
)
MICROSECONDS, NANOSECONDS = (
    Cause(
        "timestamp-unit",
        f"The timestamp looks like {unit}, not seconds.",
        "Sign and send the timestamp in seconds.",
    )
    for unit in ("microseconds", "nanoseconds")
)
TIMESTAMP_NOT_SIGNED = Cause(
    "timestamp-not-signed",
    "The signature covers the body alone. Port signs the timestamp, a dot and the body.",
    f"{SIGNED_TEXT}. The timestamp is the text of x-port-timestamp.",
)
WITHOUT_DOT = Cause(
    "without-dot",
    "The signature covers the timestamp and the body without the dot between them.",
    f"{SIGNED_TEXT}.",
)
TIMESTAMP_AFTER_BODY = Cause(
    "timestamp-after-body",
    "The signature covers the body and then the timestamp. Port signs the timestamp first.",
    f"{SIGNED_TEXT}.",
)
V0 = Cause(
    "v0",
    "The signature covers `v0:timestamp:body`, like Slack's.",
    f"{SIGNED_TEXT}.",
)
TIMESTAMP_DIFFERS = Cause(
    "timestamp-differs",
    "Your code signed a timestamp that differs from x-port-timestamp.",
    "Sign the text of x-port-timestamp, not the current time.",
)
TIMESTAMP_CHANGED = Cause(
    "timestamp-differs",
    "An earlier request had this signature with another timestamp, so the timestamp was changed after it was signed.",
    "The client secret is correct. Look for a proxy or middleware that rewrites x-port-timestamp.",
)
TIMESTAMP_UNIT = Cause(
    "timestamp-unit",
    "The signature covers the timestamp in a different unit (seconds or milliseconds) from the header.",
    "Sign the exact text that you send as x-port-timestamp.",
)
TIMESTAMP_MALFORMED = Cause(
    "timestamp-malformed",
    "x-port-timestamp is not a whole number.",
    "Send the seconds since 1970 as digits only.",
)
TIMESTAMP_MISSING = Cause(
    "timestamp-missing",
    "The x-port-timestamp header is missing or empty.",
    "Send the signed timestamp. If Port sent this, look for a proxy that removes the header.",
)
SIGNATURE_MISSING = Cause(
    "signature-missing",
    "The x-port-signature header is missing or empty. Port does not document whether it signs the requests of nodes.",
    "Sign your own requests with `port-hook sign`. If Port sent it, look for a proxy that removes the header. To "
    "accept it, pass `--verify warn`.",
)
NOT_A_SIGNATURE = Cause(
    "not-a-signature",
    "The x-port-signature header does not contain 32 bytes in base64 or hex, so it is not a signature.",
    "Send `v1,` and the base64 of the HMAC-SHA-256 digest, 44 characters.",
)
PREFIX_MISSING = Cause(
    "prefix-missing",
    "The signature does not begin with `v1,`.",
    "Put `v1,` before the base64: code that verifies compares the text after the first comma.",
)
PREFIX_VERSION = Cause(
    "prefix-version",
    "The signature begins with another version, with `v1,` twice, or with a variant of `v1,`.",
    "Begin the signature with exactly one `v1,`.",
)
HEX_ENCODED = Cause(
    "hex-encoded",
    "The digest is written in hex.",
    "Encode the 32 bytes of the digest in base64: use digest() instead of hexdigest(), or in Node .digest('base64').",
)
BASE64_URLSAFE = Cause(
    "base64-urlsafe",
    "The signature uses the URL-safe alphabet of base64, with - and _.",
    "Use the standard alphabet, with + and /: b64encode instead of urlsafe_b64encode, or 'base64' instead of "
    "'base64url'.",
)
BASE64_PADDING = Cause(
    "base64-padding",
    "The signature's base64 is not 43 characters followed by exactly one =.",
    "Keep the padding that the base64 encoder writes.",
)
BOM_ADDED = Cause(
    "bom",
    "The body begins with an unsigned byte order mark.",
    "Send UTF-8 without a byte order mark. Editors and PowerShell may write one into files.",
)
BOM_REMOVED = Cause(
    "bom",
    "The signature covers a byte order mark before the body, but the raw body has none.",
    "Sign UTF-8 without a byte order mark.",
)
COMPRESSED = Cause(
    "content-encoding",
    "The body was compressed after it was signed.",
    "Verify the decompressed body, or stop the proxy from compressing requests.",
)
COMPRESSED_UNDECLARED = Cause(
    "content-encoding",
    "The body was compressed after it was signed, and its content-encoding is missing, incorrect or ambiguous.",
    "Send a content-encoding header, or stop the proxy from compressing requests.",
)
CHARSET = Cause(
    "charset",
    "The body arrived in another character set, but the signature covers its UTF-8 form.",
    "Send the body as UTF-8.",
)
CHARSET_UNDECLARED = Cause(
    "charset",
    "The body arrived neither in UTF-8 nor in the character set that its content-type declares. The "
    "signature covers its UTF-8 form.",
    "Send the body as UTF-8.",
)
REPLAYED = Cause(
    "replayed",
    "This signature was seen before: the same request was sent again.",
    "Make sure that your handler doesn't do the same work twice.",
)
HEADER_REPEATED = Cause(
    "header-doubled",
    "The signature or the timestamp was sent more than once, with the same value. Frameworks join the values with a "
    "comma, and then the signature does not match.",
    "Send each header once.",
)
HEADER_AMBIGUOUS = Cause(
    "header-doubled",
    "The signature or the timestamp was sent more than once, with different values. port-hook uses the first value, "
    "but other programs may use the last.",
    "Send each header once. If a proxy sets it, let the proxy replace the header instead of adding one.",
)


def reserialized_indented(style: str) -> Cause:
    """Return the cause for a body signed in the indented form that `style` describes."""
    return Cause(
        "reserialized-indented",
        f"The signature matches the body {style}, not the raw body.",
        "Sign exactly what you send, and indent JSON only to display it.",
    )


def wrong_separator(name: str) -> Cause:
    """Return the cause for a signature with the separator `name` instead of a dot."""
    return Cause(
        "wrong-separator",
        f"The signature covers {name} between the timestamp and the body instead of a dot.",
        f"{SIGNED_TEXT}.",
    )


def wrong_hash(size: int, name: str) -> Cause:
    """Return the cause for a signature of `size` bytes, which is the digest length of the hash `name`."""
    return Cause(
        "wrong-hash",
        f"The signature has {size} bytes, the length of a {name} digest. Port uses SHA-256, whose digest has 32 bytes.",
        f"{SIGNED_TEXT}, and send `v1,` and the base64 of the digest.",
    )


def with_conflict(verdict: Verdict, conflict: str) -> Verdict:
    """Return the verdict with `conflict`, a sentence about another secret, before the fix for a secret.

    Only the user's screen shows the result, because a response to an invalid request must not contain a file name.
    """
    if not conflict or _ABOUT_SECRETS.isdisjoint(verdict.slugs):
        return verdict
    fixes = [
        cause._replace(fix=f"{conflict} {cause.fix}") if cause.slug in _ABOUT_SECRETS else cause
        for cause in verdict.causes
    ]
    return replace(verdict, causes=tuple(fixes))


def of_one_request(verdict: Verdict) -> Verdict:
    """Return the verdict without what only another request or another secret proves.

    An older port-hook recorded `wrong-secret` for every signature that matches nothing.
    """
    if _OF_OTHERS.isdisjoint(verdict.slugs):
        return verdict
    found = (SECRET_OR_BODY if cause.slug in _OF_OTHERS else cause for cause in verdict.causes)
    return replace(verdict, signed_form=None, causes=tuple(found))


def of_unknown_secret(verdict: Verdict) -> Verdict:
    """Return the verdict if another secret may have verified the earlier request with the same signature.

    Then the earlier request does not prove that the body was changed.
    """
    found = (SECRET_OR_BODY if cause == BODY_CHANGED else cause for cause in verdict.causes)
    return replace(verdict, causes=tuple(found))


def secret_or_body(untried: Iterable[str], words: Cause = SECRET_OR_BODY) -> Cause:
    """Return the cause `words`, followed by the sentences in `untried` about what was not tried."""
    return words._replace(explanation=" ".join((words.explanation, *untried)))


def untried_in(cause: Cause) -> tuple[str, ...]:
    """Return the sentences about what was not tried, which `secret_or_body` added to the end of a cause."""
    untried = cause.explanation.removeprefix(SECRET_OR_BODY.explanation).strip()
    return (untried,) if untried else ()
