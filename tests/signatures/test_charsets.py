"""A body that was converted to another character set on its way."""

from __future__ import annotations

import pytest

from port_hook_cli import Status, sign, verify

SECRET = "a-client-secret-of-thirty-two-characters"
NOW = 1_700_000_000


@pytest.mark.parametrize(
    ("declared", "charset", "text"),
    [
        ("ISO-8859-1", "latin-1", "é"),
        ("iso8859-1", "latin-1", "é"),
        ("latin-1", "latin-1", "é"),
        ("latin1", "latin-1", "é"),
        ("iso-8859-15", "iso-8859-15", "3 €"),
        ("windows-1252", "cp1252", "3 €"),
        ("cp1252", "cp1252", "3 €"),
        ("utf-16le", "utf-16-le", "3 €"),
        ("utf-16be", "utf-16-be", "3 €"),
        ("utf-16-be", "utf-16-be", "3 €"),
        ("utf-16", "utf-16", "3 €"),
        ("utf-32le", "utf-32-le", "3 €"),
        ("utf-32be", "utf-32-be", "3 €"),
        ("utf-32", "utf-32", "3 €"),
    ],
)
def test_a_body_in_the_declared_character_set_is_recognized(declared: str, charset: str, text: str) -> None:
    headers, body = sign({"price": text}, SECRET, timestamp=NOW)
    headers["content-type"] = f"application/json; charset={declared}"
    verdict = verify(headers, body.decode().encode(charset), SECRET, now=NOW)
    assert (verdict.status, verdict.reading) == (Status.REENCODED, f"decoded-{charset}")


@pytest.mark.parametrize("declared", ["utf-8", "iso-8859-1", "windows-1252"])
def test_body_in_another_character_set_than_declared_is_invalid(declared: str) -> None:
    headers, body = sign({"price": "3 €"}, SECRET, timestamp=NOW)
    headers["content-type"] = f"application/json; charset={declared}"
    assert verify(headers, body.decode().encode("iso-8859-15"), SECRET, now=NOW).status is Status.INVALID
