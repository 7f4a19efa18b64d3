"""Each cause with the mistake that leads to it, and the properties of every verdict."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from port_hook_cli.invocations.headers import SIGNATURE_HEADER, TIMESTAMP_HEADER, Headers
from port_hook_cli.invocations.models import Status, Verdict
from port_hook_cli.javascript.stringify import stringify
from port_hook_cli.signatures import causes
from port_hook_cli.signatures.budget import HASHED_BYTES, LAYOUT_BYTES, MILLISECONDS_BODY_BYTES, Budget
from port_hook_cli.signatures.causes import CAUSES
from port_hook_cli.signatures.forms import json_forms, unwrap
from port_hook_cli.signatures.signing import digest, encoded, message_digest, sign
from port_hook_cli.signatures.verification import signature_key, verify_signature, verify_without_diagnosis
from port_hook_cli.text.secret import Secret
from tests.factories import NOW, SECRET, a_body, a_document, signed
from tests.javascript.json_texts import JSON_TEXTS

BODY = a_body()
STAMP = str(int(NOW))
KEY = SECRET.reveal()
ASCII_DOCUMENT = {"action": "create_vm", "inputs": {"cpu": 2}}


def verdict_on(headers: Headers, body: bytes = BODY, secret: Secret = SECRET, **options: Any) -> Verdict:
    return verify_signature(headers, body, secret, **{"now": NOW, **options})


def sent(signature: str, timestamp: str = STAMP, *more: tuple[str, str]) -> Headers:
    return Headers(((SIGNATURE_HEADER, signature), (TIMESTAMP_HEADER, timestamp), *more))


def raw_digest(body: bytes = BODY) -> bytes:
    return digest(KEY, STAMP, body)


def framed(before: str, body: bytes, after: str = "", secret: str = KEY) -> bytes:
    """Return the digest of a body with other surrounding text than Port's."""
    return message_digest(encoded(secret), encoded(before), body, encoded(after))


def bare_signature() -> str:
    return sign(BODY, SECRET, STAMP).removeprefix("v1,")


def test_request_signed_by_port_is_valid() -> None:
    verdict = verdict_on(signed(BODY), now=NOW + 2)
    assert verdict == Verdict(status=Status.VALID, signed_form="raw", age_s=2.0)


def test_header_names_in_any_case_and_white_space_around_values_are_accepted() -> None:
    assert verdict_on(sent(f" {sign(BODY, SECRET, STAMP)}\t", f"\t{STAMP} ")).status is Status.VALID

    headers = Headers((("X-Port-Signature", sign(BODY, SECRET, STAMP)), ("X-PORT-TIMESTAMP", STAMP)))
    assert verdict_on(headers).status is Status.VALID


