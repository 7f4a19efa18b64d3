"""The record of `render --json`, described in docs/reference/json-records.md."""

from __future__ import annotations

import json
from typing import Any

from port_hook_cli.actions.templates import UNDEFINED, Rendering
from port_hook_cli.javascript.values import write_json

RENDERING = "port-hook/rendering/1"


def rendering_record(rendering: Rendering) -> dict[str, Any]:
    """Return the record of a rendered template that `render --json` prints. `result` has the form of JSON.stringify."""
    return {
        "schema": RENDERING,
        "result": None if rendering.value is UNDEFINED else json.loads(write_json(rendering.value)),
        "undefined": rendering.value is UNDEFINED,
        "errors": [
            {"expression": error.expression.strip(), "kind": error.kind, "message": error.message}
            for error in rendering.errors
        ],
    }
