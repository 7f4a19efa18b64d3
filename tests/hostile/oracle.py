"""A second implementation of verification, from docs/reference/signatures.md alone and without port-hook's code.

Header names and values are Latin-1 texts of the bytes on the wire.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

Fields = Sequence[tuple[str, str]]


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """Return Port's value of `x-port-signature`."""
    message = timestamp.encode("latin-1") + b"." + body
    mac = hmac.new(secret.encode("utf-8", "surrogatepass"), message, hashlib.sha256)
    return "v1," + base64.b64encode(mac.digest()).decode()


def is_valid(fields: Fields, body: bytes, secret: str, *, now: float, tolerance_s: float = 300) -> bool:
    """Return whether Port signed exactly these bytes with `secret`, at most `tolerance_s` seconds from `now`.

    If a header is repeated, the first value that is not empty counts.
    """
    signature, timestamp = _first(fields, "x-port-signature"), _first(fields, "x-port-timestamp")
    age_s = _age_s(timestamp, now)
    if age_s is None or not secret:
        return False
    return signature == sign(secret, timestamp, body) and abs(age_s) <= tolerance_s


def _first(fields: Fields, name: str) -> str:
    values = (value.strip(" \t") for key, value in fields if key.lower() == name)
    return next((value for value in values if value), "")


def _age_s(timestamp: str, now: float) -> float | None:
    """Return the age of a whole number of seconds, or of milliseconds from 100,000,000,000 on; None for other text."""
    digits = timestamp.removeprefix("-")
    if not 1 <= len(digits) <= 18 or not set(digits) <= set("0123456789"):
        return None
    number = int(timestamp)
    return now - (number / 1000 if number >= 100_000_000_000 else number)
