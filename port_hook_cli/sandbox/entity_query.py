"""Search queries over entities: the rules and combinators in Port's reference of search and query.

A rule that the sandbox cannot check raises BadQuery, so that a query never wrongly seems to find nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from port_hook_cli.sandbox.checks import is_list_of_strings

Entity = Mapping[str, Any]
"""An entity in the format of Port's API, with its `blueprint` and `datasource` (the user agent that saved it)."""

_COMBINATORS: Mapping[str, Callable[..., bool]] = {"and": all, "or": any}
_BUILT_IN = {
    "$identifier": "identifier",
    "$title": "title",
    "$icon": "icon",
    "$team": "team",
    "$blueprint": "blueprint",
    "$datasource": "datasource",
}
_MAX_DEPTH = 20


class BadQuery(Exception):
    """A query has an error, or the sandbox does not support the query.

    The message starts with the path of the field.
    """


def check_query(query: Any) -> None:
    """Raise BadQuery for the first rule that cannot be checked, even if no entity would reach the rule."""
    _check(query, "body", 0)


def matches(query: Mapping[str, Any], entity: Entity, entities: Mapping[tuple[str, str], Entity]) -> bool:
    """Return whether an entity matches a checked query. `entities` are all entities, to look up relations."""
    if "rules" in query:
        return _COMBINATORS[query["combinator"]](matches(rule, entity, entities) for rule in query["rules"])
    if query["operator"] == "relatedTo":
        return _is_related(query, entity, entities)
    return _OPERATORS[query["operator"]](_value_of(entity, query["property"]), query.get("value"))


def _check(query: Any, place: str, depth: int) -> None:
    if not isinstance(query, Mapping) or depth > _MAX_DEPTH:
        raise BadQuery(f"{place} must be object")
    if "rules" not in query and "combinator" not in query:
        _check_rule(query, place)
        return
    if not isinstance(query.get("combinator"), str) or query["combinator"] not in _COMBINATORS:
        raise BadQuery(f"{place}/combinator must be equal to one of the allowed values: and, or")
    if not isinstance(query.get("rules"), list):
        raise BadQuery(f"{place}/rules must be array")
    for number, rule in enumerate(query["rules"]):
        _check(rule, f"{place}/rules/{number}", depth + 1)


def _check_rule(rule: Mapping[str, Any], place: str) -> None:
    operator = rule.get("operator")
    if operator == "relatedTo":
        _check_related(rule, place)
        return
    if not isinstance(operator, str) or operator not in _OPERATORS:
        raise BadQuery(f"{place}/operator must be equal to one of the allowed values: {', '.join(OPERATORS)}")
    name = rule.get("property")
    if not isinstance(name, str) or not name:
        raise BadQuery(f"{place}/property must be string")
    if name[0] == "$" and name not in _BUILT_IN:
        raise BadQuery(f"{place}/property: the sandbox does not store {name}")
    if operator not in _WITHOUT_VALUE and "value" not in rule:
        raise BadQuery(f"{place} must have required property 'value'")
    is_right, message = _VALUES.get(operator, _ANY)
    if not is_right(rule.get("value")):
        raise BadQuery(f"{place}/value {message}")


def _check_related(rule: Mapping[str, Any], place: str) -> None:
    if not isinstance(rule.get("blueprint"), str):
        raise BadQuery(f"{place}/blueprint must be string")
    value = rule.get("value")
    if not isinstance(value, str) and not is_list_of_strings(value):
        raise BadQuery(f"{place}/value must be string or array of strings")
    for name in ("required", "direction"):
        if name in rule:
            raise BadQuery(f"{place}/{name}: the sandbox does not support it")


def _value_of(entity: Entity, name: str) -> Any:
    if name in _BUILT_IN:
        return entity.get(_BUILT_IN[name])
    properties: Mapping[str, Any] = entity.get("properties") or {}
    return properties[name] if name in properties else (entity.get("relations") or {}).get(name)


