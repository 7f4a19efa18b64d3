"""The inputs of a run: the given values, the action's declarations, and the violations.

Port's pages "User inputs" and "Advanced input configurations" describe the rules. A declaration is JSON Schema with
Port's own formats. A `default`, `enum`, `visible` and other keywords, and the list of required inputs, may be
`{"jqQuery": …}`, which Port evaluates with the form, the entity and the user. A hidden input (`displayCondition` in
older actions) or a disabled input is never required, but its default is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from port_hook_cli.actions.action import BadAction
from port_hook_cli.actions.encryption import Scheme
from port_hook_cli.errors import UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.javascript.values import read_json, write_json

JQ = "jqQuery"
_HIDING = {"visible": False, "displayCondition": False, "disabled": True}
_LEFT_TO_PORT = frozenset({"dataset", "default"})
_ENTITY = "entity"


@frozen
class Violation:
    """One input violates its declaration.

    `message` continues a sentence that begins with the input's name. It never contains the input's value.
    """

    input: str
    message: str


class InvalidInputs(UsageError):
    """Port would reject the inputs. `violations` contains every reason."""

    options_hint = "Pass inputs with --input NAME=VALUE or --input @FILE."

    def __init__(self, action: str, violations: Sequence[Violation]) -> None:
        lines = [f"  {each.input} {each.message}" for each in violations]
        # Each caller adds its own hint, because users pass inputs in different ways.
        super().__init__("\n".join([f"Port would reject these inputs of {action}:", *lines]))
        self.violations = tuple(violations)


@frozen(kw_only=True)
class Rules:
    """The declarations of one run, with each `jqQuery` replaced by its result, and the names of the required inputs."""

    declared: Mapping[str, Mapping[str, Any]]
    required: tuple[str, ...] = ()


@frozen
class Encryption:
    """How an input is encrypted. `key` is the public key (PEM), if the scheme uses one."""

    scheme: Scheme
    key: str = ""


def parse_input(text: str, declared: Mapping[str, Any] | None) -> tuple[str, Any]:
    """Return the name and value of `NAME=VALUE`, parsed by the input's declared type, or of `NAME:=JSON`.

    A value that doesn't have the declared type stays text, so the later check rejects it. Raises UsageError for text in
    any other form. The error never quotes a value.
    """
    name, equals, value = text.partition("=")
    is_json = name.endswith(":")
    name = name.removesuffix(":")
    if not equals or not name:
        raise UsageError("--input is not NAME=VALUE.", hint="Write it like --input cpu=4 or --input 'tags:=[\"a\"]'.")
    rules = _rules(declared or {}, name)
    kind = rules.get("type", "string")
    is_text = kind == "string" or (isinstance(kind, list) and "string" in kind)
    if not is_json and is_text and not (rules.get("format") == _ENTITY and value.startswith("{")):
        return name, value
    try:
        return name, read_json(value)
    except NotJson as error:
        if is_json:
            raise UsageError(f"--input {name}: {error}.", hint=f"Write text as {name}=TEXT.") from error
        return name, value


def plain_defaults(declared: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fixed defaults of the inputs without a given value."""
    return {
        name: default
        for name, rules in _each(declared)
        if name not in given and (default := rules.get("default")) is not None and query_in(default) is None
    }


def default_queries(declared: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, str]:
    """Return the jq programs that compute the defaults of the inputs without a given value."""
    return {
        name: query
        for name, rules in _each(declared)
        if name not in given and (query := query_in(rules.get("default"))) is not None
    }


def rule_queries(declared: Mapping[str, Any], required: Any) -> tuple[str, ...]:
    """Return the jq programs of all declarations except the defaults, without duplicates."""
    parts = [required, *(part for _, rules in _each(declared) for part in _parts(rules))]
    return tuple(dict.fromkeys(query for part in parts if (query := query_in(part)) is not None))


def form_queries(declared: Mapping[str, Any], required: Any) -> tuple[str, ...]:
    """Return all jq programs of a form, without duplicates: for defaults, other keywords and the required inputs."""
    return tuple(dict.fromkeys([*default_queries(declared, {}).values(), *rule_queries(declared, required)]))


