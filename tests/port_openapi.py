"""Port's OpenAPI document, if this machine has it, and a small validator for its schemas."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

# The document is Port's and is not copied into this repository.
_PLACES = (os.environ.get("PORT_OPENAPI", ""), str(Path(__file__).parents[2] / "shared" / "port-api.json"))
_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "number": (int, float),
    "null": type(None),
}


def port_openapi() -> dict[str, Any]:
    """Return the document, or skip the test if this machine does not have it."""
    place = openapi_file()
    if place is None:
        pytest.skip("Port's OpenAPI document is not on this machine. Set PORT_OPENAPI to its path")
    document: dict[str, Any] = json.loads(place.read_bytes())
    return document


def openapi_file() -> Path | None:
    """Return the path of the document, or None."""
    return next((Path(place) for place in _PLACES if place and Path(place).is_file()), None)


def with_shown_action(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with a successful response to a GET of an action, which the original lacks."""
    document = copy.deepcopy(document)
    shown = {"type": "object", "required": ["ok", "action"], "properties": {"ok": {"const": True}}}
    responses = document["paths"]["/v1/actions/{action_identifier}"]["get"]["responses"]
    responses["200"] = {"description": "", "content": {"application/json": {"schema": shown}}}
    return document


def documented_route(document: Mapping[str, Any], request: httpx.Request) -> str | None:
    """Return the path of the document that fits a request best, or None."""
    segments = request.url.raw_path.decode().partition("?")[0].split("/")
    fitting = [
        path
        for path, methods in document["paths"].items()
        if request.method.lower() in methods
        and len(path.split("/")) == len(segments)
        and all(part[:1] == "{" or part == segment for part, segment in zip(path.split("/"), segments, strict=True))
    ]
    return min(fitting, key=lambda path: path.count("{"), default=None)


def answer_schema(document: dict[str, Any], method: str, route: str, status: int) -> Any:
    """Return the schema of one response. Raises KeyError for a status that the document does not have."""
    answers = document["paths"][route][method.lower()]["responses"]
    return answers[str(status)]["content"]["application/json"]["schema"]


def body_schema(document: dict[str, Any], method: str, route: str) -> Any:
    """Return the schema of one request's body."""
    return document["paths"][route][method.lower()]["requestBody"]["content"]["application/json"]["schema"]


def faults(value: Any, schema: Any, place: str = "$") -> list[str]:
    """Return the paths where `value` violates `schema`.

    Known keywords: type, enum, const, required, properties, additionalProperties: false, items, oneOf, anyOf.
    """
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    found = [] if not kinds or any(_is(value, kind) for kind in kinds) else [f"{place} is no {'/'.join(kinds)}"]
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{place} is not one of {schema['enum']}")
    if "const" in schema and value != schema["const"]:
        found.append(f"{place} is not {schema['const']}")
    for choices in (schema.get("oneOf"), schema.get("anyOf")):
        found += [f"{place} fits no choice"] if choices and all(faults(value, each, place) for each in choices) else []
    if isinstance(value, dict):
        found += _object_faults(value, schema, place)
    if isinstance(value, list) and "items" in schema:
        found += [fault for n, item in enumerate(value) for fault in faults(item, schema["items"], f"{place}[{n}]")]
    return found


def _object_faults(value: dict[str, Any], schema: Any, place: str) -> list[str]:
    properties = schema.get("properties", {})
    found = [f"{place} lacks {name}" for name in schema.get("required", ()) if name not in value]
    if schema.get("additionalProperties") is False:
        found += [f"{place} has {name}" for name in value.keys() - properties.keys()]
    for name in value.keys() & properties.keys():
        found += faults(value[name], properties[name], f"{place}.{name}")
    return found


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and not (isinstance(value, bool) and kind == "number")
