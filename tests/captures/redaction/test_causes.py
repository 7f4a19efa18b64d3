"""A redacted capture has the status and the causes of the original, for every cause that the diagnosis has."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, NamedTuple

from hypothesis import assume, given
from hypothesis import strategies as st

from port_hook_cli.captures.redaction.captures import Redacted, redact
from port_hook_cli.captures.redaction.pseudonyms import Pseudonyms
from port_hook_cli.invocations.headers import SIGNATURE_HEADER, TIMESTAMP_HEADER, Headers
from port_hook_cli.invocations.models import Capture, Status, Verdict
from port_hook_cli.signatures.budget import Budget
from port_hook_cli.signatures.causes import CAUSES
from port_hook_cli.signatures.diagnosis import Key
from port_hook_cli.signatures.forms import byte_forms, json_forms, unwrap
from port_hook_cli.signatures.signing import digest, encoded, message_digest, sign
from port_hook_cli.signatures.variants import (
    FREQUENT_LAYOUTS,
    PORTS_LAYOUT,
    RARE_LAYOUTS,
    secret_variants,
    timestamp_variants,
)
from port_hook_cli.signatures.verification import verify_signature
from port_hook_cli.text.secret import Secret
from tests.factories import NOW, SECRET, a_body, a_capture, a_document, an_invocation
from tests.javascript.json_texts import JSON_TEXTS

KEY = SECRET.reveal()
STAMP = str(int(NOW))
SPACED = json.dumps(a_document()).encode()
LITERAL = json.dumps(a_document(), ensure_ascii=False).encode()
ESCAPED = json.dumps(a_document(), separators=(",", ":")).encode()
NUMBERS = b'{"id": 9007199254740993, "name": "Alice Example", "rate": 1e-7}'


LONG = (b"word" * 250 + b" ") * 1_250


class Request(NamedTuple):
    """A request with a mistake, and the client secret that verifies it."""

    headers: Headers
    body: bytes
    secret: Secret = SECRET

    def verdict(self) -> Verdict:
        return verify_signature(self.headers, self.body, self.secret, now=NOW)


def a_request(
    body: bytes = b"",
    signature: str = "",
    stamp: str = STAMP,
    *more: tuple[str, str],
    signs: bytes | None = None,
    secret: str = KEY,
    configured: str = KEY,
) -> Request:
    body = body or a_body()
    signature = signature or sign(body if signs is None else signs, Secret(secret), stamp)
    return Request(Headers(((SIGNATURE_HEADER, signature), (TIMESTAMP_HEADER, stamp), *more)), body, Secret(configured))


def around(before: str, after: str = "", body: bytes = b"") -> str:
    raw = message_digest(encoded(KEY), encoded(before), body or a_body(), encoded(after))
    return f"v1,{base64.b64encode(raw).decode()}"


RAW = digest(KEY, STAMP, a_body())
BASE64 = base64.b64encode(RAW).decode()
URL_SAFE_BODY = next(
    body
    for n in range(1_000)
    if set("-_") & set(base64.urlsafe_b64encode(digest(KEY, STAMP, body := b"%d" % n)).decode())
)
TWICE = ((SIGNATURE_HEADER, f"v1,{BASE64}"), (TIMESTAMP_HEADER, STAMP))
REQUESTS: dict[str, Request] = {
    "valid": a_request(),
    "secret-or-body": a_request(secret="another-secret-of-the-organization"),
    "secret-whitespace, configured": a_request(configured=f"{KEY}\n"),
    "secret-whitespace, signed": a_request(secret=f"{KEY}\r\n"),
    "secret-quoted, configured": a_request(configured=f"'{KEY}'"),
    "secret-quoted and secret-whitespace": a_request(configured=f'"{KEY} "'),
    "reserialized-js": a_request(LITERAL, signs=a_body()),
    "reserialized-js, numbers": a_request(
        b'{"b": 1.0, "20000000": 1e21, "10000000": 0.000001, "a": 12345.50}',
        signs=b'{"10000000":0.000001,"20000000":1e+21,"b":1,"a":12345.5}',
    ),
    "reserialized-python": a_request(signs=SPACED),
    "reserialized-python-compact": a_request(SPACED, signs=ESCAPED),
    "reserialized-indented": a_request(signs=json.dumps(a_document(), indent=4).encode()),
    "reserialized-indented, tabs": a_request(signs=json.dumps(a_document(), indent="\t", ensure_ascii=False).encode()),
    "meaning-changed": a_request(NUMBERS, signs=b'{"id":9007199254740992,"name":"Alice Example","rate":1e-7}'),
    "meaning-changed, keys": a_request(b'{"secretkey":"first","secretkey":"second"}', signs=b'{"secretkey":"second"}'),
    "meaning-changed, large": a_request(b'"' + LONG + b'"\n', signs=b'"' + LONG + b'"'),
    "trailing-newline, added": a_request(a_body() + b"\n", signs=a_body()),
    "trailing-newline, removed": a_request(signs=a_body() + b"\r\n"),
    "trailing-newline after another form": a_request(signs=SPACED + b"\n"),
    "timestamp-not-signed": a_request(signature=around("")),
    "without-dot": a_request(signature=around(STAMP)),
    "wrong-separator": a_request(signature=around(f"{STAMP}:")),
    "timestamp-after-body": a_request(signature=around("", f".{STAMP}")),
    "v0": a_request(signature=around(f"v0:{STAMP}:")),
    "timestamp-unit, sent": a_request(stamp=f"{STAMP}250"),
    "timestamp-unit, signed": a_request(signature=sign(a_body(), SECRET, f"{STAMP}000")),
    "timestamp-unit, within the second": a_request(signature=sign(a_body(), SECRET, f"{STAMP}789")),
    "timestamp-malformed": a_request(stamp="today at the office"),
    "timestamp-missing": Request(Headers(((SIGNATURE_HEADER, f"v1,{BASE64}"),)), a_body()),
    "timestamp-missing and timestamp-not-signed": Request(Headers(((SIGNATURE_HEADER, around("")),)), a_body()),
    "clock-skew": a_request(stamp=str(int(NOW) - 7_200)),
    "clock-skew, future": a_request(LITERAL, stamp=str(int(NOW) + 900), signs=a_body()),
    "signature-missing": Request(Headers(((TIMESTAMP_HEADER, STAMP),)), a_body()),
    "signature-missing and timestamp-missing": Request(Headers(), a_body()),
    "not-a-signature": a_request(signature="v1,abc"),
    "wrong-hash, hex": a_request(signature=f"sha1={RAW[:20].hex()}"),
    "wrong-hash, base64": a_request(signature=f"v1,{base64.b64encode(RAW * 2).decode()}"),
    "prefix-missing": a_request(signature=BASE64),
    "prefix-version": a_request(signature=f"v2,{BASE64}"),
    "hex-encoded": a_request(signature=f"v1,{RAW.hex()}"),
    "hex-encoded, in base64": a_request(signature=f"v1,{base64.b64encode(RAW.hex().encode()).decode()}"),
    "base64-urlsafe": a_request(
        URL_SAFE_BODY, f"v1,{base64.urlsafe_b64encode(digest(KEY, STAMP, URL_SAFE_BODY)).decode()}"
    ),
    "base64-urlsafe and secret-or-body": a_request(signature="v1,AKUq-7eBOEf6LmY3FF60ErAF9eU0oMxeSjytIWLDfgg="),
    "base64-padding": a_request(signature=f"v1,{BASE64.rstrip('=')}"),
    "bom, added": a_request(b"\xef\xbb\xbf" + a_body(), signs=a_body()),
    "bom, removed": a_request(signs=b"\xef\xbb\xbf" + a_body()),
    "content-encoding": a_request(gzip.compress(a_body()), "", STAMP, ("Content-Encoding", "gzip"), signs=a_body()),
    "content-encoding, undeclared": a_request(gzip.compress(a_body()), signs=a_body()),
    "content-encoding, deflate": a_request(
        zlib.compress(LITERAL), "", STAMP, ("content-encoding", "deflate"), signs=a_body()
    ),
    "charset": a_request(
        LITERAL.decode().encode("latin-1"), "", STAMP, ("content-type", "text/json; charset=iso-8859-1"), signs=LITERAL
    ),
    "charset, utf-16": a_request(LITERAL.decode().encode("utf-16"), signs=LITERAL),
    "charset, big-endian": a_request(b"\xfe\xff" + LITERAL.decode().encode("utf-16-be"), signs=a_body()),
    "header-doubled": a_request(a_body(), f"v1,{BASE64}", STAMP, *TWICE),
    "header-doubled, joined": a_request(signature=f"v1,{BASE64}, v1,{BASE64}"),
    "header-doubled, different": a_request(
        a_body(), sign(b"other", SECRET, STAMP), STAMP, (SIGNATURE_HEADER, f"v1,{BASE64}")
    ),
    "many": a_request(
        LITERAL, base64.b64encode(digest(f"{KEY}\n", f"{STAMP}000", a_body())).decode().rstrip("="), STAMP
    ),
}
OF_OTHERS = {"undiagnosed", "replayed", "timestamp-differs", "body-changed", "wrong-secret", "wrong-way"}
"""The causes that no single request has, because they depend on other requests or on what the user's code computed."""