def settle(declared: Mapping[str, Any], required: Any, results: Mapping[str, Any]) -> Rules:
    """Return the rules with each jq program replaced by its result in `results`. A result of None means failure."""
    settled = {name: _settled(rules, results) for name, rules in _each(declared)}
    wanted = _with_result(required, results)
    names = [name for name in wanted if isinstance(name, str)] if isinstance(wanted, list | tuple) else []
    names += [name for name, rules in settled.items() if rules.get("required") is True]
    shown = {name for name, rules in settled.items() if not is_hidden(rules)}
    return Rules(declared=settled, required=tuple(name for name in dict.fromkeys(names) if name in shown))


def missing(rules: Rules, values: Mapping[str, Any]) -> Iterator[Violation]:
    """Yield a violation for each required input without a value, and for each value without a declaration."""
    for name in rules.required:
        if values.get(name) is None:
            yield Violation(name, "is required")
    for name in values:
        if name not in rules.declared:
            yield Violation(name, f"is not an input. The inputs are: {', '.join(rules.declared) or 'none'}")


def query_in(value: Any) -> str | None:
    """Return the jq program of `{"jqQuery": …}`, or None for any other value."""
    query = value.get(JQ) if isinstance(value, Mapping) else None
    return query if isinstance(query, str) else None


