"""Entities that a handler creates and changes. `run_id` links a change to a run.

Only a strict sandbox checks blueprints, properties and relations. Port's OpenAPI document lists a 404 for an identifier
that does not exist, and a 422 for JSON that does not match the schema of a route. It has no messages for these errors,
and it doesn't say which status applies to an unknown property or to a missing target of a relation. The sandbox
responds with 422 to an unknown property and with 404 to a missing target. Ocean treats a 404 with `not_found` as a
missing target.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from port_hook_cli.sandbox import checks
from port_hook_cli.sandbox.messages import (
    ApiRequest,
    ApiResponse,
    Rejected,
    check_query,
    invalid,
    not_found,
    not_found_in,
    ok,
    read_body,
    taken,
)
from port_hook_cli.sandbox.run import IN_PROGRESS, SandboxRun
from port_hook_cli.sandbox.runs import find_run
from port_hook_cli.sandbox.state import SandboxState

_MERGED = ("properties", "relations")
_MAX_LIMIT = 1000
BUILT_IN = frozenset({"_user", "_team"})
"""Blueprints that every organization has.

Their entities are not checked, because the sandbox lacks these blueprints.
"""
STRICT = "the sandbox is strict"
"""The start of the remark on a rejected entity that does not match its blueprint."""


def create(state: SandboxState, request: ApiRequest, blueprint: str) -> ApiResponse:
    """Create an entity. `upsert` replaces an existing entity. `upsert` with `merge` updates an existing entity."""
    check_query(request, max_limit=_MAX_LIMIT)
    body = read_body(request, checks.ENTITY, others=True)
    identifier = body.get("identifier") or secrets.token_hex(8)
    run = _run_of(state, request)
    known = state.entities.get((blueprint, identifier))
    if known is not None and request.query.get("upsert") != "true" and not state.rules.any_entity:
        raise taken("An entity with identifier", identifier)
    merged = known if known is not None and request.query.get("merge") == "true" else {}
    check_entity(state, blueprint, {**body, "identifier": identifier}, creates_missing=_creates_missing(request))
    entity = _merge(merged, {**body, "identifier": identifier})
    if request.query.get("validation_only") == "true":
        return ok({"entity": entity}, "checked but not saved", status=201)
    verb = "created" if known is None else "changed"
    return _save(state, request, blueprint, entity, run, verb, status=201)


def put_entity(state: SandboxState, blueprint: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Add or replace an entity with these fields. Raises Rejected if the sandbox's API would reject the entity."""
    if fault := checks.find_fault(fields, checks.ENTITY, required=("identifier",), others=True, name_of="the entity"):
        raise invalid(fault)
    check_entity(state, blueprint, fields)
    entity = _merge({}, fields)
    state.set_entity(blueprint, entity["identifier"], entity)
    return entity


def show(state: SandboxState, request: ApiRequest, blueprint: str, identifier: str) -> ApiResponse:
    """Return the response to a GET for an entity."""
    check_query(request, max_limit=_MAX_LIMIT)
    entity = shown(request, _find(state, blueprint, identifier))
    return ok({"entity": entity})