def secrets() -> Callable[[], str]:
    numbers = count()
    return lambda: f"throwaway-{next(numbers)}"


def redacted(request: Request, wanted: Verdict) -> Redacted:
    capture = a_capture(an_invocation(request.body, headers=request.headers))
    return redact(capture, wanted, Pseudonyms(), new_secret=secrets())


def verified(capture: Capture) -> Verdict:
    assert capture.throwaway_secret is not None
    return verify_signature(capture.invocation.headers, capture.invocation.body, capture.throwaway_secret, now=NOW)


def outcome(verdict: Verdict) -> tuple[Status, str | None, list[str], float | None]:
    return verdict.status, verdict.signed_form, sorted(verdict.slugs), verdict.age_s


def test_redacted_request_has_the_same_verdict_and_another_body() -> None:
    for name, request in REQUESTS.items():
        wanted = request.verdict()
        result = redacted(request, wanted)
        assert result.is_same, name
        assert outcome(verified(result.capture)) == outcome(wanted), name
        assert set(result.verdict.causes) == set(wanted.causes), "the words of the causes differ"
        assert result.capture.invocation.body != request.body or request.body.isdigit()
    found = {slug for request in REQUESTS.values() for slug in request.verdict().slugs}
    assert found == set(CAUSES) - OF_OTHERS, "add a request for each cause that a single request has"


