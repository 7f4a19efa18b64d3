"""The request that the agent makes of a message and a mapping (`WebhookInvoker._prepare_payload` and `_request`)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from port_hook_cli.prediction.expressions import Evaluate, Evaluated
from port_hook_cli.prediction.mapping import AgentMapping, texts_in
from port_hook_cli.prediction.message import AgentMessage
from port_hook_cli.prediction.wire import AgentFault, WireRequest, signed_content, wire_request
from port_hook_cli.signatures.signing import MESSAGE_SIGNATURE, MESSAGE_TIMESTAMP, sign
from port_hook_cli.text.secret import Secret

_FIELDS = ("method", "url", "body", "headers", "query")


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedRequest:
    """A request as the mapping makes it: any value that an expression gives can be in any field."""

    method: Any
    url: Any
    body: Any = field(repr=False)
    headers: Any
    query: Any

    def document(self) -> dict[str, Any]:
        """Return the request as the expressions of `report` see it."""
        return {name: getattr(self, name) for name in _FIELDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedField:
    """An expression of a mapping's request or report, and its result."""

    place: str
    result: Evaluated


def map_request(
    message: AgentMessage, mapping: AgentMapping, evaluate: Evaluate
) -> tuple[MappedRequest, tuple[MappedField, ...]]:
    """Return the request of a message, and the results of the mapping's expressions.

    Raises AgentFault if the invocation method has no usable method or URL, even where the mapping sets both.
    """
    request = MappedRequest(
        method=_text(message.method.get("method", "POST"), "method"),
        url=_text(message.method.get("url", ""), "url"),
        body=message.document,
        headers={},
        query={},
    )
    fields, results = apply_expressions(mapping.fields, mapping.place, message.document, evaluate)
    return replace(request, **fields), results


def apply_expressions(
    fields: Mapping[str, Any], place: str, document: Any, evaluate: Evaluate
) -> tuple[dict[str, Any], tuple[MappedField, ...]]:
    """Return `fields` with each expression replaced by its result over `document`, and the results."""
    texts = [pair for name, value in fields.items() for pair in texts_in(value, f"{place}.{name}")]
    found = evaluate([text for _, text in texts], document) if texts else ()
    results = tuple(MappedField(place=where, result=result) for (where, _), result in zip(texts, found, strict=True))
    values = iter([result.value for result in found])
    return {name: _filled(value, values) for name, value in fields.items()}, results


def _filled(value: Any, values: Iterator[Any]) -> Any:
    if isinstance(value, str):
        return next(values)
    if isinstance(value, Mapping):
        filled = {name: _filled(element, values) for name, element in value.items()}
        # flatten_dict, which the agent uses, loses empty objects.
        return {name: element for name, element in filled.items() if not _is_lost(value[name])}
    if isinstance(value, list):
        return [_filled(element, values) for element in value]
    return value


def _is_lost(value: Any) -> bool:
    return isinstance(value, Mapping) and all(_is_lost(element) for element in value.values())


def _text(value: Any, name: str) -> str:
    """Return a field of the invocation method as pydantic converts it."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not (isinstance(value, float) and math.isnan(value)):
        return str(value)
    fault = "none is not an allowed value" if value is None else "str type expected"
    raise AgentFault(f"ValidationError: 1 validation error for RequestPayload: {name}: {fault}")


def sign_request(request: MappedRequest, secret: Secret, timestamp: str) -> MappedRequest:
    """Return the request with the agent's own headers; raises AgentFault if its headers are not an object."""
    if not isinstance(request.headers, dict):
        kind = type(request.headers).__name__
        raise AgentFault(f"TypeError: {kind!r} object does not support item assignment")
    signature = sign(signed_content(request.body), secret, timestamp)
    return replace(request, headers={**request.headers, MESSAGE_TIMESTAMP: timestamp, MESSAGE_SIGNATURE: signature})


def to_wire(request: MappedRequest) -> WireRequest:
    """Return the bytes of a signed request; raises AgentFault if the agent's HTTP library refuses it."""
    return wire_request(
        request.method,
        request.url,
        headers=request.headers,
        query=request.query,
        body=request.body,
    )