def _is_related(rule: Mapping[str, Any], entity: Entity, entities: Mapping[tuple[str, str], Entity]) -> bool:
    wanted = [rule["value"]] if isinstance(rule["value"], str) else rule["value"]
    if any(name in _related(entity) for name in wanted):
        return True
    others = (entities.get((rule["blueprint"], name)) for name in wanted)
    return any(other is not None and entity["identifier"] in _related(other) for other in others)


def _related(entity: Entity) -> set[str]:
    """Return the identifiers in an entity's relations.

    The entity's blueprint defines which blueprints the identifiers belong to.
    """
    found: set[str] = set()
    for value in (entity.get("relations") or {}).values():
        found.update(each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str))
    return found


def _equal(held: Any, value: Any) -> bool:
    """Return whether two values are equal as JSON values: `true` is not equal to 1."""
    return bool(held == value) and isinstance(held, bool) == isinstance(value, bool)


def _contains(held: Any, value: Any) -> bool:
    if isinstance(held, list):
        return any(_equal(each, value) for each in held)
    return isinstance(held, str) and isinstance(value, str) and value in held


def _compared(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def check(held: Any, value: Any) -> bool:
        numbers = _is_number(held) and _is_number(value)
        texts = isinstance(held, str) and isinstance(value, str)
        return (numbers or texts) and compare(held, value)

    return check


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _in(held: Any, value: Any) -> bool:
    return any(_equal(held, each) for each in value)


def _contains_any(held: Any, value: Any) -> bool:
    return isinstance(held, list) and any(_in(each, value) for each in held)


def _between(held: Any, value: Any) -> bool:
    return _at_least(held, value["from"]) and _at_most(held, value["to"])


def _is_empty(held: Any, _: Any) -> bool:
    return held is None or held in ("", [], {})


def _begins(held: Any, value: Any) -> bool:
    return isinstance(held, str) and held.startswith(value)


def _ends(held: Any, value: Any) -> bool:
    return isinstance(held, str) and held.endswith(value)


def _not(check: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda held, value: not check(held, value)


_at_least = _compared(lambda held, value: held >= value)
_at_most = _compared(lambda held, value: held <= value)
_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": _equal,
    "!=": _not(_equal),
    ">": _compared(lambda held, value: held > value),
    ">=": _at_least,
    "<": _compared(lambda held, value: held < value),
    "<=": _at_most,
    "contains": _contains,
    "doesNotContains": _not(_contains),
    "containsAny": _contains_any,
    "in": _in,
    "notIn": _not(_in),
    "beginsWith": _begins,
    "doesNotBeginsWith": _not(_begins),
    "endsWith": _ends,
    "doesNotEndsWith": _not(_ends),
    "between": _between,
    "notBetween": _not(_between),
    "isEmpty": _is_empty,
    "isNotEmpty": _not(_is_empty),
}
OPERATORS = (*_OPERATORS, "relatedTo")
"""The operators that a rule may have."""

_WITHOUT_VALUE = frozenset({"isEmpty", "isNotEmpty"})
_ANY: tuple[Callable[[Any], bool], str] = (lambda _: True), ""
_LIST: tuple[Callable[[Any], bool], str] = (lambda value: isinstance(value, list)), "must be array"
_TEXT: tuple[Callable[[Any], bool], str] = (lambda value: isinstance(value, str)), "must be string"
_RANGE: tuple[Callable[[Any], bool], str] = (
    (lambda value: isinstance(value, dict) and {"from", "to"} <= value.keys()),
    "must be object with from and to: the sandbox does not support presets",
)
_VALUES = {
    **dict.fromkeys(("in", "notIn", "containsAny"), _LIST),
    **dict.fromkeys(("beginsWith", "doesNotBeginsWith", "endsWith", "doesNotEndsWith"), _TEXT),
    **dict.fromkeys(("between", "notBetween"), _RANGE),
}
