"""Routes for several entities in one call: the list of a blueprint, searches, and `entities/bulk`."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from port_hook_cli.runs.ids import make_run_id
from port_hook_cli.sandbox import checks, entities
from port_hook_cli.sandbox.blueprints import require_known
from port_hook_cli.sandbox.entity_query import BadQuery, matches
from port_hook_cli.sandbox.entity_query import check_query as check_search
from port_hook_cli.sandbox.messages import (
    ApiRequest,
    ApiResponse,
    Rejected,
    check_query,
    invalid,
    not_found,
    ok,
    read_body,
)
from port_hook_cli.sandbox.state import SandboxState

MAX_BULK = 20
MAX_BULK_DELETE = 100
MAX_MIGRATIONS = 100
"""The number of migrations that the sandbox retains. It retains the latest migrations."""
_MAX_LIMIT = 1000


def list_entities(state: SandboxState, request: ApiRequest, blueprint: str) -> ApiResponse:
    """Return the entities of a blueprint. Raises Rejected with 404 for an unknown blueprint."""
    check_query(request, max_limit=_MAX_LIMIT)
    require_known(state, blueprint)
    found = [entities.shown(request, entity) for entity in _all(state) if entity["blueprint"] == blueprint]
    return ok({"entities": found}, f"{len(found)} entities")


def search(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Return the entities of all blueprints that match the query in the body."""
    check_query(request, max_limit=_MAX_LIMIT)
    body = read_body(request, checks.SEARCH, required=("combinator", "rules"))
    found = _found(state, body, _all(state))
    blueprints = list(dict.fromkeys(entity["blueprint"] for entity in found))
    shown = [entities.shown(request, entity) for entity in found]
    return ok({"matchingBlueprints": blueprints, "entities": shown}, f"{len(found)} entities")


def search_in(state: SandboxState, request: ApiRequest, blueprint: str) -> ApiResponse:
    """Return one page of a blueprint's entities that match `query`.

    For the next page, the client sends the `next` of the response as `from`.
    """
    body = read_body(request, checks.BLUEPRINT_SEARCH)
    require_known(state, blueprint)
    found = [entity for entity in _all(state) if entity["blueprint"] == blueprint]
    if "query" in body:
        found = _found(state, body["query"], found)
    return _page(found, body, lambda entity: entities.only(entity, body.get("include"), body.get("exclude")))


