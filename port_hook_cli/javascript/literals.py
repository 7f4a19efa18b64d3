"""Numbers and strings as JavaScript writes them: ECMA-262 Number::toString and QuoteJSONString."""

from __future__ import annotations

import math
import re
from json.encoder import encode_basestring

_surrogate = re.compile("[\ud800-\udfff]")
_pair = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def format_double(value: float) -> str:
    """Return a double as JSON.stringify writes it: as Number::toString does, or `null` for an infinity.

    Python finds the same shortest digits that read back as `value`. Only their layout differs.
    """
    if value == 0:
        return "0"
    if math.isinf(value):
        return "null"
    digits, point = _digits(abs(value))
    return ("-" if value < 0 else "") + _lay_out(digits, point)


def _digits(value: float) -> tuple[str, int]:
    """Return the shortest digits of `value` and the position of the point: value = 0.DIGITS * 10**point."""
    mantissa, _, exponent = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(digits) - len(fraction) + int(exponent or 0)
    return digits.rstrip("0"), point


def _lay_out(digits: str, point: int) -> str:
    if len(digits) <= point <= 21:  # noqa: PLR2004 - the bounds of Number::toString
        return digits.ljust(point, "0")
    if 0 < point <= 21:  # noqa: PLR2004
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:  # noqa: PLR2004
        return f"0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"


def quote(value: str) -> str:
    """Return `value` as QuoteJSONString writes it: with the escapes of Python's json, and lone surrogates escaped."""
    quoted = encode_basestring(value)
    # Only lone surrogates cannot be encoded. JavaScript escapes them in the same way.
    return quoted.encode("utf-8", "backslashreplace").decode() if _surrogate.search(quoted) else quoted


def join_halves(value: str) -> str:
    """Return `value` with each surrogate pair joined into one character, because JavaScript's strings are UTF-16."""
    return _pair.sub(lambda match: match[0].encode("utf-16", "surrogatepass").decode("utf-16"), value)
