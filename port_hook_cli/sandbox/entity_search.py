"""Several entities at once: the list of a blueprint, searches, and `entities/bulk`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from port_hook_cli.sandbox import checks, entities
from port_hook_cli.sandbox.blueprints import require_known
from port_hook_cli.sandbox.entity_query import BadQuery, matches
from port_hook_cli.sandbox.entity_query import check_query as check_search
from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse, Refused, check_query, invalid, read_body
from port_hook_cli.sandbox.state import SandboxState

MAX_BULK = 20
_MAX_LIMIT = 1000


def list_entities(state: SandboxState, request: ApiRequest, blueprint: str) -> ApiResponse:
    """Return the entities of a blueprint; raises Refused with 404 for one that the sandbox does not know."""
    check_query(request, max_limit=_MAX_LIMIT)
    require_known(state, blueprint)
    found = [_shown(request, entity) for entity in _all(state) if entity["blueprint"] == blueprint]
    return ApiResponse(status=200, document={"ok": True, "entities": found}, note=f"{len(found)} entities")


def search(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Return the entities of all blueprints that match the query in the body."""
    check_query(request, max_limit=_MAX_LIMIT)
    body = read_body(request, checks.SEARCH, required=("combinator", "rules"))
    found = _found(state, body, _all(state))
    blueprints = list(dict.fromkeys(entity["blueprint"] for entity in found))
    shown = [_shown(request, entity) for entity in found]
    document = {"ok": True, "matchingBlueprints": blueprints, "entities": shown}
    return ApiResponse(status=200, document=document, note=f"{len(found)} entities")


def search_in(state: SandboxState, request: ApiRequest, blueprint: str) -> ApiResponse:
    """Return one page of a blueprint's entities that match `query`; `next` is what the next call sends as `from`."""
    body = read_body(request, checks.BLUEPRINT_SEARCH)
    require_known(state, blueprint)
    found = [entity for entity in _all(state) if entity["blueprint"] == blueprint]
    if "query" in body:
        found = _found(state, body["query"], found)
    start, limit = _start(body.get("from")), body.get("limit", _MAX_LIMIT)
    page = [_only(entity, body.get("include"), body.get("exclude")) for entity in found[start : start + limit]]
    following = {"next": str(start + limit)} if start + limit < len(found) else {}
    document = {"ok": True, "entities": page, **following}
    return ApiResponse(status=200, document=document, note=f"{len(page)} of {len(found)} entities")


def create_several(state: SandboxState, request: ApiRequest, blueprint: str) -> ApiResponse:
    """Create up to 20 entities, each as the route of one does. The status is 207 if some of them are refused."""
    body = read_body(request, checks.BULK, required=("entities",))
    if not 1 <= len(body["entities"]) <= MAX_BULK:
        raise invalid(f"body/entities must have from 1 to {MAX_BULK} items")
    created, errors = [], []
    for index, entity in enumerate(body["entities"]):
        identifier = entity.get("identifier") if isinstance(entity, dict) else None
        is_new = not isinstance(identifier, str) or (blueprint, identifier) not in state.entities
        try:
            done = entities.create(state, replace(request, body=json.dumps(entity).encode()), blueprint)
        except Refused as refused:
            fault = refused.response
            named = identifier if isinstance(identifier, str) else "unknown"
            reason = {name: fault.document[name] for name in ("error", "message")}
            errors.append({"identifier": named, "index": index, "statusCode": fault.status, **reason})
            continue
        created.append({"identifier": done.document["entity"]["identifier"], "index": index, "created": is_new})
    note = f"saved {len(created)} of {len(body['entities'])} entities of {blueprint}"
    document = {"ok": True, "entities": created, "errors": errors}
    return ApiResponse(status=207 if errors else 200, document=document, note=note)


def _all(state: SandboxState) -> list[dict[str, Any]]:
    return [{**entity, "blueprint": blueprint} for (blueprint, _), entity in state.entities.items()]


def _found(state: SandboxState, query: Mapping[str, Any], candidates: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    try:
        check_search(query)
    except BadQuery as fault:
        raise invalid(str(fault)) from None
    return [entity for entity in candidates if matches(query, entity, state.entities)]


def _shown(request: ApiRequest, entity: Mapping[str, Any]) -> dict[str, Any]:
    included, excluded = (request.query.get(name) for name in ("include", "exclude"))
    return _only(entity, included and included.split(","), excluded and excluded.split(","))


def _only(entity: Mapping[str, Any], included: Any, excluded: Any) -> dict[str, Any]:
    """Return an entity with the fields in `included`, if given, and without those in `excluded`.

    A field is a name of Port's, with or without `$`, or the name of a property or relation.
    """
    shown: dict[str, Any] = {}
    for name, value in entity.items():
        if name in {"properties", "relations"}:
            is_all = included and name in included
            shown[name] = {
                key: held for key, held in value.items() if _is_wanted(key, None if is_all else included, excluded)
            }
        elif _is_wanted(name, included, excluded):
            shown[name] = value
    return {name: value for name, value in shown.items() if name not in (excluded or ())}


def _is_wanted(name: str, included: Any, excluded: Any) -> bool:
    names = {name, f"${name}"}
    return (not included or not names.isdisjoint(included)) and names.isdisjoint(excluded or ())


def _start(given: str | None) -> int:
    if given is None:
        return 0
    if not (given.isascii() and given.isdigit() and len(given) <= 9):  # noqa: PLR2004 - a bound for int()
        raise invalid("body/from must be the `next` of an earlier response")
    return int(given)