def list_of_datasource(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Return one page of the entities that clients with a given start and end of their user agent have saved.

    Port's reference does not have this route. Ocean 0.56.2 calls it. `before` selects entities whose last change is
    before that time.
    """
    body = read_body(request, checks.DATASOURCE, required=("datasource_prefix", "datasource_suffix"))
    found = [
        entity
        for entity in (_with_origin(state, entity) for entity in _all(state))
        if entity["datasource"].startswith(body["datasource_prefix"])
        and entity["datasource"].endswith(body["datasource_suffix"])
        and _is_before(entity["updatedAt"], body.get("before"))
    ]
    return _page(found, body, lambda entity: {name: entity[name] for name in ("identifier", "blueprint")})


def delete_several(state: SandboxState, request: ApiRequest, blueprint: str) -> ApiResponse:
    """Delete up to 100 entities of a blueprint. The response leaves out unknown identifiers."""
    check_query(request, max_limit=_MAX_LIMIT)
    body = read_body(request, checks.BULK_DELETE, required=("entities",))
    if not 1 <= len(body["entities"]) <= MAX_BULK_DELETE:
        raise invalid(f"body/entities must have from 1 to {MAX_BULK_DELETE} items")
    require_known(state, blueprint)
    known = [name for name in dict.fromkeys(body["entities"]) if (blueprint, name) in state.entities]
    for name in known:
        entities.delete(state, request, blueprint, name)
    return ok({"deletedEntities": known}, f"deleted {len(known)} entities of {blueprint}")


def delete_all(state: SandboxState, request: ApiRequest, blueprint: str) -> ApiResponse:
    """Delete the entities of a blueprint, and with `delete_blueprint=true` the blueprint itself.

    Port does so in a migration.
    """
    check_query(request, max_limit=_MAX_LIMIT)
    require_known(state, blueprint)
    names = [name for known, name in state.entities if known == blueprint]
    for name in names:
        state.set_entity(blueprint, name, None)
    if request.query.get("delete_blueprint") == "true" and blueprint in state.blueprints:
        state.set_blueprint(blueprint, None)
    identifier = make_run_id(secrets.choice, "migration_")
    migration = {
        "id": identifier,
        "actor": state.client_id,
        "sourceBlueprint": blueprint,
        "mapping": {},
        "status": "COMPLETED",
    }
    for old in [key for key in state.resources if key[0] == "migration"][: 1 - MAX_MIGRATIONS]:
        state.set_resource(old, None)
    state.set_resource(("migration", identifier), migration)
    return ok({"migrationId": identifier}, f"deleted {len(names)} entities of {blueprint}")


def show_migration(state: SandboxState, _: ApiRequest, identifier: str) -> ApiResponse:
    """Return the response to a GET for a migration, which is always complete."""
    migration = state.resources.get(("migration", identifier))
    if migration is None:
        raise not_found("Migration with identifier", identifier)
    return ok({"migration": migration})


def create_several(state: SandboxState, request: ApiRequest, blueprint: str) -> ApiResponse:
    """Create up to 20 entities, each like a single entity. The status is 207 if some of the entities are rejected."""
    body = read_body(request, checks.BULK, required=("entities",))
    if not 1 <= len(body["entities"]) <= MAX_BULK:
        raise invalid(f"body/entities must have from 1 to {MAX_BULK} items")
    created, errors, notes = [], [], []
    for index, entity in enumerate(body["entities"]):
        identifier = entity.get("identifier") if isinstance(entity, dict) else None
        is_new = not isinstance(identifier, str) or (blueprint, identifier) not in state.entities
        try:
            done = entities.create(state, replace(request, body=json.dumps(entity).encode()), blueprint)
        except Rejected as rejected:
            fault = rejected.response
            named = identifier if isinstance(identifier, str) else "unknown"
            reason = {name: fault.document[name] for name in ("error", "message")}
            errors.append({"identifier": named, "index": index, "statusCode": fault.status, **reason})
            notes.append(fault.note)
            continue
        created.append({"identifier": done.document["entity"]["identifier"], "index": index, "created": is_new})
    saved = f"saved {len(created)} of {len(body['entities'])} entities of {blueprint}"
    note = "; ".join((saved, *notes[:1]))
    return ok({"entities": created, "errors": errors}, note, status=207 if errors else 200)


def _page(
    found: Sequence[dict[str, Any]], body: Mapping[str, Any], show: Callable[[dict[str, Any]], dict[str, Any]]
) -> ApiResponse:
    """Return the page of entities that `from` and `limit` in a body select."""
    start, limit = _start(body.get("from")), body.get("limit", _MAX_LIMIT)
    page = [show(entity) for entity in found[start : start + limit]]
    following = {"next": str(start + limit)} if start + limit < len(found) else {}
    return ok({"entities": page, **following}, f"{len(page)} of {len(found)} entities")


def _all(state: SandboxState) -> list[dict[str, Any]]:
    return [{**entity, "blueprint": blueprint} for (blueprint, _), entity in state.entities.items()]


def _found(state: SandboxState, query: Mapping[str, Any], candidates: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    try:
        check_search(query)
    except BadQuery as fault:
        raise invalid(str(fault)) from None
    return [entity for entity in candidates if matches(query, _with_origin(state, entity), state.entities)]


def _with_origin(state: SandboxState, entity: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entity with its `datasource` and `updatedAt`.

    Both fields are empty for entities from older state files.
    """
    origin = state.resources.get(("origin", entity["blueprint"], entity["identifier"]), {})
    return {**entity, "datasource": origin.get("datasource", ""), "updatedAt": origin.get("updatedAt", "")}


def _is_before(at: str, limit: str | None) -> bool:
    if limit is None:
        return True
    try:
        return bool(at) and _time(at) < _time(limit)
    except ValueError:
        raise invalid("body/before must be a time in RFC 3339") from None


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _start(given: str | None) -> int:
    if given is None:
        return 0
    if not (given.isascii() and given.isdigit() and len(given) <= 9):  # noqa: PLR2004 - a bound for int()
        raise invalid("body/from must be the `next` of an earlier response")
    return int(given)
