"""Read and write JSON like Node.js: `JSON.parse` to Python values, and `JSON.stringify` of Python values.

A number is an int if a double holds it exactly (up to 2**53), otherwise a float. So large integers lose the same digits
as in Node.js. Repeated keys and keys that are array indices are in JavaScript's order.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from port_hook_cli.javascript.nesting import nests_too_deep
from port_hook_cli.javascript.stringify import NotJson, format_double, stringify

_MAX_SAFE = 2**53
_MAX_INDEX = 2**32 - 2
_has_long_number = re.compile(r"[0-9]{16}").search
_is_index = re.compile(r"0|[1-9][0-9]{0,9}").fullmatch
_LARGEST = int(1.7976931348623157e308)
# Python and JavaScript write fractions of 1e-4 and more, and all numbers of 1e21 and more, in the same way.
_SMALLEST_PLAIN, _SMALLEST_EXPONENT = 1e-4, 1e21
_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_has_surrogate = re.compile("[\ud800-\udfff]").search


def read_json(text: str) -> Any:
    """Return `JSON.parse(text)`.

    Raises NotJson if JSON.parse would throw an error, or the nesting is too deep for Python.
    """
    return _read(stringify(text), float)


def read_result(text: str) -> Any:
    """Return the value of a result that jq wrote, with JavaScript's numbers.

    Keys stay in their order. The largest double is read as infinity, because jq writes infinity as this number, and
    nobody uses the number itself. Raises NotJson for nesting that is too deep for Python.
    """
    return _read(text, _fraction)


def _read(text: str, read_fraction: Callable[[str], float]) -> Any:
    if nests_too_deep(text):
        raise NotJson("nested too deep")
    try:
        if not _has_long_number(text):
            return json.loads(text)
        return json.loads(text, parse_int=_whole_number, parse_float=read_fraction)
    except RecursionError:
        raise NotJson("nested too deep") from None


def _fraction(digits: str) -> float:
    number = float(digits)
    return math.copysign(math.inf, number) if abs(number) >= _LARGEST else number


def _whole_number(digits: str) -> int | float:
    number = int(digits) if len(digits) < 400 else math.inf  # noqa: PLR2004 - no double has as many digits
    if -_MAX_SAFE <= number <= _MAX_SAFE:
        return number
    return math.copysign(math.inf, number) if abs(number) >= _LARGEST else float(number)


def write_json(value: Any, indent: str = "") -> str:
    """Return `JSON.stringify(value, null, indent)` of a JSON value. Infinity and NaN become null.

    Raises NotJson if the value is not a JSON value or is nested too deeply.
    """
    if not indent and (text := _write_plain(value)) is not None:
        return text
    try:
        text = json.dumps(value, ensure_ascii=False)
        if "Infinity" in text or "NaN" in text:
            text = json.dumps(_finite(value), ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise NotJson(str(error)) from None
    except RecursionError:
        raise NotJson("nested too deep") from None
    return stringify(text, indent)


class _NotPlain(Exception):
    """A value that Python and JavaScript write in different ways."""


def _write_plain(value: Any) -> str | None:
    """Return the result of `write_json`, or None if only the slower `stringify` can write the value.

    Most documents do not need `stringify`, and Python's own encoder is five times as fast.
    """
    try:
        text = _compact(_plain(value))
    except (_NotPlain, RecursionError, ValueError, OverflowError):
        return None
    return text if text.isascii() or not _has_surrogate(text) else None


def _plain(value: Any) -> Any:
    """Return `value` with its numbers replaced, so that Python writes the same digits as JavaScript for `value`.

    Raises _NotPlain for other types, keys that may be in another order, and numbers that the two languages write
    differently.
    """
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return value
    if kind is dict:
        return {key if type(key) is str and key >= ":" else _reject(): _plain(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [_plain(element) for element in value]
    if kind is int and -_MAX_SAFE <= value <= _MAX_SAFE:
        return value
    if kind is float or kind is int:
        return _plain_number(float(value))
    raise _NotPlain


def _reject() -> Any:
    # Such a key may be an array index, which JavaScript puts first.
    raise _NotPlain


def _plain_number(value: float) -> float | int | None:
    size = abs(value)
    if not math.isfinite(value):
        return None
    if size < _SMALLEST_EXPONENT and value.is_integer():
        return int(value) if size <= _MAX_SAFE else int(format_double(value))
    if size >= _SMALLEST_PLAIN:
        return value
    raise _NotPlain


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_finite(element) for element in value]
    if isinstance(value, Mapping):
        return {key: _finite(element) for key, element in value.items()}
    return value


def js_entries(value: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Return the members in the order of `Object.entries`: array indices ascending, then other keys in their order."""
    indices = [key for key in value if key[:1].isdigit() and _is_index(key) and int(key) <= _MAX_INDEX]
    if not indices:
        return value.items()
    first = {key: value[key] for key in sorted(indices, key=int)}
    return [*first.items(), *((key, element) for key, element in value.items() if key not in first)]


def same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal. The order of keys does not matter. 1 equals 1.0, but not true."""
    pairs = [(one, other)]
    while pairs:  # a loop, because documents may be nested deeper than Python's stack
        left, right = pairs.pop()
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            if left.keys() != right.keys():
                return False
            pairs += [(value, right[name]) for name, value in left.items()]
        elif isinstance(left, list) and isinstance(right, list):
            if len(left) != len(right):
                return False
            pairs += zip(left, right, strict=True)
        elif _equal_kind(left) != _equal_kind(right) or left != right:
            return False
    return True


def _equal_kind(value: Any) -> type:
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)
