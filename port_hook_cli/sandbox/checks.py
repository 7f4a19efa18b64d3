"""Checks of requests: the fields that a body may have, and the values of these fields.

The messages are worded like Port's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from port_hook_cli.invocations.payload import is_run_id

_WRITTEN_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,15})?"
Rule = tuple[Callable[[Any], bool], str]
Fields = Mapping[str, Rule]


def _one_of(*allowed: str) -> Rule:
    return (lambda value: value in allowed), f"must be equal to one of the allowed values: {', '.join(allowed)}"


def _whole(least: int, most: int | None = None) -> Rule:
    """Return a rule that accepts whole numbers from `least` to `most`."""

    def is_right(value: Any) -> bool:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return is_whole and value >= least and (most is None or value <= most)

    return is_right, f"must be a whole number >= {least}{'' if most is None else f' and <= {most}'}"


def _written(pattern: str, message: str) -> Rule:
    """Return a rule that accepts strings that match a pattern as a whole."""
    matches = re.compile(pattern).fullmatch
    return (lambda value: isinstance(value, str) and matches(value) is not None), message


def _list_of(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(is_right, value))


is_list_of_strings = _list_of(lambda item: isinstance(item, str))


_LEVELS = ("INFO", "WARN", "ERROR", "DEBUG")


def _is_log(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.get("level", "INFO") in _LEVELS
        and isinstance(value.get("message"), str)
        and not value.keys() - {"level", "message"}
    )


def _is_logged(value: Any) -> bool:
    """Return whether a value is a log entry as Port's draft of its API defines it for a PATCH of a node run."""
    return (
        isinstance(value, dict)
        and value.get("logLevel") in _LEVELS
        and isinstance(value.get("log", ""), str)
        and isinstance(value.get("tags", {}), dict)
        and not value.keys() - {"logLevel", "log", "tags", "createdAt", "updatedAt"}
    )


_STRING: Rule = (lambda value: isinstance(value, str)), "must be string"
_OBJECT: Rule = (lambda value: isinstance(value, dict)), "must be object"
_STRINGS: Rule = is_list_of_strings, "must be array of strings"
_ENDS = _one_of("SUCCESS", "FAILURE")

CREDENTIALS: Fields = {"clientId": _STRING, "clientSecret": _STRING}
RUN_PATCH: Fields = {
    "status": _ENDS,
    "statusLabel": _STRING,
    "link": ((lambda value: isinstance(value, str) or is_list_of_strings(value)), "must be string or array"),
    "message": _OBJECT,
    "summary": _STRING,
    "externalRunId": _STRING,
}
RUN_LOG: Fields = {"message": _STRING, "terminationStatus": _ENDS, "statusLabel": _STRING}
RESPONSE: Fields = {
    "response": ((lambda value: isinstance(value, str | list | dict)), "must be string, array or object")
}
NODE_PATCH: Fields = {
    "status": _one_of("IN_PROGRESS", "COMPLETED"),
    "result": _one_of("SUCCESS", "FAILED", "CANCELLED"),
    "output": _OBJECT,
    "externalRunId": _STRING,
    "links": _STRINGS,
    # Port's draft of its API doesn't have this field. Ocean 0.56.2 sends it.
    "statusLabel": (
        (lambda value: isinstance(value, dict) and isinstance(value.get("text"), str)),
        "must be object with a text",
    ),
    "logs": (
        _list_of(_is_logged),
        "must be array of logs, each with a logLevel of INFO, WARN, ERROR or DEBUG, and a log",
    ),
}
NODE_LOGS: Fields = {
    "logs": (
        _list_of(_is_log),
        "must be array of logs, each with a message and a level of INFO, WARN, ERROR or DEBUG",
    )
}
_BOOLEAN: Rule = (lambda value: isinstance(value, bool)), "must be boolean"
_COMPUTED: Rule = (lambda value: isinstance(value, bool | str)), "must be boolean or string"
_METHODS = ("KAFKA", "WEBHOOK", "GITHUB", "GITLAB", "AZURE_DEVOPS", "UPSERT_ENTITY", "INTEGRATION_ACTION")
ACTION: Fields = {
    "identifier": _STRING,
    "title": _STRING,
    "icon": _STRING,
    "description": _STRING,
    "trigger": (
        (lambda value: isinstance(value, dict) and value.get("type") in ("self-service", "automation")),
        "must be object with the type self-service or automation",
    ),
    "invocationMethod": (
        (lambda value: isinstance(value, dict) and value.get("type") in _METHODS),
        f"must be object with one of the types {', '.join(_METHODS)}",
    ),
    "requiredApproval": (
        (lambda value: isinstance(value, bool) or (isinstance(value, dict) and value.get("type") in ("ANY", "ALL"))),
        "must be boolean or object with the type ANY or ALL",
    ),
    "approvalNotification": _OBJECT,
    "publish": _BOOLEAN,
    "allowAnyoneToViewRuns": _BOOLEAN,
}
WEBHOOK: Fields = {
    "type": _STRING,
    "url": _STRING,
    "agent": _COMPUTED,
    "synchronized": _COMPUTED,
    "method": _STRING,
    "headers": (
        (lambda value: isinstance(value, dict) and all(isinstance(held, str) for held in value.values())),
        "must be object of strings",
    ),
    "body": ((lambda value: isinstance(value, dict | list)), "must be array or object"),
}
NEW_RUN: Fields = {"properties": _OBJECT, "entity": _STRING}
APPROVAL: Fields = {"status": _one_of("APPROVE", "DECLINE"), "description": _STRING}
CLAIM: Fields = {
    "installationId": _STRING,
    "limit": _whole(1),
    "visibilityTimeoutMs": _whole(1000, 600_000),  # the bounds from Port's draft of its API
    "exclude": _STRINGS,
    "invocationMethod": _one_of("WEBHOOK"),
}
ACK: Fields = {"runIds": _STRINGS, "runId": _STRING}
_LIST: Rule = (lambda value: isinstance(value, list)), "must be array"
WORKFLOW: Fields = {"identifier": _STRING, "nodes": _LIST, "connections": _LIST}
NEW_WORKFLOW_RUN: Fields = {"inputs": _OBJECT, "nodeIdentifier": _STRING}
INPUT_RESPONSE: Fields = {"buttonIdentifier": _STRING, "inputs": _OBJECT}
ACK_NODE: Fields = {"nodeRunIdentifier": _STRING}
ORGANIZATION: Fields = {"name": _STRING, "settings": _OBJECT}