def secret_texts(declared: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[str]:
    """Yield every text in the values of encrypted inputs. None of these texts may be shown."""
    for name, rules in _each(declared):
        if rules.get("encryption") is not None:
            yield from _texts(values.get(name))


def as_sent(rules: Mapping[str, Any], value: Any) -> Any:
    """Return a value in the form that a run's properties have: an entity becomes its identifier."""
    if isinstance(value, list) and isinstance(rules.get("items"), Mapping):
        return [as_sent(rules["items"], element) for element in value]
    if rules.get("format") == _ENTITY and isinstance(value, Mapping) and isinstance(value.get("identifier"), str):
        return value["identifier"]
    return value


def as_seen(rules: Mapping[str, Any], value: Any) -> Any:
    """Return a value in the form that templates see: an entity becomes an object, perhaps with only its identifier."""
    if isinstance(value, list) and isinstance(rules.get("items"), Mapping):
        return [as_seen(rules["items"], element) for element in value]
    if rules.get("format") == _ENTITY and isinstance(value, str):
        return {"identifier": value, "title": value, "blueprint": rules.get("blueprint")}
    return value


def seen_form(declared: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return all values in the form that templates see."""
    return {name: as_seen(_rules(declared, name), value) for name, value in values.items()}


def encryption_of(name: str, rules: Mapping[str, Any]) -> Encryption | None:
    """Return how an input is encrypted, or None if it isn't. Raises BadAction for a scheme that Port does not have."""
    said = rules.get("encryption")
    if said is None:
        return None
    algorithm = said.get("algorithm") if isinstance(said, Mapping) else said
    if algorithm not in list(Scheme):
        raise BadAction(f"encrypts its input {name} with {algorithm!r}; Port supports {' and '.join(Scheme)}")
    key = said.get("key") if isinstance(said, Mapping) else None
    if algorithm == Scheme.CLIENT_SIDE and not isinstance(key, str):
        raise BadAction(f"encrypts its input {name} client-side, but has no `key` for it")
    return Encryption(Scheme(algorithm), key if isinstance(key, str) else "")


def plaintext_of(value: Any) -> bytes:
    """Return the bytes to encrypt: a string in UTF-8, or the JSON.stringify text of any other value in UTF-8."""
    return (value if isinstance(value, str) else write_json(value)).encode("utf-8", "surrogatepass")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner)


def _each(declared: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((name, _rules(declared, name)) for name in declared)


def _rules(declared: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    rules = declared.get(name)
    return rules if isinstance(rules, Mapping) else {}


def _parts(rules: Mapping[str, Any]) -> Iterable[Any]:
    parts = [value for key, value in rules.items() if key not in _LEFT_TO_PORT]
    items = rules.get("items")
    return [*parts, *(_parts(items) if isinstance(items, Mapping) else ())]


def _settled(rules: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, Any]:
    settled = {
        key: _with_result(value, results)
        for key, value in rules.items()
        if key not in _LEFT_TO_PORT and (key in _HIDING or _with_result(value, results) is not None)
    }
    if isinstance(rules.get("items"), Mapping):
        settled["items"] = _settled(rules["items"], results)
    return settled


def _with_result(value: Any, results: Mapping[str, Any]) -> Any:
    query = query_in(value)
    return value if query is None else results.get(query)


def is_hidden(rules: Mapping[str, Any]) -> bool:
    """Return whether users cannot fill in an input. A failed expression evaluates to null, which counts as false."""
    return any(key in rules and (rules[key] is True) is hides for key, hides in _HIDING.items())


KEYWORDS = frozenset(
    {
        *("type", "enum", "const", "format", "pattern", "minLength", "maxLength", "minimum", "maximum"),
        *("exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems", "maxItems", "uniqueItems", "items"),
    }
)
"""The keywords of a declaration that port-hook checks. All others are Port's own, such as icons and colors."""

_MESSAGES = {
    "enum": "must be equal to one of the allowed values: {limit}",
    "const": "must be equal to constant",
    "format": 'must match format "{limit}"',
    "pattern": 'must match pattern "{limit}"',
    "minLength": "must NOT have fewer than {limit} characters",
    "maxLength": "must NOT have more than {limit} characters",
    "minimum": "must be >= {limit}",
    "maximum": "must be <= {limit}",
    "exclusiveMinimum": "must be > {limit}",
    "exclusiveMaximum": "must be < {limit}",
    "multipleOf": "must be multiple of {limit}",
    "minItems": "must NOT have fewer than {limit} items",
    "maxItems": "must NOT have more than {limit} items",
    "uniqueItems": "must NOT have duplicate items",
}
_MAX_CHOICES = 20
_MARK = r"(?s)\\.|\[|\]|\$|\(\?<(?![=!])|."
_ASCII_CLASSES = {r"\d": "0-9", r"\w": "A-Za-z0-9_"}
_NOT_ASCII_CLASSES = {r"\D": "[^0-9]", r"\W": "[^A-Za-z0-9_]"}


@frozen
class Fault:
    """A violated keyword, the keyword's value, and the path of the violation in the input (indices of arrays)."""

    keyword: str
    limit: Any
    path: tuple[str | int, ...] = ()


def schema_of(rules: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema part of a declaration."""
    schema = {key: value for key, value in rules.items() if key in KEYWORDS}
    if isinstance(schema.get("items"), Mapping):
        schema["items"] = schema_of(schema["items"])
    else:
        schema.pop("items", None)
    return schema


def fault_message(fault: Fault) -> str:
    """Return the message of Port's validator for a violation. It never contains the input, which may be a secret."""
    where = "".join(f"[{step}] " if isinstance(step, int) else f".{step} " for step in fault.path)
    if fault.keyword == "type":
        kinds = fault.limit if isinstance(fault.limit, list) else [fault.limit]
        return f"{where}must be {' or '.join(map(str, kinds))}"
    limit = fault.limit
    if isinstance(limit, list):
        limit = ", ".join(map(str, limit[:_MAX_CHOICES])) + (", …" if len(limit) > _MAX_CHOICES else "")
    return where + _MESSAGES.get(fault.keyword, "is invalid").format(limit=limit)


def python_pattern(pattern: str) -> str:
    r"""Translate a JavaScript pattern to Python: `$` matches only at the end, and `\d` and `\w` match only ASCII."""
    in_class = False
    parts = []
    for mark in re.findall(_MARK, pattern):
        if mark in _ASCII_CLASSES:
            parts.append(_ASCII_CLASSES[mark] if in_class else f"[{_ASCII_CLASSES[mark]}]")
        elif mark in _NOT_ASCII_CLASSES and not in_class:
            parts.append(_NOT_ASCII_CLASSES[mark])
        elif mark == "$" and not in_class:
            parts.append(r"\Z")
        elif mark == "(?<" and not in_class:
            parts.append("(?P<")
        elif mark == "[" and in_class:
            parts.append(r"\[")
        else:
            in_class = mark == "[" or (in_class and mark != "]")
            parts.append(mark)
    return "".join(parts)
