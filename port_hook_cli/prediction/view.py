"""Shows a prediction on the screen and as a record (docs/reference/json-records.md).

All text of the message and the mapping is made safe for a terminal, and secrets are masked.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from port_hook_cli.invocations.models import Delivery, MessageOrigin
from port_hook_cli.invocations.view import MOST_OF_A_URL, delivery_fields, origin_fields
from port_hook_cli.prediction.calls import TOKEN_PATH, AgentCall, AgentOutcome
from port_hook_cli.prediction.expressions import EnvironmentUse, Evaluated, correction
from port_hook_cli.prediction.mapping import MappingProblem, Severity
from port_hook_cli.prediction.message import AgentMessage, AgentTransport, AgentVersion, Subject
from port_hook_cli.prediction.prediction import MappingTry, ShownPrediction
from port_hook_cli.prediction.request import AgentMasker, MappedField
from port_hook_cli.prediction.wire import WireRequest, signed_content
from port_hook_cli.text.layout import INDENT
from port_hook_cli.text.safe import brief, printable, shorten
from port_hook_cli.text.styled import Styled

_COMPILE_ERROR = "compile error"
_MOST_OF_A_VALUE = 400
_MOST_OF_A_BODY = 4000
_MOST_LINES = 60
_TRANSPORTS = {AgentTransport.KAFKA: "a Kafka topic", AgentTransport.POLLING: "polling"}
_VERSIONS = {
    AgentVersion.MAY_2026: "of May 2026",
    AgentVersion.AFTER_MAY_2026: "after May 2026",
    AgentVersion.LATEST: "in its latest version",
}
_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})


def prediction_lines(shown: ShownPrediction) -> Iterator[Styled]:
    """Yield the lines about the message, the mappings and the request."""
    prediction, masker = shown.prediction, shown.masker
    yield from _message_lines(prediction.message, came_over_http=shown.came_over_http)
    yield from _version_lines(prediction.message, shown.version)
    skipped = max(0, len(prediction.tries) - _MOST_LINES)
    if skipped:
        yield _line("mapping", Styled(f"… {skipped:,} are skipped", "dim"))
    for tried in prediction.tries[skipped:]:
        yield _line("mapping", _tried(tried, masker))
    for path in prediction.decrypted[:_MOST_LINES]:
        text = f"{printable(path.path)} is decrypted" if not path.problem else f"{printable(path.path)}: {path.problem}"
        yield _line("decrypts", Styled(text, "yellow" if path.problem else ""))
    yield from _environment_lines(shown.environment, shown.given)
    yield from _field_lines(prediction.fields, masker)
    if prediction.wire is None:
        yield _line("sends", Styled(f"nothing: {printable(masker.text(prediction.reason))}", "yellow"))
    else:
        yield from _request_lines(prediction.wire, masker)


def unpredicted_line(reason: str) -> Styled:
    """Return the line about a message for which there is no prediction."""
    return _line("unread", Styled(brief(reason, _MOST_OF_A_VALUE), "yellow"))


def outcome_lines(
    outcome: AgentOutcome, calls: Sequence[AgentCall], *, masker: AgentMasker, title: str
) -> Iterator[Styled]:
    """Yield the lines about the agent's reports in these `calls` of an outcome.

    `title` says when the agent makes the calls.
    """
    yield Styled("")
    yield Styled(title, "bold")
    yield from _field_lines(outcome.fields, masker)
    yield from _call_lines(calls, masker)
    if all(call.log is not None for call in calls):
        yield _line("", Styled("no report: the run keeps its status in Port", "yellow" if outcome.error else ""))
    if outcome.error:
        yield _line("its log", Styled(brief(masker.text(outcome.error), _MOST_OF_A_VALUE), "yellow"))


def before_lines(shown: ShownPrediction) -> Iterator[Styled]:
    """Yield the lines about the calls that get the agent a polled run, and about the calls before its request."""
    prediction = shown.prediction
    for title, calls in (("to get the run", prediction.taking), ("before the request", prediction.before)):
        if calls:
            yield Styled("")
            yield Styled(title, "bold")
            yield from _call_lines(calls, shown.masker)
    if prediction.taking or prediction.before:
        yield _line("", Styled(f"before each call, the agent gets a new token (POST {TOKEN_PATH})", "dim"))


def problem_lines(problems: Sequence[MappingProblem]) -> Iterator[Styled]:
    """Yield the lines about the problems of a mapping file."""
    for problem in problems:
        style = "yellow" if problem.severity is Severity.NOTE else "red"
        yield Styled.assemble((printable(problem.place), "bold"), (f" {printable(problem.message)}", style))


def title_of(outcome: AgentOutcome) -> str:
    """Return the text that says when the agent makes the calls of an outcome."""
    response = outcome.response
    if response is None:
        return "in Port"
    return f"if there is no response ({response.name})" if response.failure else f"if the response is {response.name}"


def _message_lines(message: AgentMessage, *, came_over_http: bool) -> Iterator[Styled]:
    what = f"{message.subject} {printable(message.run_id or '')}".strip()
    comes_from = f"from {_TRANSPORTS[message.transport]}"
    parts = [f"captured over HTTP and read as if {comes_from}" if came_over_http else comes_from]
    if message.subject is not Subject.CHANGE:
        parts.append("synchronized" if message.is_synchronized else "not synchronized")
    yield _line("message", Styled.assemble((what, "bold"), f", {', '.join(parts)}"))
    for note in message.notes:
        yield _line("", Styled(note, "dim"))


def _version_lines(message: AgentMessage, version: AgentVersion) -> Iterator[Styled]:
    if message.looks_like is None:
        return
    yield _line("version", Styled(f"it looks like the agent {_VERSIONS[message.looks_like]}"))
    if message.looks_like is not version:
        advice = f"this prediction is for the agent {_VERSIONS[version]}: add --agent-version {message.looks_like}"
        yield _line("", Styled(advice, "yellow"))


def _tried(tried: MappingTry, masker: AgentMasker) -> Styled:
    mapping = tried.mapping
    place = (f"{mapping.place} ", "bold")
    used = ("is used", "green") if tried.is_enabled else "is skipped"
    if tried.result is None:
        return Styled.assemble(place, used, f": enabled is {str(tried.is_enabled).lower()}")
    return Styled.assemble(place, used, f": {_expression(tried.result, masker)}")


def _field_lines(fields: Sequence[MappedField], masker: AgentMasker) -> Iterator[Styled]:
    for field in fields[:_MOST_LINES]:
        yield _line("maps", _mapped(field, masker))
    if len(fields) > _MOST_LINES:
        yield _line("maps", Styled(f"… {len(fields) - _MOST_LINES:,} more; --json has all", "dim"))


def _mapped(field: MappedField, masker: AgentMasker) -> Styled:
    style = "yellow" if field.result.error else ""
    return Styled.assemble((f"{printable(field.place)} ", "bold"), (_expression(field.result, masker), style))


def _expression(result: Evaluated, masker: AgentMasker) -> str:
    text = f"`{brief(result.expression, _MOST_OF_A_VALUE)}` is "
    if result.error:
        hint = correction(result.expression) if _COMPILE_ERROR in result.error else ""
        told = f"{text}null: {brief(masker.text(result.error), _MOST_OF_A_VALUE)}"
        return f"{told}: {brief(hint, _MOST_OF_A_VALUE)}" if hint else told
    if result.is_empty:
        return f"{text}null: it has no result"
    return text + brief(json.dumps(masker.value(result.value), ensure_ascii=False), _MOST_OF_A_VALUE)


def _environment_lines(environment: EnvironmentUse, given: Sequence[str]) -> Iterator[Styled]:
    for name in environment.names:
        fact = "given" if name in given else f"not given, so null here: add --env {name}"
        yield _line("reads", Styled(f"the variable {printable(name)} ({printable(fact)})"))
    if environment.is_open:
        yield _line("reads", Styled("computed variable names. In this prediction, only variables from --env are set"))


def _request_lines(wire: WireRequest, masker: AgentMasker) -> Iterator[Styled]:
    yield Styled("")
    url = brief(masker.text(wire.address.url), MOST_OF_A_URL)
    yield Styled.assemble((f"{brief(masker.text(wire.method))} {url}", "bold"))
    for name, value in wire.headers:
        shown = "***" if name.lower() in _SECRET_HEADERS else brief(masker.text(value), _MOST_OF_A_VALUE)
        yield Styled(f"  {brief(masker.text(name))}: {shown}")
    if not wire.body:
        yield Styled("  without a body", "dim")
        return
    document = json.loads(wire.body)
    yield Styled(f"  {shorten(printable(json.dumps(masker.value(document))), _MOST_OF_A_BODY)}")
    signed = len(signed_content(document))
    matches = "which is what it sends" if signed == len(wire.body) else "so its raw bytes do not match the signature"
    yield Styled(f"  {len(wire.body):,} bytes. It signs the compact form ({signed:,} bytes), {matches}", "dim")


def _call_lines(calls: Sequence[AgentCall], masker: AgentMasker) -> Iterator[Styled]:
    for call in calls:
        yield _call_line(call, masker)
        for fact in call.undocumented:
            yield _line("", Styled(f"in Port's API document, {fact}. Port may reject this call", "yellow"))


def _call_line(call: AgentCall, masker: AgentMasker) -> Styled:
    if call.log is not None:
        return _line("log", Styled(brief(masker.text(call.log), _MOST_OF_A_VALUE)))
    body = brief(json.dumps(masker.value(call.body), ensure_ascii=False), _MOST_OF_A_VALUE)
    return _line("call", Styled.assemble(f"{call.method} {printable(call.path)} ", (body, "cyan")))


def _line(label: str, text: Styled) -> Styled:
    return Styled.assemble("  ", (label.ljust(INDENT - 2), "dim"), text)


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
    """Return a value in which the numbers that JSON lacks are the strings "nan", "inf" and "-inf"."""
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
