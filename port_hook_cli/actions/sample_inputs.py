"""Generate sample values for an action's inputs, and inputs that its handler probably cannot process.

Each value is a guess that port-hook checks against the declaration. If no guess is valid, for example because of an
unusual `pattern`, the input is left out. Inputs with jq rules are left out too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

from port_hook_cli.actions.action import BadAction
from port_hook_cli.actions.inputs import KEYWORDS, Fault, is_hidden, query_in

FindFaults = Callable[[Mapping[str, Any], Any], Sequence[Fault]]
"""Checks a value against a declaration, like `find_faults` in engines/json_schema.py. Raises BadAction."""

_MAX_CHARACTERS = 10_000
_MAX_ITEMS = 100
_MAX_GUESSES = 300
_MAX_LEVELS = 5

_PLAIN_KINDS = frozenset({"string", "number", "integer", "boolean"})
_NUMERIC = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
_OF_ARRAYS = frozenset({"items", "minItems", "maxItems", "uniqueItems"})

_URLS = ("https://example.com/sample-{n}", "http://a.io/{n}")
_EMAILS = ("user{n}@example.com", "a{n}@b.io")
_DATE_TIMES = ("2030-01-01T12:{n:02}:00Z",)
_TEXTS_OF_FORMAT = {
    "url": _URLS,
    "uri": _URLS,
    "email": _EMAILS,
    "user": _EMAILS,
    "team": ("team-{n}",),
    "entity": ("sample", "sample-{n}"),
    "date-time": _DATE_TIMES,
    "timer": _DATE_TIMES,
    "date": ("2030-01-{n:02}",),
    "time": ("12:{n:02}:00Z",),
    "ipv4": ("10.0.0.{n}",),
    "ipv6": ("2001:db8::{n}",),
    "uuid": ("00000000-0000-4000-8000-{n:012}",),
    "yaml": ("sample: {n}",),
    "proto": ('syntax = "proto3";',),
}
_TEXTS = ("sample", "sample-{n}", "s{n}", "{n}")
"""The texts for other formats, and for inputs without a format. `{n}` is the position of the value among several."""

_TEXTS_FOR_PATTERNS = (
    *("Sample", "SAMPLE", "sample_1", "sample.1", "Sample-1", "Sample1!", "Sample text", "Sample Name"),
    *("sample/sample", "/sample", "@sample", "true", "{}", ""),
    *("10", "0.5", "1.0", "1.0.0", "v1.0.0", "12:00", "2030-01-01", "2030-01-01T12:00:00Z", "1h", "10m", "1d", "10Gi"),
    *("00000000-0000-4000-8000-000000000001", "10.0.0.1", "10.0.0.0/16", "example.com", "https://example.com"),
    *("user@example.com", "eu-west-1", "eu-west-1a", "arn:aws:iam::123456789012:role/sample", "s3://sample"),
    *("ABC-1", "ABC-123", "ABC-1234", "AB12", "#336699", "+12025550100"),
)
_ALPHABETS = ("sample", "SAMPLE", "1234567890", "1a2b3c4d5e", "1A2B3C4D5E")
_LITERAL = re.compile(r"[\w ./:@#-]{1,60}", re.ASCII)
_LITERAL_BEGINNING = re.compile(r"\^?\(?([\w./:@#-]+)(?![*+?{\w])", re.ASCII)
_LITERAL_END = re.compile(r"(?<=[\])}*+?])([\w./:@#-]+)\)?\$?\Z", re.ASCII)
_REPETITION = re.compile(r"\{([0-9]{1,3})[,}]")
_ESCAPED = re.compile(r"\\([^A-Za-z0-9])")


def sample_inputs(
    declared: Mapping[str, Any], required: Any, given: Mapping[str, Any], *, check: FindFaults
) -> dict[str, Any]:
    """Return sample values for inputs that are not `given`: required inputs, and optional text, numbers and choices.

    `required` is a list of names, or a `jqQuery`, which may require every input. Inputs with a default are left out,
    because Port sends the default. Optional hidden inputs are also left out. No value is null.
    """
    samples: dict[str, Any] = {}
    for name, rules in declared.items():
        if name in given or not isinstance(rules, Mapping) or rules.get("default") is not None:
            continue
        if _is_needed(name, rules, required) or (_is_plain(rules) and not is_hidden(rules)):
            value = _sample(rules, check)
            if value is not None:
                samples[name] = value
    return samples


def _is_needed(name: str, rules: Mapping[str, Any], required: Any) -> bool:
    """Return whether the form may be invalid without an input. An input that jq may hide counts as visible."""
    if is_hidden({key: value for key, value in rules.items() if query_in(value) is None}):
        return False
    named = isinstance(required, list | tuple) and name in required
    said = rules.get("required")
    return named or said is True or query_in(said) is not None or query_in(required) is not None


def _is_plain(rules: Mapping[str, Any]) -> bool:
    return "enum" in rules or "const" in rules or _kind(rules) in _PLAIN_KINDS


def _kind(rules: Mapping[str, Any]) -> str:
    """Return the first type of an input, or the type that its other keywords imply."""
    kinds = rules.get("type")
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if isinstance(kind, str) and kind != "null":
            return kind
    if not _OF_ARRAYS.isdisjoint(rules):
        return "array"
    return "string" if _NUMERIC.isdisjoint(rules) else "number"


def _sample(rules: Mapping[str, Any], check: FindFaults) -> Any:
    """Return a valid value, or None if no guess is valid."""
    if not _is_known(rules):
        return None
    try:
        check(rules, None)  # after this check, the keywords have the types that JSON Schema requires
        return next(_valid(rules, check, 1), None)
    except (BadAction, ArithmeticError, ValueError):
        return None


def _is_known(rules: Mapping[str, Any], levels: int = _MAX_LEVELS) -> bool:
    """Return whether an input has no `jqQuery`, and whether its arrays are nested at most `levels` deep."""
    items = rules.get("items")
    if any(query_in(rules.get(key)) is not None for key in KEYWORDS):
        return False
    return not isinstance(items, Mapping) or (levels > 0 and _is_known(items, levels - 1))


def _valid(rules: Mapping[str, Any], check: FindFaults, count: int) -> Iterator[Any]:
    """Yield valid values, at least `count` different ones if possible."""
    for guess in islice(_guesses(rules, check, count), _MAX_GUESSES):
        if guess is not None and not check(rules, guess):
            yield guess


def _guesses(rules: Mapping[str, Any], check: FindFaults, count: int) -> Iterator[Any]:
    if "const" in rules or "enum" in rules:
        yield from [rules["const"]] if "const" in rules else rules["enum"]
        return
    match _kind(rules):
        case "boolean":
            yield from (True, False)
        case "number" | "integer":
            yield from _numbers(rules, count)
        case "array":
            yield from _arrays(rules, check)
        case "object":
            yield {"name": "sample"}
        case _:
            yield from _texts(rules, count)


def _numbers(rules: Mapping[str, Any], count: int) -> Iterator[int | float]:
    """Yield 1 and 2, then numbers at the bounds: whole numbers, multiples, and fractions."""
    yield from range(1, max(count, 2) + 1)
    lows = [rules[key] for key in ("minimum", "exclusiveMinimum") if key in rules]
    highs = [rules[key] for key in ("maximum", "exclusiveMaximum") if key in rules]
    step = rules.get("multipleOf", 1)
    if lows:
        yield from (_whole(step * (math.ceil(max(lows) / step) + more)) for more in range(count + 1))
    elif highs:
        yield from (_whole(step * (math.floor(min(highs) / step) - less)) for less in range(count + 1))
    else:
        yield from (_whole(step * times) for times in range(1, count + 2))
    yield 0
    if lows and highs:
        width = min(highs) - max(lows)
        yield from (_whole(max(lows) + width * part / (count + 1)) for part in range(count + 2))


def _whole(number: float) -> int | float:
    whole = round(number)
    return whole if whole == number else number


def _arrays(rules: Mapping[str, Any], check: FindFaults) -> Iterator[list[Any]]:
    """Yield an array with as few items as possible (but one if possible), then the empty array."""
    count = int(min(max(rules.get("minItems", 0), 1), rules.get("maxItems", _MAX_ITEMS), _MAX_ITEMS))
    items = rules.get("items")
    values = _valid(items if isinstance(items, Mapping) else {}, check, count)
    yield _different(values, count) if rules.get("uniqueItems") else [*islice(values, 1)] * count
    yield []


def _different(values: Iterator[Any], count: int) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if len(found) == count:
            break
        if value not in found:
            found.append(value)
    return found


def _texts(rules: Mapping[str, Any], count: int) -> Iterator[str]:
    """Yield texts in the declared format, then texts for the pattern, all with the declared length."""
    least, most = int(rules.get("minLength", 0)), int(rules.get("maxLength", _MAX_CHARACTERS))
    if least > _MAX_CHARACTERS:
        return
    formats = _TEXTS_OF_FORMAT.get(str(rules.get("format")), _TEXTS)
    numbered = dict.fromkeys(text.format(n=number) for text in formats for number in range(1, count + 1))
    pattern = rules.get("pattern")
    for text in chain(numbered, () if pattern is None else _texts_for(pattern)):
        yield from _in_length(text, least, most)


def _in_length(text: str, least: int, most: int) -> Iterator[str]:
    if len(text) > most:
        yield text[:most]
    elif len(text) < least:
        missing = least - len(text)
        yield (text * least)[:least] if text.isalnum() else text + "a" * missing
        yield "a" * missing + text
    else:
        yield text


def _texts_for(pattern: str) -> Iterator[str]:
    """Yield texts that may match a regular expression: its literals, common formats, and repetitions."""
    literal = _ESCAPED.sub(r"\1", pattern)
    yield from _LITERAL.findall(literal)[:20]
    beginning, end = _LITERAL_BEGINNING.match(literal), _LITERAL_END.search(literal)
    around = (beginning[1] if beginning else "", end[1] if end else "")
    lengths = [int(length) for length in _REPETITION.findall(pattern)[:3]]
    middles = [
        "sample",
        "1",
        "SAMPLE",
        "1.0.0",
        "sample/sample",
        *((each * n)[:n] for n in lengths for each in _ALPHABETS),
    ]
    if any(around):
        yield from (f"{around[0]}{middle}{around[1]}" for middle in middles)
    yield from _TEXTS_FOR_PATTERNS
    yield from middles


class BadInputs(NamedTuple):
    """Inputs that the handler probably cannot process, and a name for them, such as `no inputs`."""

    name: str
    values: dict[str, Any]


def bad_inputs(values: Mapping[str, Any]) -> Iterator[BadInputs]:
    """Yield up to four variations of the inputs of a valid request, the most realistic variation first.

    Variations that equal `values` or an earlier variation are left out.
    """
    seen = [dict(values)]
    extremes = {name: _extreme(value) for name, value in values.items()}
    for bad in (
        BadInputs(_extremes_name(values), extremes),
        BadInputs("null for every input", dict.fromkeys(values)),
        BadInputs(
            "values of another type", {name: _OF_ANOTHER_TYPE[_type_of(value)] for name, value in values.items()}
        ),
        BadInputs("no inputs", {}),
    ):
        if bad.values not in seen:
            seen.append(bad.values)
            yield bad


_EXTREMES: Mapping[str, tuple[str, Any]] = {
    "string": ("empty text", ""),
    "number": ("negative numbers", -1),
    "boolean": ("inverted booleans", None),
    "array": ("empty lists", []),
    "object": ("empty objects", {}),
}
_OF_ANOTHER_TYPE = {
    "string": 12345,
    "number": "not a number",
    "boolean": "not a boolean",
    "array": "not a list",
    "object": "not an object",
    "null": "not null",
}


def _extremes_name(values: Mapping[str, Any]) -> str:
    found = {_type_of(value) for value in values.values()}
    *names, last = [name for kind, (name, _) in _EXTREMES.items() if kind in found] or ["extreme values"]
    return f"{', '.join(names)} and {last}" if names else last


def _extreme(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    return _EXTREMES.get(_type_of(value), ("", value))[1]


def _type_of(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case None:
            return "null"
        case _:
            return "object"
