"""Checks the values of inputs with the `jsonschema` package: JSON Schema and Port's own formats."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from functools import cache
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from port_hook_cli.actions.action import BadAction
from port_hook_cli.actions.inputs import Fault, python_pattern, schema_of
from port_hook_cli.files.documents import is_yaml
from port_hook_cli.text.safe import brief

_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)+")
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:?\d\d)", re.ASCII)
_FORMATS_OF_THE_LIBRARY = ("ipv4", "ipv6")
_SEARCH_TIMEOUT_S = 0.5
_MAX_FAULTS = 5


def find_faults(rules: Mapping[str, Any], value: Any) -> list[Fault]:
    """Return the rules of a declared input that `value` violates. The returned faults don't contain the value.

    Raises BadAction for a declaration that is not a valid schema.
    """
    schema = schema_of(rules)
    if _is_clearly_valid(schema, value):
        return []
    validator_class, checker = _library()
    for error in validator_class(validator_class.META_SCHEMA).iter_errors(schema):
        where = ".".join(map(str, error.absolute_path))
        raise BadAction(f"at `{where or 'its top level'}`: {error.message}")
    errors = validator_class(schema, format_checker=checker).iter_errors(value)
    return [Fault(error.validator, error.validator_value, tuple(error.absolute_path)) for error in errors]


def _is_clearly_valid(schema: Mapping[str, Any], value: Any) -> bool:
    """Return whether a value is clearly valid: each keyword is in `_CLEAR`, has a valid limit, and the value obeys it.

    Most declarations and values are that simple. For such values, `trigger` does not need to import the library, which
    would take a third of the command's time. The library checks everything else, and also describes the faults.
    """
    for keyword, limit in schema.items():
        if keyword not in _CLEAR:
            return False
        limits, values, obeys = _CLEAR[keyword]
        if type(limit) not in limits or type(value) not in values or not obeys(limit, value):
            return False
    return True


def argument_faults(schema: Mapping[str, Any], arguments: Any) -> list[str]:
    """Return why arguments do not match one of port-hook's JSON Schemas: at most five faults, each in a short line."""
    from jsonschema import Draft202012Validator

    errors = islice(Draft202012Validator(schema).iter_errors(arguments), _MAX_FAULTS)
    return [brief(f"{'.'.join(map(str, error.absolute_path)) or 'arguments'}: {error.message}") for error in errors]


@cache
def _library() -> tuple[Any, Any]:
    from jsonschema import Draft202012Validator, FormatChecker, ValidationError
    from jsonschema.validators import extend

    def pattern(_: Any, wanted: str, instance: Any, __: Any) -> Iterator[Any]:
        if isinstance(instance, str) and not _matches(wanted, instance):
            yield ValidationError("no match")

    checker = FormatChecker(formats=_FORMATS_OF_THE_LIBRARY)
    for name, is_of in _FORMATS.items():
        checker.checks(name)(lambda value, is_of=is_of: not isinstance(value, str) or is_of(value))
    return extend(Draft202012Validator, {"pattern": pattern}), checker  # type: ignore[no-untyped-call]


def _matches(pattern: str, text: str) -> bool:
    """Return whether a JavaScript pattern is found in text.

    Also return True for a pattern that port-hook cannot read or that takes too long, because Port decides about it.
    """
    import regex

    try:
        return regex.search(python_pattern(pattern), text, timeout=_SEARCH_TIMEOUT_S) is not None
    except (regex.error, RecursionError, TimeoutError):
        return True


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https", "ftp"} and bool(parts.hostname) and not re.search(r"\s", text)


def _is_date_time(text: str) -> bool:
    if not _DATE_TIME.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text.upper().replace(" ", "T"))
    except ValueError:
        return False
    return True


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _is_email(text: str) -> bool:
    return _EMAIL.fullmatch(text) is not None


def _is_clearly_of_format(name: str, text: str) -> bool:
    """Return whether text has this format.

    A format that port-hook does not check, such as `team`, allows any text.
    """
    return name not in _FORMATS_OF_THE_LIBRARY and (name not in _FORMATS or _FORMATS[name](text))


_FORMATS: Mapping[str, Callable[[str], bool]] = {
    "url": _is_url,
    "uri": _is_url,
    "email": _is_email,
    "user": _is_email,
    "date-time": _is_date_time,
    "timer": _is_date_time,
    "date": _is_date,
    "yaml": is_yaml,
}

_NUMBER = (int, float)
_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "number": _NUMBER,
    "boolean": (bool,),
    "object": (dict,),
}
# Each keyword has the types of its limit, the types of a value, and a function that returns whether a value obeys the
# limit. The types are compared with `type`, so a boolean is not a number.
_CLEAR: Mapping[str, tuple[tuple[type, ...], tuple[type, ...], Callable[[Any, Any], bool]]] = {
    "type": ((str,), (str, *_NUMBER, bool, dict), lambda kind, value: type(value) in _PYTHON_TYPES.get(kind, ())),
    "enum": ((list,), (str, *_NUMBER), lambda all_, value: any(type(one) is not bool and one == value for one in all_)),
    "format": ((str,), (str,), _is_clearly_of_format),
    "pattern": ((str,), (str,), _matches),
    "minLength": ((int,), (str,), lambda least, value: 0 <= least <= len(value)),
    "maxLength": ((int,), (str,), lambda most, value: len(value) <= most),
    "minimum": (_NUMBER, _NUMBER, lambda least, value: least <= value),
    "maximum": (_NUMBER, _NUMBER, lambda most, value: value <= most),
}