def shown(request: ApiRequest, entity: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entity with the fields that the query parameters `include` and `exclude` select."""
    included, excluded = (request.query.get(name) for name in ("include", "exclude"))
    return only(entity, included and included.split(","), excluded and excluded.split(","))


def only(entity: Mapping[str, Any], included: Any, excluded: Any) -> dict[str, Any]:
    """Return an entity with only the fields in `included`, if set, and without the fields in `excluded`.

    A field is one of Port's names, with or without `$`, or the name of a property or relation, with or without
    `properties.` or `relations.`.
    """
    selected: dict[str, Any] = {}
    for name, value in entity.items():
        if name in _MERGED:
            is_all = included and name in included
            selected[name] = {
                key: held
                for key, held in value.items()
                if _is_wanted(key, None if is_all else included, excluded, name)
            }
        elif _is_wanted(name, included, excluded):
            selected[name] = value
    return {name: value for name, value in selected.items() if name not in (excluded or ())}


def _is_wanted(name: str, included: Any, excluded: Any, part: str = "$") -> bool:
    names = {name, f"${name}", f"{part}.{name}"}
    return (not included or not names.isdisjoint(included)) and names.isdisjoint(excluded or ())


def replace(state: SandboxState, request: ApiRequest, blueprint: str, identifier: str) -> ApiResponse:
    """Replace an entity with the body."""
    return _change(state, request, blueprint, identifier, is_patch=False)


def update(state: SandboxState, request: ApiRequest, blueprint: str, identifier: str) -> ApiResponse:
    """Change the entity fields in the body. Null clears a field."""
    return _change(state, request, blueprint, identifier, is_patch=True)


def delete(state: SandboxState, request: ApiRequest, blueprint: str, identifier: str) -> ApiResponse:
    """Delete an entity."""
    check_query(request, max_limit=_MAX_LIMIT)
    _find_to_change(state, blueprint, identifier)
    run = _run_of(state, request)
    if (blueprint, identifier) in state.entities:
        state.set_entity(blueprint, identifier, None)
    return _linked(state, run, f"deleted {blueprint}/{identifier}", {"ok": True}, 200)


def _change(
    state: SandboxState, request: ApiRequest, blueprint: str, identifier: str, *, is_patch: bool
) -> ApiResponse:
    check_query(request, max_limit=_MAX_LIMIT)
    known = _find_to_change(state, blueprint, identifier)
    body = read_body(request, checks.ENTITY_PATCH if is_patch else checks.ENTITY, others=not is_patch)
    named = body.get("identifier", identifier)
    if named != identifier and (blueprint, named) in state.entities:
        raise taken("An entity with identifier", named)
    run = _run_of(state, request)
    check_entity(state, blueprint, {**body, "identifier": named}, creates_missing=_creates_missing(request))
    entity = _merge(known if is_patch else {}, {**body, "identifier": named})
    if named != identifier and (blueprint, identifier) in state.entities:
        state.set_entity(blueprint, identifier, None)
    return _save(state, request, blueprint, entity, run, "changed", status=200)


def _linked(
    state: SandboxState, run: SandboxRun | None, note: str, document: Mapping[str, Any], status: int
) -> ApiResponse:
    if run is None:
        return ApiResponse(status=status, document=document, note=note)
    run.entities.append(note)
    state.record_change("run", run.id, run)
    return ApiResponse(status=status, document=document, run_id=run.id, note=f"{note}, for {run.id}")


def _creates_missing(request: ApiRequest) -> bool:
    is_kept = request.query.get("validation_only") != "true"
    return is_kept and request.query.get("create_missing_related_entities") == "true"


def _find(state: SandboxState, blueprint: str, identifier: str) -> dict[str, Any]:
    entity = state.entities.get((blueprint, identifier))
    if entity is None:
        raise not_found_in(blueprint, "Entity with identifier", identifier)
    return entity


def _find_to_change(state: SandboxState, blueprint: str, identifier: str) -> dict[str, Any]:
    if state.rules.any_entity and (blueprint, identifier) not in state.entities:
        return {"identifier": identifier}
    return _find(state, blueprint, identifier)


def _merge(known: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entity in the format of Port's API: without empty fields, but always with properties and relations."""
    merged = {name: changes.get(name, known.get(name)) for name in ("identifier", "title", "icon", "team")}
    entity = {name: value for name, value in merged.items() if value is not None}
    return {**entity, **{name: {**known.get(name, {}), **changes.get(name, {})} for name in _MERGED}}


def _run_of(state: SandboxState, request: ApiRequest) -> SandboxRun | None:
    run_id = request.query.get("run_id")
    if run_id is None:
        return None
    run, _ = find_run(state, run_id)
    if run.report.status != IN_PROGRESS:
        raise Rejected(422, "run_exhausted", f'Action run "{run_id}" is not in progress')
    return run


def _save(
    state: SandboxState,
    request: ApiRequest,
    blueprint: str,
    entity: dict[str, Any],
    run: SandboxRun | None,
    verb: str,
    *,
    status: int,
) -> ApiResponse:
    state.set_entity(blueprint, entity["identifier"], entity, datasource=request.user_agent)
    return _linked(state, run, f"{verb} {blueprint}/{entity['identifier']}", {"ok": True, "entity": entity}, status)


def check_entity(
    state: SandboxState, blueprint: str, entity: Mapping[str, Any], *, creates_missing: bool = False
) -> None:
    """Raise Rejected if a strict sandbox does not accept the fields of an entity. Do nothing in other sandboxes.

    With `creates_missing`, missing related entities are created without properties, as in Port.
    """
    if not state.rules.strict:
        return
    known = state.blueprints.get(blueprint)
    remark = f'{STRICT}: it checks entities against the blueprint "{blueprint}"'
    if known is None:
        raise not_found("Blueprint with identifier", blueprint, remark=remark)
    relations = _object(known.get("relations"))
    properties = _object(_object(known.get("schema")).get("properties"))
    _check_names(entity, {"properties": properties, "relations": relations}, remark)
    missing = [place for place in _targets(relations, entity) if not _exists(state, place, itself=(blueprint, entity))]
    for target, identifier in missing:
        if target not in state.blueprints:
            raise not_found("Blueprint with identifier", target, remark=remark)
        if not creates_missing:
            raise not_found_in(target, "Entity with identifier", identifier, remark=remark)
    for target, identifier in missing:
        state.set_entity(target, identifier, {"identifier": identifier, "properties": {}, "relations": {}})


def _check_names(entity: Mapping[str, Any], declared: Mapping[str, Mapping[str, Any]], remark: str) -> None:
    for part, known in declared.items():
        for name in _object(entity.get(part)):
            if name not in known:
                raise invalid(f"body/{part} must NOT have additional properties, found '{name}'", remark=remark)


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
