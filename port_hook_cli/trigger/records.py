"""The versioned records of `trigger --json`, described in docs/reference/json-records.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from port_hook_cli.actions.request import RenderedRequest
from port_hook_cli.actions.templates import UNDEFINED
from port_hook_cli.invocations.models import Delivery
from port_hook_cli.invocations.records import delivery_fields
from port_hook_cli.runs.fate import RunFate
from port_hook_cli.text.secret import Masker

TRIGGER = "port-hook/trigger/1"

_FATES = {RunFate.SUCCESS: "SUCCESS", RunFate.FAILURE: "FAILURE", RunFate.WAITS: "IN_PROGRESS"}


def invocation_record(
    action: str,
    request: RenderedRequest,
    headers: Mapping[str, str],
    *,
    url: str,
    delivery: Delivery | None,
    fate: RunFate | None,
    masker: Masker,
) -> dict[str, Any]:
    """Return the record of a request, with secrets masked; `delivery` is None if it was not sent."""
    return {
        "schema": TRIGGER,
        "type": "invocation",
        "action": action,
        "run_id": request.run_id,
        "method": request.method,
        "url": masker.text(url),
        "headers": {masker.text(name): masker.text(value) for name, value in headers.items()},
        "body": None if request.body is UNDEFINED else masker.value(json.loads(request.content)),
        "synchronized": request.synchronized,
        "agent": request.agent,
        "errors": [
            {"expression": error.expression.strip(), "message": masker.message(error.message)}
            for error in request.errors
        ],
        "delivery": None if delivery is None else {**(delivery_fields(delivery) or {}), "url": masker.text(url)},
        "run_status": None if fate is None else _FATES.get(fate),
    }


def message_record(
    action: str,
    run_id: str,
    message: Any,
    *,
    synchronized: bool,
    agent: bool,
    errors: Sequence[tuple[str, str]],
    published: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the record of a message on a Kafka topic, with secrets masked; `published` is None if it was printed."""
    return {
        "schema": TRIGGER,
        "type": "message",
        "action": action or None,
        "run_id": run_id or None,
        "message": message,
        "synchronized": synchronized,
        "agent": agent,
        "errors": [{"expression": expression, "message": why} for expression, why in errors],
        "published": published,
    }


def unmet_record(action: str, unmet: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return the record of an automation that does not run: unmet expressions of its condition and why."""
    return {
        "schema": TRIGGER,
        "type": "unmet",
        "action": action,
        "expressions": [{"expression": expression, "message": reason} for expression, reason in unmet],
    }


def run_record(action: str, run: Mapping[str, Any], *, page: str, logs: Sequence[str] = ()) -> dict[str, Any]:
    """Return the record of a run in Port; `logs` are the messages of its log, `page` is its URL in Port or ""."""
    return {
        "schema": TRIGGER,
        "type": "run",
        "action": action,
        "run_id": run.get("id"),
        "status": run.get("status"),
        "status_label": run.get("statusLabel"),
        "summary": run.get("summary"),
        "logs": list(logs),
        "page": page or None,
    }
