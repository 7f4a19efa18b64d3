"""Reads the parameters of the inspector's API into values. This module is pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from port_hook_cli.captures.browsing.query import (
    HANDLER_FAILED,
    HANDLER_SILENT,
    NO_RESPONSE,
    STATUS_CLASSES,
    CaptureQuery,
)
from port_hook_cli.errors import UsageError
from port_hook_cli.inspector.checking import CheckWanted
from port_hook_cli.inspector.retrying import RetryWanted
from port_hook_cli.inspector.sending import Resend
from port_hook_cli.invocations.models import Status
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.javascript.values import read_json
from port_hook_cli.runs.updates import LogLevel, RunReport, RunStatus, is_node_run

MAX_TEXT = 1_000
MAX_NAME = 80
_LATEST_S = 2.5e11
_LONGEST_MS = 1e12
_A_TIME = ("a time", "Use seconds since the epoch.")
_A_LATENCY = ("a number of milliseconds", "Write it like latency=500.")
_MAX_VERDICTS = 20
_RESPONSES = (*STATUS_CLASSES, NO_RESPONSE)
_HANDLERS = (*_RESPONSES, HANDLER_FAILED, HANDLER_SILENT)


class Parameters(Protocol):
    """Query parameters, which may be repeated."""

    def get(self, name: str, /) -> str | None:
        """Return the first value of a parameter, or None."""
        ...

    def getall(self, name: str, default: list[str], /) -> Sequence[str]:
        """Return all values of a parameter, or `default`."""
        ...


def read_query(parameters: Parameters) -> CaptureQuery:
    """Return the filter in the query parameters. Raises UsageError for invalid values."""
    return CaptureQuery(
        text=_text(parameters, "text") or "",
        action=_text(parameters, "action"),
        verdicts=tuple(_verdict(text) for text in parameters.getall("verdict", [])[:_MAX_VERDICTS] if text),
        response=_status(parameters, "response", _RESPONSES),
        handler=_status(parameters, "handler", _HANDLERS),
        slower_ms=_number(parameters, "latency", _LONGEST_MS, _A_LATENCY),
        run_id=_text(parameters, "run"),
        user=_text(parameters, "user"),
        entity=_text(parameters, "entity"),
        workflow=_text(parameters, "workflow"),
        node=_text(parameters, "node"),
        since_s=_number(parameters, "since", _LATEST_S, _A_TIME),
        until_s=_number(parameters, "until", _LATEST_S, _A_TIME),
        id_prefix=_text(parameters, "id"),
    )


def read_number(parameters: Parameters, name: str, default: int | None, *, most: int | None = None) -> int | None:
    """Return a parameter as a whole number from 0 up to `most`, or `default` if it is missing. Raises UsageError."""
    text = parameters.get(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 15:  # noqa: PLR2004 - a store has no such number
        raise UsageError(f"{name} is not a whole number.", hint=f"Write it like {name}=60.")
    return int(text) if most is None else min(int(text), most)


def read_flag(parameters: Parameters, name: str) -> bool:
    """Return a parameter that is true or false (default: false). Raises UsageError."""
    text = parameters.get(name)
    if text not in {None, "", "true", "false"}:
        raise UsageError(f"{name} is not true or false.", hint=f"Use {name}=true or {name}=false.")
    return text == "true"


def read_resend(body: Mapping[str, Any]) -> Resend:
    """Return how to send a capture again, from the body of a request. Raises UsageError."""
    text, values, to = body.get("body"), body.get("set"), body.get("to")
    for name, value, kind in (("body", text, str), ("to", to, str), ("set", values, dict)):
        if value is not None and not isinstance(value, kind):
            raise UsageError(f'"{name}" has the wrong type.', hint='"body" and "to" are strings. "set" is an object.')
    if not isinstance(body.get("sign", True), bool):
        raise UsageError('"sign" has the wrong type.', hint="Write true or false.")
    return Resend(body=text, values=values or {}, is_signed=body.get("sign") is not False, to=to or None)


def read_check(body: Mapping[str, Any]) -> CheckWanted:
    """Return what to check, from the body of a request. Raises UsageError."""
    texts = {name: _body_text(body, name) for name in ("capture", "action", "to")}
    if texts["capture"] and texts["action"]:
        raise UsageError("A check needs a capture or an action, not both.", hint="Send only one of them.")
    inputs = body.get("inputs") or {}
    if not isinstance(inputs, dict):
        raise UsageError('"inputs" is not an object.', hint='Write it as {"NAME": VALUE}.')
    return CheckWanted(inputs=inputs, only=_names(body, "only"), skip=_names(body, "skip"), **texts)


def read_planned_check(parameters: Parameters) -> CheckWanted:
    """Return what to check, from query parameters. Raises UsageError."""
    texts = {name: _text(parameters, name) for name in ("capture", "action", "to")}
    return read_check({**texts, "only": parameters.getall("only", []), "skip": parameters.getall("skip", [])})


def read_text(body: Mapping[str, Any]) -> str:
    """Return the text whose JSON the page wants to check. The text may be empty. Raises UsageError."""
    text = body.get("text")
    if not isinstance(text, str):
        raise UsageError('"text" is not text.', hint="Send a string.")
    return text


def _names(body: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return the names of checks and groups."""
    names = body.get(name) or []
    if not isinstance(names, list) or not all(isinstance(each, str) and len(each) <= MAX_NAME for each in names):
        raise UsageError(f'"{name}" is not a list of checks.', hint=f'Write it as "{name}": ["signature"].')
    return tuple(names)