class TestTime:
    def test_matching_signature_outside_the_tolerance_is_stale(self) -> None:
        for direction in (1, -1):
            assert verdict_on(signed(BODY), now=NOW + 300 * direction).status is Status.VALID
            verdict = verdict_on(signed(BODY), now=NOW + 301 * direction)
            assert (verdict.status, verdict.signed_form, verdict.slugs) == (Status.STALE, "raw", ("clock-skew",))
            assert verdict.age_s == 301 * direction

    def test_tolerance_can_be_changed_and_nan_is_never_within_it(self) -> None:
        assert verdict_on(signed(BODY), now=NOW + 302, tolerance_s=302).status is Status.VALID
        assert verdict_on(signed(BODY), now=NOW + 1, tolerance_s=0).status is Status.STALE
        assert verdict_on(signed(BODY), now=float("nan")).status is Status.STALE
        assert verdict_on(signed(BODY), tolerance_s=float("nan")).status is Status.STALE

    def test_milliseconds_are_valid_with_a_warning_or_stale(self) -> None:
        verdict = verdict_on(signed(BODY, timestamp=f"{STAMP}250"), now=NOW + 1)
        assert (verdict.status, verdict.slugs) == (Status.VALID, ("timestamp-unit",))
        assert verdict.age_s == pytest.approx(0.75)

        verdict = verdict_on(signed(BODY, timestamp=f"{STAMP}000"), now=NOW + 301)
        assert (verdict.status, verdict.slugs) == (Status.STALE, ("clock-skew", "timestamp-unit"))

    def test_timestamp_sent_in_another_unit_than_signed_is_invalid(self) -> None:
        rows: list[tuple[Any, Any]] = [(STAMP, f"{STAMP}000"), (f"{STAMP}000", STAMP)]
        for signed_as, sent_as in rows:
            verdict = verdict_on(sent(sign(BODY, SECRET, signed_as), sent_as))
            assert (verdict.status, verdict.signed_form, verdict.slugs) == (Status.INVALID, "raw", ("timestamp-unit",))
            assert "Sign the exact text" in verdict.hint

    @given(st.binary(max_size=MILLISECONDS_BODY_BYTES), st.integers(0, 10**11 - 1), st.integers(0, 999))
    def test_signed_timestamp_in_milliseconds_is_found_for_a_timestamp_sent_in_seconds(
        self, body: bytes, s: int, ms: int
    ) -> None:
        verdict = verdict_on(sent(sign(body, SECRET, f"{s}{ms:03}"), str(s)), body, now=float(s))
        assert (verdict.status, verdict.signed_form, verdict.slugs) == (Status.INVALID, "raw", ("timestamp-unit",))

    def test_milliseconds_are_tried_only_alone_and_for_small_bodies(self) -> None:
        moment, other_second = f"{STAMP}123", f"{int(NOW) + 1}123"
        assert verdict_on(sent(sign(BODY, SECRET, other_second), STAMP)).slugs == ("secret-or-body",)
        assert verdict_on(sent(sign(BODY, Secret(f"{KEY}\n"), moment), STAMP)).slugs == ("secret-or-body",)
        assert verdict_on(sent(sign(BODY, SECRET, moment), STAMP), BODY + b"\n").slugs == ("secret-or-body",)
        body = bytes(MILLISECONDS_BODY_BYTES + 1)
        (cause,) = verdict_on(sent(sign(body, SECRET, moment), STAMP), body).causes
        assert cause.slug == "secret-or-body"
        assert "milliseconds were not tried: the body is larger than 16 KiB." in cause.explanation
        (cause,) = verdict_on(sent(sign(body, SECRET, f"{STAMP}000"), STAMP), body).causes
        assert cause.slug == "timestamp-unit"

    def test_milliseconds_are_not_reported_as_untried_when_the_timestamp_is_not_in_seconds(self) -> None:
        for stamp in (f"{STAMP}123", "soon"):
            verdict = verdict_on(sent(sign(b"", SECRET, STAMP), stamp), bytes(MILLISECONDS_BODY_BYTES + 1))
            assert not any("milliseconds were not tried" in cause.explanation for cause in verdict.causes)

    def test_non_integer_timestamp_is_malformed_even_if_signed(self) -> None:
        for timestamp in ("1700000000.5", "1_700_000_000", "٣", "²", "9" * 64, "+1"):
            verdict = verdict_on(sent(sign(BODY, SECRET, STAMP), timestamp))
            assert (verdict.status, verdict.slugs, verdict.age_s) == (Status.MALFORMED, ("timestamp-malformed",), None)
            verdict = verdict_on(sent(sign(BODY, SECRET, timestamp), timestamp))
            assert (verdict.status, verdict.signed_form) == (Status.MALFORMED, "raw")
            assert verdict.slugs == ("timestamp-malformed",)

    def test_overlong_timestamp_is_malformed_without_hashing(self) -> None:
        for timestamp in ("9" * 65, f"{STAMP}, " * 20_000):
            headers = sent(sign(BODY, SECRET, timestamp), timestamp)
            verdict = verify_without_diagnosis(headers, BODY, SECRET, now=NOW)
            assert verdict is not None
            assert (verdict.status, verdict.slugs) == (Status.MALFORMED, ("timestamp-malformed",))
            later = verdict_on(Headers(((TIMESTAMP_HEADER, STAMP), *headers)))
            assert (later.status, later.slugs) == (Status.INVALID, ("secret-or-body", "header-doubled"))

    def test_clock_skew_is_explained(self) -> None:
        expected = {
            7_200: "2 h in the past",
            -7_200: "2 h in the future",
            7_230: "A whole number of hours suggests a wrong time zone",
            5_000: "It may be an old request, sent again",
            400: "6 min 40 s",
            90 * 86_400: "90 d in the past",
        }
        said = {
            age_s: verdict_on(signed(BODY), now=NOW + age_s).causes[0].explanation for age_s in (*expected, 108_000)
        }
        assert {age_s: words in said[age_s] for age_s, words in expected.items()} == dict.fromkeys(expected, True)
        assert not any("time zone" in said[age_s] for age_s in (5_000, 30 * 3_600))

    def test_timestamp_in_a_smaller_unit_has_the_unit_as_its_only_cause(self) -> None:
        rows: list[tuple[Any, Any]] = [("000000", "microseconds"), ("000000000", "nanoseconds")]
        for zeros, unit in rows:
            verdict = verdict_on(signed(BODY, timestamp=f"{STAMP}{zeros}"))
            assert (verdict.status, verdict.slugs) == (Status.STALE, ("timestamp-unit",))
            assert verdict.causes[0].explanation == f"The timestamp looks like {unit}, not seconds."
            unsigned = verdict_on(signed(b"other", timestamp=f"{STAMP}{zeros}"))
            assert unsigned.slugs == ("secret-or-body", "timestamp-unit")


class TestPlainly:
    def test_verify_without_diagnosis_decides_when_no_diagnosis_is_needed(self) -> None:
        rows: list[tuple[Any, Any]] = [
            (signed(BODY), Status.VALID),
            (signed(BODY, timestamp="1"), Status.STALE),
            (Headers((*signed(BODY), *signed(BODY))), Status.VALID),
            (Headers(), Status.MISSING),
            (sent("nonsense"), Status.MALFORMED),
        ]
        for headers, status in rows:
            verdict = verify_without_diagnosis(headers, BODY, SECRET, now=NOW, seen=NOW)
            assert verdict is not None
            assert verdict.status is status
            assert verdict == verdict_on(headers, seen=NOW)

    def test_verify_without_diagnosis_returns_none_when_something_may_match(self) -> None:
        for headers in (signed(BODY + b"\n"), sent(bare_signature())):
            assert verify_without_diagnosis(headers, BODY, SECRET, now=NOW) is None
        verdict = verify_without_diagnosis(signed(BODY, secret=Secret("")), BODY, Secret(""), now=NOW)
        assert verdict is not None
        assert verdict.slugs == ("secret-or-body",)


class TestSignatureKey:
    def test_signature_key_is_the_accepted_digest_in_every_notation_of_the_header(self) -> None:
        assert signature_key(signed(BODY)) == raw_digest()

        once = sign(BODY, SECRET, STAMP)
        for headers in (
            sent(f" {once}\t"),
            sent(raw_digest().hex()),
            Headers((("X-PORT-SIGNATURE", ""), *signed(BODY))),
            Headers((*signed(BODY), (SIGNATURE_HEADER, sign(b"other", SECRET, STAMP)))),
        ):
            assert signature_key(headers) == raw_digest()

    def test_signature_key_is_none_without_a_digest(self) -> None:
        for headers in (Headers(), sent("nonsense"), sent("x" * 65_536)):
            assert signature_key(headers) is None


NOTATIONS: dict[str, tuple[Callable[[bytes], str], tuple[str, ...]]] = {
    "v1 base64": (lambda raw: f"v1,{base64.b64encode(raw).decode()}", ()),
    "base64": (lambda raw: base64.b64encode(raw).decode(), ("prefix-missing",)),
    "v1 hex": (lambda raw: f"v1,{raw.hex()}", ("hex-encoded",)),
    "hex": (lambda raw: raw.hex(), ("prefix-missing", "hex-encoded")),
    "github": (lambda raw: f"sha256={raw.hex()}", ("prefix-version", "hex-encoded")),
}
LAYOUTS = {
    "timestamp-not-signed": ("", ""),
    "without-dot": (STAMP, ""),
}
RARE_LAYOUTS = [
    *(("wrong-separator", f"{STAMP}{separator}", "") for separator in ":\n, -|"),
    ("timestamp-after-body", "", f".{STAMP}"),
    ("timestamp-after-body", "", STAMP),
    ("v0", f"v0:{STAMP}:", ""),
]