def test_cause_depending_on_earlier_requests_stays_in_the_capture() -> None:
    for name in ["valid", "clock-skew"]:
        request = REQUESTS[name]
        wanted = verify_signature(request.headers, request.body, SECRET, now=NOW, seen=NOW)
        result = redacted(request, wanted)
        assert result.is_same
        assert set(result.capture.verdict.slugs) == set(wanted.slugs)
        assert set(result.verdict.slugs) == set(wanted.slugs) - {"replayed"}


def test_unreproducible_verdict_is_reported() -> None:
    request = REQUESTS["secret-or-body"]
    wanted = Verdict(status=Status.INVALID, causes=(request.verdict().causes[0]._replace(slug="undiagnosed"),))
    result = redacted(request, wanted)
    assert not result.is_same
    assert result.verdict.slugs == ("secret-or-body",)


def forms_of(body: bytes) -> Iterator[bytes]:
    steps = unwrap(body, Headers(), Budget())
    yield body
    for form in (*byte_forms(steps), *json_forms(steps, Budget())):
        yield form.body


@given(JSON_TEXTS, st.data())
def test_redacted_document_in_any_signed_form_has_the_same_verdict(text: str, data: st.DataObject) -> None:
    body = text.encode("utf-8", "replace")
    signs = data.draw(st.sampled_from(list(forms_of(body))))
    request = a_request(body or b" ", signs=signs)
    wanted = request.verdict()
    result = redacted(request, wanted)
    assert outcome(verified(result.capture)) == outcome(wanted), result.capture.invocation.body


