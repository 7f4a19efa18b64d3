"""A strict sandbox's checks of entities against their blueprints.

Port's OpenAPI document has a 404 for an identifier that does not exist, and a 422 for JSON that does not match the
schema of a route. It does not have messages, and does not specify which of the two an unknown property or the missing
target of a relation gets. Here, they get 422 and 404. Ocean treats a 404 with `not_found` as a missing target.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from port_hook_cli.sandbox.messages import Refused, invalid
from port_hook_cli.sandbox.state import SandboxState

BUILT_IN = frozenset({"_user", "_team"})
"""Blueprints that every organization has. Their entities are not checked: the sandbox has no such blueprints."""

STRICT = "the sandbox is strict"
"""The beginning of the remark on an entity that was rejected because it does not match its blueprint."""


def check_entity(
    state: SandboxState, blueprint: str, entity: Mapping[str, Any], *, creates_missing: bool = False
) -> None:
    """Raise Refused if a strict sandbox does not accept the fields of an entity. Otherwise, do nothing.

    With `creates_missing`, missing related entities are created without properties, as in Port.
    """
    if not state.rules.strict:
        return
    known = state.blueprints.get(blueprint)
    remark = f'{STRICT}: it checks entities against the blueprint "{blueprint}"'
    if known is None:
        raise _unknown_blueprint(blueprint, remark)
    relations = _object(known.get("relations"))
    properties = _object(_object(known.get("schema")).get("properties"))
    _check_names(entity, {"properties": properties, "relations": relations}, remark)
    missing = [place for place in _targets(relations, entity) if not _exists(state, place, itself=(blueprint, entity))]
    for target, identifier in missing:
        if target not in state.blueprints:
            raise _unknown_blueprint(target, remark)
        if not creates_missing:
            message = f'Entity with identifier "{identifier}" was not found in "{target}"'
            raise Refused(404, "not_found", message, remark=remark)
    for target, identifier in missing:
        state.set_entity(target, identifier, {"identifier": identifier, "properties": {}, "relations": {}})


def _unknown_blueprint(identifier: str, remark: str) -> Refused:
    return Refused(404, "not_found", f'Blueprint with identifier "{identifier}" was not found', remark=remark)


def _check_names(entity: Mapping[str, Any], declared: Mapping[str, Mapping[str, Any]], remark: str) -> None:
    for part, known in declared.items():
        for name in _object(entity.get(part)):
            if name not in known:
                raise invalid(f"body/{part} must NOT have additional properties; found '{name}'", remark=remark)


def _targets(relations: Mapping[str, Any], entity: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the blueprint and the identifier of each related entity, except for search queries."""
    for name, value in _object(entity.get("relations")).items():
        target = str(_object(relations[name]).get("target"))
        for identifier in value if isinstance(value, list) else [value]:
            if isinstance(identifier, str):
                yield target, identifier


def _exists(state: SandboxState, place: tuple[str, str], *, itself: tuple[str, Mapping[str, Any]]) -> bool:
    blueprint, entity = itself
    return place[0] in BUILT_IN or place in state.entities or place == (blueprint, entity.get("identifier"))


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