def is_entity_name(value: Any) -> bool:
    """Return whether a value is a valid identifier of an entity: letters, digits and some other characters."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= _MAX_NAME_CHARACTERS
        and value not in {".", ".."}
        and all(letter.isalpha() or letter in "0123456789@_.+:\\/=-" for letter in value)
    )


def _is_search(value: Any) -> bool:
    return isinstance(value, dict) and value.get("combinator") in ("and", "or") and isinstance(value.get("rules"), list)


def _is_relation(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return value is None or _is_search(value) or all(map(is_entity_name, names))


def _or_null(rule: Rule) -> Rule:
    is_right, message = rule
    return (lambda value: value is None or is_right(value)), f"{message} or null"


_MAX_NAME_CHARACTERS = 1000
_TEAM: Rule = (
    (lambda value: isinstance(value, str) or is_list_of_strings(value) or _is_search(value)),
    "must be string, array of strings or search query",
)
ENTITY: Fields = {
    "identifier": (
        is_entity_name,
        "must be letters, digits and @_.+:\\/=- (the sandbox supports no search queries)",
    ),
    "title": _STRING,
    "icon": _STRING,
    "team": _TEAM,
    "properties": _OBJECT,
    "relations": (
        (lambda value: isinstance(value, dict) and all(map(_is_relation, value.values()))),
        "must be object of entities' identifiers, arrays of them, search queries or nulls",
    ),
}
ENTITY_PATCH: Fields = {**ENTITY, **{name: _or_null(ENTITY[name]) for name in ("title", "icon", "team")}}
SEARCH: Fields = {"combinator": _one_of("and", "or"), "rules": _LIST}
BLUEPRINT_SEARCH: Fields = {
    "query": _OBJECT,
    "limit": _whole(1, 1000),
    "from": _STRING,
    "include": _STRINGS,
    "exclude": _STRINGS,
}
BULK: Fields = {"entities": _LIST}
BULK_DELETE: Fields = {"entities": _STRINGS}
DATASOURCE: Fields = {
    "datasource_prefix": _STRING,
    "datasource_suffix": _STRING,
    "limit": _whole(1),
    "from": _STRING,
    "before": _STRING,
}
BLUEPRINT: Fields = {
    "identifier": (is_entity_name, "must be letters, digits and @_.+:\\/=-"),
    "title": _STRING,
    "icon": _STRING,
    "description": _STRING,
    "schema": _OBJECT,
    "relations": _OBJECT,
    "mirrorProperties": _OBJECT,
    "calculationProperties": _OBJECT,
    "aggregationProperties": _OBJECT,
}
DELIVERY: Fields = {
    "runId": (is_run_id, "must be the ID of an action run"),
    "action": _STRING,
    "blueprint": _or_null(_STRING),
    "entity": _or_null(_STRING),
    "properties": _OBJECT,
    "status": _ENDS,
}
_DESCRIPTION = _written(r"[\s\S]{0,200}", "must be string of at most 200 characters")
SECRET: Fields = {
    "secretName": _written(r"[A-Za-z0-9_-]{1,50}", "must be 1 to 50 letters, digits, - and _"),
    "secretValue": _STRING,
    "description": _DESCRIPTION,
}
SECRET_PATCH: Fields = {"secretValue": _STRING, "description": _DESCRIPTION}
TEAM: Fields = {
    "name": _written(
        r"[^;#/?\s](?:[^;#/?]*[^;#/?\s])",
        "must be at least 2 characters without ; # / ? and without outer whitespace",
    ),
    "users": _STRINGS,
    "description": _STRING,
}
_POLICY: Rule = (
    (
        lambda value: (
            value is None
            or (
                isinstance(value, dict)
                and isinstance(value.get("queries"), dict)
                and is_list_of_strings(value.get("conditions"))
                and not value.keys() - {"queries", "conditions"}
            )
        )
    ),
    "must be null, or an object with queries and conditions",
)
APPROVE_PERMISSIONS: Fields = {"users": _STRINGS, "roles": _STRINGS, "teams": _STRINGS, "policy": _POLICY}
EXECUTE_PERMISSIONS: Fields = {**APPROVE_PERMISSIONS, "ownedByTeam": _BOOLEAN}
PERMISSIONS: Fields = {"execute": _OBJECT, "approve": _OBJECT}
SCORECARD: Fields = {"identifier": _STRING, "title": _STRING, "rules": _LIST, "levels": _LIST, "filter": _OBJECT}
PAGE: Fields = {"identifier": _STRING, "title": _STRING}
CURSOR: Fields = {"primary": _STRING}
INTEGRATION_CONFIG: Fields = {"config": _OBJECT}
INTEGRATION: Fields = {"installationId": _STRING, "config": _OBJECT, "resyncState": _OBJECT}
_SWITCH = _one_of("true", "false")
_QUERY: Fields = {
    "version": _one_of("v1", "v2"),
    "active": _SWITCH,
    "upsert": _SWITCH,
    "merge": _SWITCH,
    "validation_only": _SWITCH,
    "create_missing_related_entities": _SWITCH,
    "run_as": ((lambda value: value.count("@") == 1 and all(value.split("@"))), 'must match format "email"'),
    "source": (
        (lambda value: not set(value.split(",")) - {"UI", "API", "AUTOMATION"}),
        "must be UI, API or AUTOMATION",
    ),
    "offset": ((lambda value: _is_number(value, 0, 10**9)), "must be >= 0"),
}


def find_fault(
    body: Any, fields: Fields, *, required: tuple[str, ...] = (), others: bool = False, name_of: str = "body"
) -> str | None:
    """Return the first error in the body of a request, with the name of the field, or None.

    With `others`, fields that are not in `fields` may have any value. `name_of` is what the message calls the body.
    """
    if not isinstance(body, dict):
        return f"{name_of} must be object"
    for name in required:
        if name not in body:
            return f"{name_of} must have required property '{name}'"
    for name, value in body.items():
        if name not in fields:
            if others:
                continue
            return f"{name_of} must NOT have additional properties, found '{name}'"
        is_right, message = fields[name]
        if not is_right(value):
            return f"{name_of}/{name} {message}"
    return None


def find_query_fault(query: Mapping[str, str], *, max_limit: int) -> str | None:
    """Return the first error in a query, or None. `max_limit` is the highest `limit` that the route accepts."""
    for name, (is_right, message) in _QUERY.items():
        if name in query and not is_right(query[name]):
            return f"querystring/{name} {message}"
    if "limit" in query and not _is_number(query["limit"], 1, max_limit):
        return f"querystring/limit must be >= 1 and <= {max_limit}"
    return None


def _is_number(text: str, minimum: int, maximum: int) -> bool:
    return re.fullmatch(_WRITTEN_NUMBER, text) is not None and minimum <= float(text) <= maximum