NOTATIONS: tuple[Callable[[bytes], str], ...] = (
    lambda raw: f"v1,{base64.b64encode(raw).decode()}",
    lambda raw: raw.hex(),
    lambda raw: f"sha256={raw.hex().upper()}",
    lambda raw: base64.b64encode(raw).decode().rstrip("="),
    lambda raw: f"v1,v1,{base64.urlsafe_b64encode(raw).decode()}",
)
DOCUMENTS = (
    a_body(),
    LITERAL,
    ESCAPED,
    NUMBERS,
    b'{"k":"v","99999999":1,"12345678":[1.10,123456789.0,1e25,12345678901234567890123,-0.00000012345]}',
    LITERAL.decode().encode("utf-16"),
    b"\xef\xbb\xbf" + LITERAL + b"\r\n",
    gzip.compress(LITERAL + b"\n"),
    b"name=Alice+Smith&card=4111-1111-1111-1111",
)


@given(st.data())
def test_redacted_request_with_several_mistakes_has_the_same_verdict(data: st.DataObject) -> None:
    def one_of(*values: Any) -> Any:
        return data.draw(st.sampled_from(values))

    body = one_of(*DOCUMENTS)
    configured = one_of(KEY, f"{KEY}\n", f"'{KEY}'")
    stamp = one_of(STAMP, f"{STAMP}123", str(int(NOW) - 9_999), "soon at noon")
    key = Key(
        one_of(*secret_variants(configured)),
        one_of(*timestamp_variants([stamp])),
        one_of(PORTS_LAYOUT, *FREQUENT_LAYOUTS, *RARE_LAYOUTS),
    )
    secret, before, after = key.texts
    signature = one_of(*NOTATIONS)(message_digest(secret, before, one_of(*forms_of(body)), after))
    fields = [(SIGNATURE_HEADER, signature), (TIMESTAMP_HEADER, stamp)]
    more = one_of(None, (SIGNATURE_HEADER, signature), (TIMESTAMP_HEADER, STAMP), (SIGNATURE_HEADER, f"v1,{BASE64}"))
    headers = Headers(tuple(data.draw(st.permutations([*fields, *([more] if more else [])]))))
    request = Request(headers, body, Secret(configured))
    wanted = request.verdict()
    result = redacted(request, wanted)
    is_kept = outcome(verified(result.capture)) == outcome(wanted)
    # One new signature may not be able to replace two signatures that match in different ways. The result then says
    # that the verdict differs.
    assert is_kept or (not result.is_same and len(ways_to_match(request)) > 1)


def ways_to_match(request: Request) -> set[frozenset[str]]:
    """Return the sets of causes with which each signature would match if it were the only signature."""
    others = Headers(tuple(field for field in request.headers if field[0] != SIGNATURE_HEADER))
    signatures = [value for name, value in request.headers if name == SIGNATURE_HEADER]
    alone = [Headers(((SIGNATURE_HEADER, value), *others)) for value in signatures]
    verdicts = [request._replace(headers=headers).verdict() for headers in alone]
    return {frozenset(verdict.slugs) for verdict in verdicts if "secret-or-body" not in verdict.slugs}


@given(st.binary(max_size=200))
def test_redacted_bytes_have_the_same_verdict(body: bytes) -> None:
    assume(body)
    request = a_request(body)
    wanted = request.verdict()
    assert outcome(verified(redacted(request, wanted).capture)) == outcome(wanted)
