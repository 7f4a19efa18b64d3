"""The transcription of Port's workflow routes in OpenAPI, if this machine has it, and a check of responses."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from tests.port_openapi import documented_route

_PLACES = (
    os.environ.get("PORT_WORKFLOWS_OPENAPI", ""),
    str(Path(__file__).parents[2] / "shared" / "port-workflows-api.json"),
    str(Path(__file__).parents[3] / "shared" / "port-workflows-api.json"),
)
# Port also sends these statuses, but its document does not list them: a missing token, an ended run, a rejected
# request.
_UNDOCUMENTED = {400, 401, 409, 422, 429, 500}


@functools.cache
def workflows_openapi() -> dict[str, Any] | None:
    """Return the document, or None if it is missing."""
    place = next((Path(place) for place in _PLACES if place and Path(place).is_file()), None)
    return None if place is None else json.loads(place.read_bytes())


def require_workflows_openapi() -> dict[str, Any]:
    """Return the document, or skip the test that asks for it."""
    document = workflows_openapi()
    if document is None:
        pytest.skip("the workflow routes in OpenAPI are not on this machine. Set PORT_WORKFLOWS_OPENAPI to their path")
    return document


def faults(document: dict[str, Any], value: Any, schema: Any) -> list[str]:
    """Return where `value` departs from a schema of `document`."""
    whole = {**schema, "components": document["components"]}
    return [
        f"{error.json_path}: {error.message}" for error in jsonschema.Draft202012Validator(whole).iter_errors(value)
    ]


async def check_response(response: httpx.Response) -> None:
    """Fail when the document does not allow a response of a workflow route."""
    await response.aread()
    document = workflows_openapi()
    route = None if document is None else documented_route(document, response.request)
    if document is None or route is None:
        return
    described = document["paths"][route][response.request.method.lower()]["responses"]
    found = described.get(str(response.status_code)) or described.get("2XX" if response.is_success else "")
    where = (response.request.method, route, response.status_code)
    assert found is not None or response.status_code in _UNDOCUMENTED, where
    schema = ((found or {}).get("content") or {}).get("application/json", {}).get("schema")
    if schema is not None:
        assert (where, faults(document, response.json(), schema)) == (where, [])