class TestLayout:
    """What is signed around the body. Port signs the timestamp and a dot before it."""

    @pytest.mark.parametrize("slug", LAYOUTS)
    def test_missing_timestamp_or_dot_is_found_for_a_raw_body_of_any_size(self, slug: str) -> None:
        for notation, size in (*((notation, 0) for notation in NOTATIONS), ("hex", 2**16), ("v1 base64", 2**20)):
            write, others = NOTATIONS[notation]
            body = BODY + b"x" * size
            verdict = verdict_on(sent(write(framed(LAYOUTS[slug][0], body))), body)
            assert (verdict.status, verdict.signed_form, verdict.slugs) == (Status.INVALID, "raw", (slug, *others))

    def test_other_order_or_separator_is_found_for_small_bodies(self) -> None:
        for slug, before, after in RARE_LAYOUTS:
            verdict = verdict_on(sent(framed(before, BODY, after).hex()))
            assert (verdict.status, verdict.signed_form) == (Status.INVALID, "raw")
            assert verdict.slugs == (slug, "prefix-missing", "hex-encoded")
        large = BODY + b"x" * 2**16
        for before, after in ((f"{STAMP}:", ""), ("", STAMP)):
            verdict = verdict_on(sent(NOTATIONS["v1 hex"][0](framed(before, large, after))), large)
            assert verdict.slugs == ("hex-encoded", "secret-or-body")

    @given(JSON_TEXTS, st.sampled_from(sorted(LAYOUTS)), st.sampled_from(sorted(NOTATIONS)), st.data())
    def test_missing_timestamp_or_dot_is_found_in_every_form_of_a_document(
        self, text: str, slug: str, notation: str, data: st.DataObject
    ) -> None:
        body = text.encode("utf-8", "replace")
        forms = list(json_forms(unwrap(body, Headers(), Budget()), Budget()))
        assume(forms and len(body) * len(forms) < LAYOUT_BYTES // 8)
        form = data.draw(st.sampled_from(forms))
        assume(form.body != body)
        verdict = verdict_on(sent(NOTATIONS[notation][0](framed(LAYOUTS[slug][0], form.body))), body)
        assert verdict.status is Status.INVALID
        assert verdict.slugs[0] == slug
        assert {cause.slug for cause in form.causes} <= set(verdict.slugs)

    def test_missing_timestamp_is_found_with_a_changed_secret(self) -> None:
        rows: list[tuple[Any, Any, Any, Any]] = [
            (BODY, KEY, f'"{KEY}"', "secret-quoted"),
            (BODY, f"{KEY}\n", KEY, "secret-whitespace"),
            (json.dumps(a_document()).encode(), f"'{KEY}'", KEY, "secret-quoted"),
        ]
        for body, signing, configured, slug in rows:
            verdict = verdict_on(sent(framed("", body, secret=signing).hex()), secret=Secret(configured))
            assert verdict.status is Status.INVALID
            assert verdict.slugs[:2] == (slug, "timestamp-not-signed")

    def test_missing_timestamp_is_reported_with_the_age(self) -> None:
        verdict = verdict_on(sent(framed("", BODY).hex()), now=NOW + 900)
        assert (verdict.status, verdict.age_s) == (Status.INVALID, 900)
        assert {"timestamp-not-signed", "clock-skew"} <= set(verdict.slugs)

    @given(st.text(max_size=80), st.text(max_size=80), st.one_of(st.binary(), st.just(BODY)))
    def test_signature_over_another_layout_is_never_valid(self, before: str, after: str, body: bytes) -> None:
        assume(encoded(before) + body + encoded(after) != encoded(f"{STAMP}.") + body)
        signature = NOTATIONS["v1 base64"][0](framed(before, body, after))
        assert verdict_on(sent(signature), body).status is not Status.VALID

    def test_empty_secret_does_not_explain_a_missing_timestamp(self) -> None:
        body = b"{}"
        signature = framed("", body, secret="").hex()
        assert verdict_on(sent(signature), body, Secret("")).slugs[-1] == "secret-or-body"
        verdict = verdict_on(Headers(((SIGNATURE_HEADER, signature),)), body, Secret(""))
        assert (verdict.status, verdict.slugs) == (Status.MISSING, ("timestamp-missing",))


class TestHash:
    def test_signature_as_long_as_the_digest_of_another_hash_is_reported(self) -> None:
        for name, size, write in (
            ("SHA-1", 20, NOTATIONS["hex"][0]),
            ("SHA-1", 20, lambda raw: f"sha1={raw.hex()}"),
            ("SHA-384", 48, NOTATIONS["v1 base64"][0]),
            ("SHA-512", 64, NOTATIONS["hex"][0]),
            ("SHA-512", 64, lambda raw: f"sha512={raw.hex()}"),
        ):
            value = write(bytes(range(size)))
            verdict = verdict_on(sent(value))
            assert (verdict.status, verdict.slugs) == (Status.MALFORMED, ("wrong-hash",))
            assert f"The signature has {size} bytes, the length of a {name} digest." in verdict.causes[0].explanation

    def test_signature_of_another_length_is_not_called_a_digest(self) -> None:
        found = {verdict_on(sent(bytes(range(size)).hex())).slugs for size in (16, 28, 31, 33, 40, 65)}
        assert found == {("not-a-signature",)}


class TestMissing:
    def test_absent_and_empty_headers_are_missing(self) -> None:
        rows: list[tuple[Any, Any]] = [
            (Headers(), ("signature-missing", "timestamp-missing")),
            (Headers(((TIMESTAMP_HEADER, STAMP),)), ("signature-missing",)),
            (Headers(((SIGNATURE_HEADER, sign(BODY, SECRET, STAMP)),)), ("timestamp-missing",)),
            (
                Headers(((SIGNATURE_HEADER, f"v1,{base64.b64encode(framed('', BODY)).decode()}"),)),
                ("timestamp-missing", "timestamp-not-signed"),
            ),
            (sent(" ", STAMP), ("signature-missing",)),
            (sent("v1,abc", ""), ("timestamp-missing",)),
        ]
        for headers, slugs in rows:
            verdict = verdict_on(headers)
            assert (verdict.status, verdict.slugs) == (Status.MISSING, slugs)


class TestHeaderNotation:
    def test_correct_digest_in_another_notation_is_invalid_with_a_cause(self) -> None:
        rows: list[tuple[Any, Any]] = [
            (lambda raw: f"v1,v1,{base64.b64encode(raw).decode()}", ("prefix-version",)),
            (lambda raw: f"v2,{base64.b64encode(raw).decode()}", ("prefix-version",)),
            (lambda raw: f"V1,{base64.b64encode(raw).decode()}", ("prefix-version",)),
            (lambda raw: f"v1={base64.b64encode(raw).decode()}", ("prefix-version",)),
            (lambda raw: f"v1, {base64.b64encode(raw).decode()}", ("prefix-version",)),
            (lambda raw: f"v1,{raw.hex().upper()}", ("hex-encoded",)),
            (lambda raw: f"v1,{base64.b64encode(raw.hex().encode()).decode()}", ("hex-encoded",)),
            (lambda raw: f"v1,{base64.b64encode(raw).decode().rstrip('=')}", ("base64-padding",)),
            (lambda raw: f"v1,{base64.b64encode(raw).decode()}=", ("base64-padding",)),
        ]
        for rewrite, slugs in rows:
            verdict = verdict_on(sent(rewrite(raw_digest())))
            assert (verdict.status, verdict.signed_form, verdict.slugs) == (Status.INVALID, "raw", slugs)

    def test_url_safe_base64_is_reported_as_a_cause(self) -> None:
        body = next(body for n in range(1_000) if b"\xfb" in raw_digest(body := b"%d" % n)[::3])
        signature = f"v1,{base64.urlsafe_b64encode(raw_digest(body)).decode()}"
        assert verdict_on(sent(signature), body).slugs == ("base64-urlsafe",)
        assert verdict_on(sent(signature.rstrip("=")), body).slugs == ("base64-urlsafe", "base64-padding")

    def test_base64_with_stray_bits_is_invalid(self) -> None:
        signature = f"v1,{bare_signature()}"
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        stray = f"{signature[:-2]}{alphabet[alphabet.index(signature[-2]) + 1]}="
        verdict = verdict_on(sent(stray))
        assert (verdict.status, verdict.slugs) == (Status.INVALID, ("base64-padding",))

    def test_header_without_a_digest_is_malformed(self) -> None:
        rows: list[Any] = ["v1,", "v1,abc", "v1," + "A" * 42, "x" * 65_536, "é\ud800", "v1,===="]
        for value in rows:
            verdict = verdict_on(sent(value))
            assert (verdict.status, verdict.slugs) == (Status.MALFORMED, ("not-a-signature",))

    def test_unusual_notation_and_malformed_timestamp_are_reported_with_the_first_cause(self) -> None:
        verdict = verdict_on(sent(raw_digest(b"other").hex()))
        assert verdict.status is Status.INVALID
        assert verdict.slugs == ("prefix-missing", "hex-encoded", "secret-or-body")

        verdict = verdict_on(sent("nonsense", "yesterday"))
        assert (verdict.status, verdict.slugs) == (Status.MALFORMED, ("not-a-signature", "timestamp-malformed"))


class TestSecret:
    def test_signature_of_another_secret_or_body_is_invalid(self) -> None:
        verdict = verdict_on(signed(BODY), secret=Secret("another"))
        assert (verdict.status, verdict.signed_form, verdict.slugs) == (Status.INVALID, None, ("secret-or-body",))

        assert verdict_on(signed(BODY), BODY.replace(b"create_vm", b"delete_vm")).slugs == ("secret-or-body",)

        assert verdict_on(signed(BODY), secret=Secret("x"), now=NOW + 999).slugs == ("secret-or-body", "clock-skew")

    def test_white_space_and_quotes_around_a_secret_are_reported_for_the_affected_side(self) -> None:
        rows: list[tuple[Any, Any, Any]] = [
            (KEY, f"{KEY}\n", ("secret-whitespace",)),
            (KEY, f"\ufeff{KEY}", ("secret-whitespace",)),
            (KEY, f"\t{KEY}\u200b ", ("secret-whitespace",)),
            (f"{KEY}\n", KEY, ("secret-whitespace",)),
            (f"{KEY}\r\n", KEY, ("secret-whitespace",)),
            (KEY, f"'{KEY}'", ("secret-quoted",)),
            (KEY, f'"{KEY}"', ("secret-quoted",)),
            (f"'{KEY}'", KEY, ("secret-quoted",)),
            (f'"{KEY}"', KEY, ("secret-quoted",)),
            (KEY, f'"{KEY} "\n', ("secret-quoted", "secret-whitespace")),
        ]
        for signing, configured, slugs in rows:
            verdict = verdict_on(signed(BODY, secret=Secret(signing)), secret=Secret(configured))
            assert (verdict.status, verdict.signed_form, verdict.slugs) == (Status.INVALID, "raw", slugs)
            assert ("configured" in verdict.causes[0].explanation) is (signing == KEY)
            assert ("where the request is signed" in verdict.hint) is (configured == KEY)

    def test_verdict_is_invalid_for_an_empty_secret_and_never_contains_a_secret(self) -> None:
        assert verdict_on(signed(BODY, secret=Secret("")), secret=Secret("")).status is Status.INVALID
        assert verdict_on(signed(BODY, secret=Secret("")), secret=Secret(" ")).slugs == ("secret-or-body",)
        for configured in (f"{KEY}\n", f'"{KEY}"', "wrong" * 9):
            assert configured.strip('\n"') not in repr(verdict_on(signed(BODY), secret=Secret(configured)))


def as_python(**style: Any) -> bytes:
    return json.dumps(a_document(), **style).encode()


def both_deflates() -> tuple[bytes, bytes]:
    """Return a body that is a complete stream in both deflate formats, and its content when read in the zlib format."""
    rest = 65_379 - 159 + 9
    second_bare_block = b"\x01" + rest.to_bytes(2, "little") + (rest ^ 0xFFFF).to_bytes(2, "little")
    content = (b" " * 154 + second_bare_block).ljust(65_379)
    body = (
        b"\x78\x9c\x00\x63\xff\x9c\x00" + content + b"\x01\x00\x00\xff\xff" + zlib.adler32(content).to_bytes(4, "big")
    )
    return body, content


AGENT = as_python(separators=(",", ":"))
BOM = b"\xef\xbb\xbf"


class TestReserialized:
    def test_other_form_of_the_same_json_is_reencoded_with_its_signed_form(self) -> None:
        rows: list[tuple[Any, Any, Any, Any]] = [
            (BODY, as_python(), "js", "reserialized-js"),
            (as_python(), BODY, "python", "reserialized-python"),
            (as_python(ensure_ascii=False), BODY, "python-unescaped", "reserialized-python"),
            (AGENT, as_python(), "python-compact", "reserialized-python-compact"),
            (
                b'{"n":1.0,"s":"\xc3\xab"}',
                b'{"n": 1.0, "s": "\\u00eb"}',
                "python-compact-unescaped",
                "reserialized-python-compact",
            ),
            *(
                (as_python(indent=indent, ensure_ascii=False), BODY, f"js-indented-{name}", "reserialized-indented")
                for name, indent in (("2", 2), ("4", 4), ("tab", "\t"))
            ),
            *(
                (as_python(indent=indent), BODY, f"python-indented-{name}", "reserialized-indented")
                for name, indent in (("2", 2), ("4", 4), ("tab", "\t"))
            ),
            (
                b'[\n  1.0,\n  "\xc3\xab"\n]',
                b'[1.0,"\xc3\xab"]',
                "python-indented-unescaped-2",
                "reserialized-indented",
            ),
        ]
        for signed_body, body, signed_form, slug in rows:
            verdict = verdict_on(signed(signed_body), body)
            assert (verdict.status, verdict.signed_form, verdict.slugs) == (Status.REENCODED, signed_form, (slug,))

    def test_likelier_of_two_equal_forms_is_chosen_by_the_form_of_the_body(self) -> None:
        compact = json.dumps(ASCII_DOCUMENT, separators=(",", ":")).encode()
        from_python = verdict_on(signed(compact), json.dumps(ASCII_DOCUMENT).encode())
        assert from_python.signed_form == "python-compact"
        assert from_python.slugs == ("reserialized-python-compact", "reserialized-js")
        from_elsewhere = verdict_on(signed(compact), json.dumps(ASCII_DOCUMENT, indent=1).encode())
        assert from_elsewhere.signed_form == "js"
        assert from_elsewhere.slugs == ("reserialized-js", "reserialized-python-compact")

    def test_other_form_is_reported_with_a_line_break_and_with_a_stale_timestamp(self) -> None:
        verdict = verdict_on(signed(AGENT), as_python(), now=NOW + 900)
        assert (verdict.status, verdict.signed_form) == (Status.STALE, "python-compact")
        assert verdict.slugs == ("clock-skew", "reserialized-python-compact")

        verdict = verdict_on(signed(as_python(indent=2, ensure_ascii=False) + b"\n"))
        assert (verdict.status, verdict.signed_form) == (Status.REENCODED, "js-indented-2+with-trailing-newline")
        assert verdict.slugs == ("reserialized-indented", "trailing-newline")

        assert verdict_on(signed(b'{"a":NaN}'), b'{"a": NaN}').status is Status.REENCODED

    def test_documents_beyond_the_limits_of_parsers_are_verified(self) -> None:
        rows: list[Any] = [b"[" * 10_000 + b"]" * 10_000, b"[1, " + b"1" * 5_000 + b"]", b'["\xed\xa0\x80"]']
        for body in rows:
            assert verdict_on(signed(b"other"), body).slugs == ("secret-or-body",)

    def test_verdict_on_a_large_body_lists_untried_forms(self) -> None:
        indented = json.dumps([a_document()] * 400, indent=2, ensure_ascii=False).encode()
        body = json.dumps([a_document()] * 400).encode()
        verdict = verdict_on(signed(indented), body)
        assert verdict.slugs == ("secret-or-body",)
        assert "Indented forms were not tried" in verdict.causes[0].explanation
        larger = b"[" + b"1, " * 800_000 + b"1]"
        verdict = verdict_on(signed(larger.replace(b" ", b"")), larger)
        assert "Other forms of the JSON were not tried" in verdict.causes[0].explanation


class TestMeaning:
    """Bodies of which a serializer writes the signed form, although for some parsers they are another document."""

    def test_body_is_reencoded_only_when_it_is_the_same_document_for_every_parser(self) -> None:
        rows: list[tuple[Any, Any, Any]] = [
            (b'{"admin":false}', b'{"admin":true,"admin":false}', causes.KEY_REPEATED),
            (b'{"admin":false}', b'{"admin":true,"\\u0061dmin":false}', causes.KEY_REPEATED),
            (b'[{"a":{"b":1}}]', b'[{"a":{"b":2, "b":1}}]', causes.KEY_REPEATED),
            (b'{"id":9007199254740992}', b'{"id":9007199254740993}', causes.MEANING_CHANGED),
            (b"[12345678901234567000]", b"[12345678901234567000.0]", causes.MEANING_CHANGED),
            (b'{"limit":null}', b'{"limit":1e400}', causes.MEANING_CHANGED),
            (b'{"limit": Infinity}', b'{"limit":1e400}', causes.MEANING_CHANGED),
            (b"[0]", b"[1e-400]", causes.MEANING_CHANGED),
            (b"[0.1]", b"[0.1000000000000000055]", causes.MEANING_CHANGED),
            (b"[12345678901234567000]", b"[12345678901234567890]", causes.MEANING_CHANGED),
            (b'{"a":1,"a":1}\n', b'{"a":1,"a":1}', causes.KEY_REPEATED),
            (b"[1]", b"[1000e-3]", None),
            (b"[1]", b"[1.0]", None),
            (b"[0]", b"[-0]", None),
            (b"[1e+21]", b"[1000000000000000000000.0]", None),
            (b'{"1":true,"b":1}', b'{"b": 1, "1": true}', None),
            (b'["\xf0\x9f\x98\x80/"]', b'["\\ud83d\\uDE00\\/"]', None),
        ]
        for signed_body, body, cause in rows:
            verdict = verdict_on(signed(signed_body), body)
            assert verdict.status is (Status.INVALID if cause else Status.REENCODED)
            assert ("meaning-changed" in verdict.slugs) is (cause is not None)
            assert cause is None or cause in verdict.causes
            assert verdict.signed_form is not None

    def test_body_with_a_changed_meaning_is_invalid_even_outside_the_tolerance(self) -> None:
        verdict = verdict_on(signed(b"[0]"), b"[1e-400]", now=NOW + 900)
        assert verdict.status is Status.INVALID
        assert {"meaning-changed", "clock-skew"} <= set(verdict.slugs)

    def test_incomparable_body_is_not_reencoded(self) -> None:
        rows: list[Any] = [b"[" + b"1," * 20_000 + b"1]", b'["' + b"x" * 2**20 + b'"]', b"1e9" + b"9" * 30]
        for body in rows:
            verdict = verdict_on(signed(body + b"\n"), body)
            assert (verdict.status, verdict.slugs) == (Status.INVALID, ("trailing-newline", "meaning-changed"))
            assert causes.NOT_COMPARED in verdict.causes

    def test_nesting_around_the_limits_of_python_raises_no_exception(self) -> None:
        for depth in (900, 990, 9_000):
            # The depth at which Python fails depends on its version.
            body = b'["' + b"x" * 8 * depth + b'"' + b",[0" * depth + b"]" * depth + b"]"
            verdict = verdict_on(signed(body + b"\n"), body)
            is_compared = causes.NOT_COMPARED not in verdict.causes
            assert verdict.status is (Status.REENCODED if is_compared else Status.INVALID)
            assert is_compared or depth > 900


class TestCost:
    """The limits of a diagnosis are counts, which the verdict reports. Measured times would fail on a busy machine."""

    def test_verdict_on_an_unusual_body_lists_untried_forms(self) -> None:
        rows: list[tuple[Any, Any]] = [
            (b"[" + b"1.5," * 15_000 + b"1]", "too many values"),
            ("é".encode() * 2**19 + b"x", "Other character sets were not tried"),
            (bytes(HASHED_BYTES + 1), "Not all forms were tried"),
            (b'{"a":' * 900 + b"1" + b"}" * 900, "nested too deeply"),
            (b"[" + b"1" * 4_000 + b"]", "a number has 400 digits or more"),
        ]
        for body, words in rows:
            assert words in verdict_on(signed(b"other"), body).causes[0].explanation

    def test_number_of_400_digits_is_tried_in_the_form_of_node(self) -> None:
        assert verdict_on(signed(b"[null]"), b"[ " + b"1" * 400 + b"]").signed_form == "js"

    def test_at_most_65536_line_breaks_are_removed(self) -> None:
        for count, slug in ((2**16, "trailing-newline"), (2**16 + 1, "secret-or-body")):
            assert slug in verdict_on(signed(b"body"), b"body" + b"\n" * count).slugs

    def test_large_body_is_not_tried_with_every_form_of_the_secret(self) -> None:
        body = b"\xfe" * (8 * 2**20)
        verdict = verdict_on(signed(b"other"), body, Secret(f'"{KEY}"'))
        assert "Not all forms were tried" in verdict.causes[0].explanation


class TestBytes:
    def test_line_break_or_byte_order_mark_on_one_side_is_reencoded(self) -> None:
        rows: list[tuple[Any, Any, Any, Any]] = [
            (BODY, BODY + b"\n", "without-trailing-newline", ("trailing-newline",)),
            (BODY, BODY + b"\r\n", "without-trailing-newline", ("trailing-newline",)),
            (BODY, BODY + b"\n\n", "without-trailing-newline", ("trailing-newline",)),
            (BODY + b"\n", BODY, "with-trailing-newline", ("trailing-newline",)),
            (BODY + b"\r\n", BODY, "with-trailing-newline", ("trailing-newline",)),
            (BODY + b"\n", BODY + b"\r\n", "with-trailing-newline", ("trailing-newline",)),
            (BODY, BOM + BODY, "without-bom", ("bom",)),
            (BOM + BODY, BODY, "with-bom", ("bom",)),
            (BODY, BOM + as_python(), "without-bom+js", ("bom", "reserialized-js")),
        ]
        for signed_body, body, signed_form, slugs in rows:
            verdict = verdict_on(signed(signed_body), body)
            assert (verdict.status, verdict.signed_form, verdict.slugs) == (Status.REENCODED, signed_form, slugs)

    def test_unsigned_line_break_makes_a_non_json_body_invalid(self) -> None:
        verdict = verdict_on(signed(b"text"), b"text\n")
        assert (verdict.status, verdict.slugs) == (Status.INVALID, ("trailing-newline",))

    def test_compressed_body_is_reencoded(self) -> None:
        rows: list[tuple[Any, Any]] = [
            ("gzip", gzip.compress(BODY, mtime=0)),
            ("x-gzip", gzip.compress(BODY, mtime=0)),
            ("deflate", zlib.compress(BODY)),
            ("Deflate", zlib.compress(BODY, wbits=-15)),
        ]
        for encoding, body in rows:
            verdict = verdict_on(signed(BODY).plus(("content-encoding", encoding)), body)
            assert (verdict.status, verdict.slugs) == (Status.REENCODED, ("content-encoding",))
            assert verdict.signed_form == f"decoded-{encoding.lower().removeprefix('x-')}"

    def test_compressed_body_without_the_matching_content_encoding_is_reported_as_invalid(self) -> None:
        for encoding in ("", "deflate", "gzip, gzip"):
            verdict = verdict_on(signed(BODY).plus(("content-encoding", encoding)), gzip.compress(BODY))
            assert (verdict.status, verdict.signed_form, verdict.slugs) == (
                Status.INVALID,
                "decoded-gzip",
                ("content-encoding",),
            )
            assert "missing, incorrect or ambiguous" in verdict.causes[0].explanation

    def test_body_valid_in_both_forms_of_deflate_is_invalid(self) -> None:
        body, content = both_deflates()
        bare = zlib.decompressobj(-15)
        assert bare.decompress(body) != zlib.decompress(body) == content
        assert bare.eof
        verdict = verdict_on(signed(content).plus(("content-encoding", "deflate")), body)
        assert (verdict.status, verdict.causes) == (Status.INVALID, (causes.COMPRESSED_UNDECLARED,))

    def test_bytes_after_a_compressed_stream_make_the_signature_invalid(self) -> None:
        rows: list[Any] = [
            gzip.compress(b"1", mtime=0) + gzip.compress(b"23", mtime=0),
            gzip.compress(b"1", mtime=0) + b"23",
        ]
        for body in rows:
            for signed_body in (b"1", b"123"):
                verdict = verdict_on(signed(signed_body).plus(("content-encoding", "gzip")), body)
                assert (verdict.status, verdict.slugs) == (Status.INVALID, ("secret-or-body",))

    def test_undeclared_compressed_body_is_decompressed_up_to_a_lower_limit(self) -> None:
        large = b'["' + b"x" * 2**18 + b'"]'
        verdict = verdict_on(signed(large), gzip.compress(large))
        assert verdict.slugs == ("secret-or-body",)
        assert "larger than 256 KiB" in verdict.causes[0].explanation
        declared = signed(large).plus(("content-encoding", "gzip"))
        assert verdict_on(declared, gzip.compress(large)).status is Status.REENCODED

    def test_corrupt_compressed_body_is_invalid(self) -> None:
        rows: list[Any] = [b"\x1f\x8b", gzip.compress(b"0" * 20_000_000), gzip.compress(BODY, mtime=0)[:-9]]
        for body in rows:
            assert verdict_on(signed(BODY), body).slugs == ("secret-or-body",)

    def test_body_in_another_character_set_than_declared_is_reported_as_invalid(self) -> None:
        rows: list[tuple[Any, Any, Any]] = [
            ("latin-1", "application/json", "latin-1"),
            ("latin-1", "application/json; charset=koi8-r", "latin-1"),
            ("utf-16", "application/json", "utf-16"),
            ("utf-16-le", "application/json; charset=utf-16be", "utf-16-le"),
            ("utf-32-le", "application/json; charset=latin-1", "utf-32-le"),
        ]
        for charset, content_type, name in rows:
            headers = signed(BODY).without("content-type").plus(("content-type", content_type))
            verdict = verdict_on(headers, BODY.decode().encode(charset))
            assert (verdict.status, verdict.signed_form, verdict.slugs) == (
                Status.INVALID,
                f"decoded-{name}",
                ("charset",),
            )

    def test_declared_character_set_is_ignored_when_the_body_is_utf_8(self) -> None:
        headers = signed(BODY).plus(("content-type", "application/json; charset=latin-1"))
        assert verdict_on(headers, as_python(ensure_ascii=False)).slugs == ("reserialized-js",)


class TestRepeats:
    def test_signature_seen_before_keeps_its_status_with_a_warning(self) -> None:
        verdict = verdict_on(signed(BODY), seen=NOW)
        assert (verdict.status, verdict.slugs) == (Status.VALID, ("replayed",))

        assert verdict_on(signed(AGENT), as_python(), seen=NOW).slugs == ("reserialized-python-compact", "replayed")

    def test_signature_seen_before_proves_nothing_about_a_body_too_large_for_all_forms(self) -> None:
        body, later = b"x" * 2**23, str(int(NOW) + 1)
        headers = sent(sign(body, SECRET, STAMP), later)
        assert verdict_on(headers, body, seen=NOW).slugs == ("secret-or-body",)

    def test_duplicate_headers_are_verified_by_the_first_with_a_warning(self) -> None:
        verdict = verdict_on(signed(BODY).plus(*sent(sign(BODY, SECRET, STAMP))))
        assert (verdict.status, verdict.slugs) == (Status.VALID, ("header-doubled",))
        assert "same value" in verdict.causes[0].explanation

        verdict = verdict_on(signed(BODY).plus((SIGNATURE_HEADER, "v1,other")))
        assert (verdict.status, verdict.slugs) == (Status.VALID, ("header-doubled",))
        assert "different values" in verdict.causes[0].explanation

    def test_match_of_a_later_duplicate_header_is_reported_as_invalid(self) -> None:
        first = (SIGNATURE_HEADER, sign(b"other", SECRET, STAMP))
        verdict = verdict_on(Headers((first, *signed(BODY))))
        assert (verdict.status, verdict.signed_form, verdict.slugs) == (Status.INVALID, "raw", ("header-doubled",))
        verdict = verdict_on(Headers(((TIMESTAMP_HEADER, "1"), *signed(BODY))))
        assert (verdict.status, verdict.slugs) == (Status.INVALID, ("header-doubled", "clock-skew"))

    def test_duplicate_values_joined_into_one_field_are_reported(self) -> None:
        signature = sign(BODY, SECRET, STAMP)
        verdict = verdict_on(sent(f"{signature}, {signature}", f"{STAMP}, {STAMP}"))
        assert (verdict.status, verdict.signed_form, verdict.slugs) == (Status.INVALID, "raw", ("header-doubled",))
        assert verdict.age_s == 0

    def test_only_the_first_of_many_duplicate_headers_are_tried(self) -> None:
        many = [(SIGNATURE_HEADER, f"v1,{base64.b64encode(bytes([n]) * 32).decode()}") for n in range(200)]
        assert verdict_on(Headers((*many, (TIMESTAMP_HEADER, STAMP)))).slugs == ("secret-or-body", "header-doubled")


class TestCombinations:
    def test_secret_notation_timestamp_and_form_are_all_reported_together(self) -> None:
        raw = digest(f"{KEY}\n", f"{STAMP}000", AGENT)
        verdict = verdict_on(sent(raw.hex()), as_python())
        assert (verdict.status, verdict.signed_form) == (Status.INVALID, "python-compact")
        assert verdict.slugs == (
            "secret-whitespace",
            "prefix-missing",
            "hex-encoded",
            "timestamp-unit",
            "reserialized-python-compact",
        )

    def test_incorrect_notation_or_secret_is_reported_with_another_cause(self) -> None:
        verdict = verdict_on(sent(bare_signature()), now=NOW + 900)
        assert (verdict.status, verdict.slugs) == (Status.INVALID, ("prefix-missing", "clock-skew"))

        verdict = verdict_on(signed(BODY), BODY + b"\n", Secret(f'"{KEY}"'))
        assert (verdict.status, verdict.slugs) == (Status.INVALID, ("secret-quoted", "trailing-newline"))

    def test_combinations_for_a_large_body_are_tried_within_the_budget(self) -> None:
        document = ["x" * 60_000]
        body = json.dumps(document).encode()
        padded = Secret(f"{KEY}\n")
        assert verdict_on(signed(body, secret=padded), body + b"\n").slugs == ("secret-whitespace", "trailing-newline")
        indented = json.dumps(document, indent="\t").encode()
        assert verdict_on(signed(indented), body).slugs == ("reserialized-indented",)
        assert verdict_on(signed(indented, secret=padded), body).slugs == ("secret-or-body",)


def means_the_same(one: str, other: str) -> bool:
    """Return whether documents are equal for parsers that use the first or last key, and doubles or exact numbers."""

    def first_wins(members: list[tuple[str, Any]]) -> dict[str, Any]:
        return dict(reversed(members))

    readers: list[dict[str, Any]] = [
        {"parse_int": Decimal, "parse_float": Decimal},
        {"parse_int": float, "parse_float": float},
        {"parse_int": Decimal, "parse_float": Decimal, "object_pairs_hook": first_wins},
    ]
    return all(json.loads(one, **reader) == json.loads(other, **reader) for reader in readers)


class TestAlways:
    @given(st.binary(), st.text(min_size=1), st.integers(-300, 300))
    def test_every_signed_request_is_valid(self, body: bytes, secret: str, age_s: int) -> None:
        headers = signed(body, secret=Secret(secret))
        assert verdict_on(headers, body, Secret(secret), now=NOW + age_s).status is Status.VALID

    @given(st.binary(), st.binary(), st.text(min_size=1), st.text(min_size=1), st.integers(0, 10**10))
    def test_request_with_another_body_secret_or_timestamp_is_never_valid(
        self, body: bytes, other: bytes, secret: str, wrong: str, stamp: int
    ) -> None:
        headers = signed(body, secret=Secret(secret))
        if other != body:
            assert verdict_on(headers, other, Secret(secret)).status is not Status.VALID
        # HMAC pads short keys with NULs, so secrets that differ only in NULs at the end are the same key.
        if wrong.rstrip("\0") != secret.rstrip("\0"):
            assert verdict_on(headers, body, Secret(wrong)).status is not Status.VALID
        if str(stamp) != STAMP:
            moved = headers.without(TIMESTAMP_HEADER).plus((TIMESTAMP_HEADER, str(stamp)))
            assert verdict_on(moved, body, Secret(secret), now=float(stamp)).status is not Status.VALID

    @given(JSON_TEXTS, st.sampled_from(["", "\n"]))
    def test_body_signed_in_the_form_of_node_is_recognized_in_any_other_form(self, text: str, end: str) -> None:
        body = (text + end).encode("utf-8", "replace")
        signed_body = stringify(body.decode()).encode()
        assume(signed_body != body)
        verdict = verdict_on(signed(signed_body), body)
        assert verdict.slugs != ("secret-or-body",)
        is_changed = "meaning-changed" in verdict.slugs
        assert verdict.status is (Status.INVALID if is_changed else Status.REENCODED)
        assert is_changed or means_the_same(body.decode(), signed_body.decode())

    @given(JSON_TEXTS, JSON_TEXTS, st.data())
    def test_different_document_is_never_reencoded(self, text: str, other: str, data: st.DataObject) -> None:
        body, foreign = text.encode("utf-8", "replace"), other.encode("utf-8", "replace")
        assume(stringify(body.decode()) != stringify(foreign.decode()))
        steps = unwrap(foreign, Headers(), Budget())
        signed_body = data.draw(st.sampled_from([foreign, *(form.body for form in json_forms(steps, Budget()))]))
        verdict = verdict_on(signed(signed_body), body)
        assert (verdict.status, verdict.slugs) == (Status.INVALID, ("secret-or-body",))

    @given(
        st.lists(
            st.tuples(
                st.sampled_from([SIGNATURE_HEADER, TIMESTAMP_HEADER, "content-type", "content-encoding"]),
                st.one_of(
                    st.text(),
                    st.sampled_from([STAMP, sign(BODY, SECRET, STAMP), raw_digest().hex(), "gzip", "deflate", "v1,"]),
                ),
            )
        ),
        st.one_of(st.binary(), st.just(BODY), JSON_TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass"))),
        st.text(),
        st.floats(),
        st.floats(),
    )
    def test_verify_signature_returns_a_verdict_for_any_input(
        self, items: list[tuple[str, str]], body: bytes, secret: str, now: float, tolerance_s: float
    ) -> None:
        verdict = verify_signature(Headers(tuple(items)), body, Secret(secret), now=now, tolerance_s=tolerance_s)
        assert set(verdict.slugs) <= set(CAUSES)
        assert len(set(verdict.slugs)) == len(verdict.slugs)
        assert verdict.status is Status.VALID or verdict.hint
