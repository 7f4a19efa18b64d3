"""Checks the values of inputs with the `jsonschema` package: JSON Schema and Port's own formats."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
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
_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
}
_SEARCH_TIMEOUT_S = 0.5
_MAX_FAULTS = 5


def find_faults(rules: Mapping[str, Any], value: Any) -> list[Fault]:
    """Return the rules of a declared input that `value` violates. No fault contains the value.

    Raises BadAction for a declaration that is not a valid schema.
    """
    schema = schema_of(rules)
    if _is_of_its_type(schema, value):
        return []
    validator_class, checker = _library()
    for error in validator_class(validator_class.META_SCHEMA).iter_errors(schema):
        where = ".".join(map(str, error.absolute_path))
        raise BadAction(f"at `{where or 'its top level'}`: {error.message}")
    errors = validator_class(schema, format_checker=checker).iter_errors(value)
    return [Fault(error.validator, error.validator_value, tuple(error.absolute_path)) for error in errors]


def _is_of_its_type(schema: Mapping[str, Any], value: Any) -> bool:
    """Return whether the schema has only a type and maybe choices, and the value is clearly of that type.

    Most declarations are that simple, and don't need the library. Importing it takes as long as everything else that
    `trigger` does.
    """
    kind, choices = schema.get("type"), schema.get("enum")
    if schema.keys() - {"type", "enum"} or not isinstance(kind, str) or type(value) not in _PYTHON_TYPES.get(kind, ()):
        return False
    return "enum" not in schema or (kind == "string" and isinstance(choices, list) and value in choices)


def argument_faults(schema: Mapping[str, Any], arguments: Any) -> list[str]:
    """Return why arguments do not match one of our JSON Schemas: at most five faults, each in one short line."""
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

    checker = FormatChecker(formats=("ipv4", "ipv6"))
    for name, is_of in _FORMATS.items():
        checker.checks(name)(lambda value, is_of=is_of: not isinstance(value, str) or is_of(value))
    return extend(Draft202012Validator, {"pattern": pattern}), checker  # type: ignore[no-untyped-call]


def _matches(pattern: str, text: str) -> bool:
    """Whether a JavaScript pattern is found in a text.

    Also True for a pattern that is unreadable here or takes too long: Port decides.
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


_FORMATS = {
    "url": _is_url,
    "uri": _is_url,
    "email": _is_email,
    "user": _is_email,
    "date-time": _is_date_time,
    "timer": _is_date_time,
    "date": _is_date,
    "yaml": is_yaml,
}
