"""The records of `agent --json`, described in docs/reference/json-records.md."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from port_hook_cli.invocations.models import Delivery, MessageOrigin
from port_hook_cli.invocations.records import delivery_fields, origin_fields
from port_hook_cli.prediction.calls import AgentCall, AgentOutcome
from port_hook_cli.prediction.expressions import Evaluated
from port_hook_cli.prediction.mapping import MappingProblem, Severity
from port_hook_cli.prediction.prediction import MappingTry, ShownPrediction
from port_hook_cli.prediction.request import AgentMasker, MappedField
from port_hook_cli.prediction.wire import WireRequest, signed_content

AGENT = "port-hook/agent/1"


def prediction_record(
    shown: ShownPrediction, outcomes: Sequence[AgentOutcome], delivery: Delivery | None = None
) -> dict[str, Any]:
    """Return the record of a prediction. `delivery` is None if the request was not sent."""
    prediction, masker, environment = shown.prediction, shown.masker, shown.environment
    message = prediction.message
    return {
        "schema": AGENT,
        "type": "prediction",
        "transport": str(message.transport),
        "subject": str(message.subject),
        "run_id": message.run_id,
        "synchronized": message.is_synchronized,
        "notes": list(message.notes),
        "agent_version": str(shown.version),
        "looks_like": None if message.looks_like is None else str(message.looks_like),
        "mappings": [_try(each, masker) for each in prediction.tries],
        "mapping": None if prediction.mapping is None else prediction.mapping.place,
        "environment": {"names": list(environment.names), "open": environment.is_open, "given": list(shown.given)},
        "decrypted": [{"path": each.path, "problem": each.problem or None} for each in prediction.decrypted],
        "fields": [_field(each, masker) for each in prediction.fields],
        "request": None if prediction.wire is None else _request(prediction.wire, masker),
        "reason": masker.text(prediction.reason) or None,
        "taking": [_call(each, masker) for each in prediction.taking],
        "outcomes": [_outcome(each, masker) for each in outcomes],
        "delivery": None if delivery is None else _delivery(delivery, masker),
        "kafka": origin_fields(shown.origin),
    }


def unpredicted_record(name: str, reason: str, *, origin: MessageOrigin | None) -> dict[str, Any]:
    """Return the record of a message for which there is no prediction."""
    return {"schema": AGENT, "type": "unpredicted", "message": name, "reason": reason, "kafka": origin_fields(origin)}


def check_record(file: str, count: int, problems: Sequence[MappingProblem]) -> dict[str, Any]:
    """Return the record of a checked mapping file with `count` mappings."""
    return {
        "schema": AGENT,
        "type": "check",
        "file": file,
        "mappings": count,
        "valid": not any(each.severity is Severity.FATAL for each in problems),
        "problems": [
            {"place": each.place, "message": each.message, "severity": str(each.severity)} for each in problems
        ],
    }


def _try(tried: MappingTry, masker: AgentMasker) -> dict[str, Any]:
    shown = None if tried.result is None else _evaluated(tried.result, masker)
    return {"place": tried.mapping.place, "enabled": tried.is_enabled, "expression": shown}


def _field(field: MappedField, masker: AgentMasker) -> dict[str, Any]:
    return {"place": field.place, **_evaluated(field.result, masker)}


def _evaluated(result: Evaluated, masker: AgentMasker) -> dict[str, Any]:
    return {
        "expression": result.expression,
        "value": _in_json(masker.value(result.value)),
        "empty": result.is_empty,
        "error": masker.text(result.error) or None,
    }


def _in_json(value: Any) -> Any:
    """Return a value in which numbers that JSON lacks are the strings "nan", "inf" and "-inf"."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list):
        return [_in_json(element) for element in value]
    if isinstance(value, dict):
        return {name: _in_json(element) for name, element in value.items()}
    return value


def _request(wire: WireRequest, masker: AgentMasker) -> dict[str, Any]:
    document = json.loads(wire.body) if wire.body else None
    return {
        "method": masker.text(wire.method),
        "url": masker.text(wire.address.url),
        "headers": [[masker.text(name), masker.text(value)] for name, value in wire.headers],
        "body": masker.value(document),
        "length": len(wire.body),
        "signed_length": len(signed_content(document)),
    }


def _outcome(outcome: AgentOutcome, masker: AgentMasker) -> dict[str, Any]:
    response = outcome.response
    return {
        "response": None
        if response is None
        else {"name": response.name, "status": response.status or None, "failure": response.failure or None},
        "calls": [_call(each, masker) for each in outcome.calls],
        "fields": [_field(each, masker) for each in outcome.fields],
        "error": masker.text(outcome.error) or None,
    }


def _call(call: AgentCall, masker: AgentMasker) -> dict[str, Any]:
    return {
        "method": call.method,
        "path": call.path,
        "headers": dict(call.headers),
        "body": masker.value(call.body),
    }


def _delivery(delivery: Delivery, masker: AgentMasker) -> dict[str, Any]:
    fields = delivery_fields(delivery) or {}
    return {**fields, "url": masker.text(delivery.url), "error": masker.text(delivery.error or "") or None}
