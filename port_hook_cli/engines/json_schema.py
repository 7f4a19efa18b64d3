"""Values against declared inputs, with the `jsonschema` package: JSON Schema and Port's own formats."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from port_hook_cli.actions.action import BadAction
from port_hook_cli.actions.schema import Fault, python_pattern, schema_of

_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)+")
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:?\d\d)", re.ASCII)


_LONGEST_SEARCH_S = 1.0
_MOST_STEPS = 1_000_000
_is_nested = re.compile(r"\)[*+?{]|\\[1-9k]").search
_repeats = re.compile(r"[*+?]|\{[0-9]*,").findall
# It ends by itself where this process is killed. Text comes on stdin: it may be a secret.
_SEARCH = """
import json, re, signal, sys
getattr(signal, "alarm", int)(3)
pattern, text = json.load(sys.stdin)
print("found" if re.search(pattern, text) else "none")
"""


def find_faults(rules: Mapping[str, Any], value: Any) -> list[Fault]:
    """Return what `value` does not fulfil of a declared input, in no value's words.

    Raises BadAction for a declaration that is no schema.
    """
    validator_class, checker = _library()
    schema = schema_of(rules)
    for error in validator_class(validator_class.META_SCHEMA).iter_errors(schema):
        where = ".".join(map(str, error.absolute_path))
        raise BadAction(f"at `{where or 'its top'}`: {error.message}")
    errors = validator_class(schema, format_checker=checker).iter_errors(value)
    return [Fault(error.validator, error.validator_value, tuple(error.absolute_path)) for error in errors]


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
    """Whether a JavaScript pattern is found in a text; one that Python cannot read, or not in time, is left to Port."""
    written = python_pattern(pattern)
    try:
        compiled = re.compile(written)
    except (re.error, RecursionError, OverflowError):
        return True
    if _is_quick(pattern, text):
        return compiled.search(text) is not None
    try:
        done = subprocess.run(  # noqa: S603 - our own script
            [sys.executable, "-IS", "-c", _SEARCH],
            input=json.dumps([written, text]).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_LONGEST_SEARCH_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return True
    return done.stdout.strip() != b"none"


def _is_quick(pattern: str, text: str) -> bool:
    """Whether a search ends soon for certain; `(a+)+$` takes ages, and only the end of a process stops it.

    Where no group is repeated and none is referred to, looking for where it begins and each repeat of no fixed length
    take one more turn through the text at the most.
    """
    return not _is_nested(pattern) and (len(text) + 1) ** (1 + len(_repeats(pattern))) <= _MOST_STEPS


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


def _is_yaml(text: str) -> bool:
    import yaml

    try:
        for _ in yaml.parse(text, yaml.SafeLoader):
            pass
    except yaml.YAMLError:
        return False
    return True


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
    "yaml": _is_yaml,
}