def read_report(run_id: str, body: Mapping[str, Any]) -> RunReport:
    """Return the report of a run. Only node runs have a level and an output. Raises UsageError."""
    texts = {name: _body_text(body, name) for name in ("status", "message", "summary", "label", "level")}
    links = body.get("link") or []
    if not isinstance(links, list) or not all(isinstance(link, str) for link in links):
        raise UsageError('"link" is not a list of URLs.', hint='Write it as "link": ["https://…"].')
    message = texts["message"]
    level = _log_level(texts["level"])
    return RunReport(
        status=_report_status(texts["status"]),
        label=texts["label"],
        summary=texts["summary"],
        links=tuple(links),
        logs=(message,) if message else (),
        log_level=level or (LogLevel.INFO if message and is_node_run(run_id) else None),
        output=_report_output(body.get("output")),
    )


def read_retry(run_id: str, body: Mapping[str, Any]) -> RetryWanted:
    """Return the run and the node from which to run a workflow again. Raises UsageError."""
    texts = {name: _body_text(body, name) for name in ("node", "to", "capture")}
    if texts["node"] is None:
        raise UsageError("The node is missing.", hint="Pass node=NODE.")
    return RetryWanted(run_id=run_id, node=texts["node"], to=texts["to"], like=texts["capture"])


def _body_text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise UsageError(f'"{name}" is not text.', hint="Send a string.")
    return value or None


def _report_status(text: str | None) -> RunStatus | None:
    if text is None:
        return None
    try:
        return RunStatus(text.lower())
    except ValueError as error:
        raise UsageError(
            f"{text[:80]} is not a run status.", hint="Use SUCCESS or FAILURE, or CANCELLED for a node."
        ) from error


def _log_level(text: str | None) -> LogLevel | None:
    if text is None:
        return None
    try:
        return LogLevel(text.lower())
    except ValueError as error:
        levels = ", ".join(level.name for level in LogLevel)
        raise UsageError(f"{text[:80]} is not a log level.", hint=f"Use one of {levels}.") from error


def _report_output(value: Any) -> Mapping[str, Any] | None:
    """Return a node's output. The page sends an object, or JSON text, because a browser would change large numbers."""
    if isinstance(value, str) and value.strip():
        try:
            value = read_json(value)
        except NotJson as error:
            raise UsageError(f"The output is not JSON: {error.fault}.", hint="Correct the output.") from error
    if not value:
        return None
    if not isinstance(value, dict):
        raise UsageError("The output is not a JSON object.", hint='Write it like {"runId": "42"}.')
    return value


def _text(parameters: Parameters, name: str) -> str | None:
    text = parameters.get(name)
    if text and len(text) > MAX_TEXT:
        raise UsageError(f"{name} is longer than {MAX_TEXT:,} characters.", hint="Search for a part of it.")
    if text and any("\ud800" <= character <= "\udfff" for character in text):
        raise UsageError(f"{name} is not Unicode text.", hint="Encode it as UTF-8.")
    return text or None


def _verdict(text: str) -> Status:
    try:
        return Status(text)
    except ValueError as error:
        raise UsageError(f"{text[:80]} is not a verdict.", hint=f"Use one of {', '.join(Status)}.") from error


def _status(parameters: Parameters, name: str, choices: Sequence[str]) -> str | None:
    text = parameters.get(name)
    if not text:
        return None
    if text not in choices and not re.fullmatch("[1-9][0-9]{2}", text):
        hint = f"Use one of {', '.join(choices)}, or a status such as 502."
        raise UsageError(f"{text[:80]} is not a valid {name}.", hint=hint)
    return text


def _number(parameters: Parameters, name: str, most: float, kind: tuple[str, str]) -> float | None:
    text = parameters.get(name)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= most:  # NaN fails too
        raise UsageError(f"{name} is not {kind[0]}.", hint=kind[1])
    return value
