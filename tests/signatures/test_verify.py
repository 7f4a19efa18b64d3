"""Verdicts of `verify` on unusual signatures, secrets, character sets and sizes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from port_hook_cli import Status, sign, verify

SECRET = "a-client-secret-of-thirty-two-characters"
NOW = 1_700_000_000
BODY = b'{"a":1}'


def status_of(signature: str, *, timestamp: str = str(NOW), secret: str = SECRET) -> Status:
    headers = {"x-port-signature": signature, "x-port-timestamp": timestamp}
    return verify(headers, BODY, secret, now=NOW).status


def good_signature(secret: str = SECRET) -> str:
    return sign(BODY, secret, timestamp=NOW)[0]["x-port-signature"]


def test_stray_character_in_base64_makes_a_signature_malformed() -> None:
    for stray in ("!", " ", "\n", ",", "é"):
        signature = good_signature()
        assert status_of(f"{signature[:20]}{stray}{signature[20:]}") is Status.MALFORMED


@pytest.mark.parametrize("odd", ["\ud800", "v1,\ud800"])
def test_signature_followed_by_a_lone_surrogate_is_never_valid(odd: str) -> None:
    assert status_of(odd) is Status.MALFORMED
    assert status_of(f"{good_signature()}{odd}") in {Status.MALFORMED, Status.INVALID}


def test_lone_surrogate_inside_a_signature_or_a_timestamp_makes_it_malformed() -> None:
    for number in (3, 46):
        signature = good_signature()
        assert status_of(f"{signature[:number]}\ud800{signature[number + 1 :]}") is Status.MALFORMED
    assert status_of(good_signature(), timestamp=f"{NOW}\ud800") is Status.MALFORMED


def test_secret_of_any_characters_can_sign_and_verify() -> None:
    for secret in ("sécret", "\ud800"):
        assert status_of(good_signature(secret), secret=secret) is Status.VALID
        assert status_of(good_signature(secret)) is Status.INVALID


def test_quotes_around_a_secret_of_one_character_are_recognized() -> None:
    for quote in ('"', "'"):
        headers, _ = sign(BODY, "x", timestamp=NOW)
        verdict = verify(headers, BODY, f"{quote}x{quote}", now=NOW)
        assert verdict.status is Status.INVALID
        assert "secret-or-body" not in [cause.slug for cause in verdict.causes]
        of_quotes_alone = verify(headers, BODY, quote * 2, now=NOW)
        assert [cause.slug for cause in of_quotes_alone.causes] == ["secret-or-body"]


def test_body_in_the_declared_character_set_is_recognized() -> None:
    rows: list[tuple[Any, Any, Any]] = [
        ("ISO-8859-1", "latin-1", "é"),
        ("latin-1", "latin-1", "é"),
        ("iso-8859-15", "iso-8859-15", "3 €"),
        ("windows-1252", "cp1252", "3 €"),
        ("utf-16le", "utf-16-le", "3 €"),
        ("utf-16be", "utf-16-be", "3 €"),
        ("utf-16", "utf-16", "3 €"),
        ("utf-32le", "utf-32-le", "3 €"),
        ("utf-32be", "utf-32-be", "3 €"),
        ("utf-32", "utf-32", "3 €"),
    ]
    for declared, charset, text in rows:
        headers, body = sign({"price": text}, SECRET, timestamp=NOW)
        headers["content-type"] = f"application/json; charset={declared}"
        verdict = verify(headers, body.decode().encode(charset), SECRET, now=NOW)
        assert (verdict.status, verdict.signed_form) == (Status.REENCODED, f"decoded-{charset}")


def test_body_of_up_to_1_mib_is_recognized_in_another_form() -> None:
    rows: list[tuple[Any, Any]] = [(2**20, Status.REENCODED), (2**20 + 1, Status.INVALID)]
    for size, status in rows:
        document = {"filler": "x" * (size - len(json.dumps({"filler": ""})))}
        headers, _ = sign(document, SECRET, timestamp=NOW)
        body = json.dumps(document).encode()
        assert len(body) == size
        assert verify(headers, body, SECRET, now=NOW).status is status
