"""What a body says: the run, the action, who, with which inputs.

Two shapes are met, and anything in between: the old default (`context.runId`, `payload.properties`) and whatever
an action's `invocationMethod.body` template renders to; automations send their event. So every field is looked
for in each place where Port's documentation or its published examples put it, and is left empty otherwise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from port_hook_cli.core.changes import find_changes
from port_hook_cli.core.models import Headers, Kind, Payload

RUN_ID = re.compile(r"(?:r_[A-Za-z0-9]{16}|wfnr_[A-Za-z0-9]+)\Z")
_RUN_ID_PLACES = (("context", "runId"), ("port_context", "runId"), ("port_context", "run_id"))
# A hostile body must not make the search for a run id expensive.
_MOST_VALUES_SEARCHED = 10_000
# Python's int() refuses more digits than this; the value is shown as a float, as JavaScript would read it.
_MOST_INT_DIGITS = 4_000


def is_run_id(text: object) -> bool:
    """Whether `text` has the form of an action run's id (`r_` + 16) or a workflow node run's (`wfnr_…`)."""
    return isinstance(text, str) and RUN_ID.match(text) is not None


def read_payload(body: bytes, headers: Headers) -> Payload:
    """Return what can be read of `body`. Never raises, on any bytes."""
    document, problem = _parse(body)
    root = document if isinstance(document, dict) else {}
    trigger = _dict(root, "trigger")
    run_id = find_run_id(document, headers)
    if _dict(root, "event") or "diff" in root:
        return _automation(document, root, run_id)
    invoked = _dict(root, "payload", "action") or _dict(root, "action")
    entity = _dict(root, "payload", "entity") or _dict(root, "entity")
    return Payload(
        kind=_kind(root, run_id),
        run_id=run_id,
        action=_first(root.get("action"), invoked.get("identifier"), _at(root, "port_context", "action")),
        operation=_operation(invoked, trigger),
        user=_user(trigger),
        origin=_first(trigger.get("origin")),
        blueprint=_name(_place(root, "blueprint"), invoked.get("blueprint"), entity.get("blueprint")),
        entity=_name(_place(root, "entity"), entity),
        synchronized=_flag(_at(invoked, "invocationMethod", "synchronized"), root.get("synchronized")),
        inputs=_inputs(root),
        censored=_censored(root, invoked),
        document=document,
        problem=problem,
    )


def find_run_id(document: Any, headers: Headers) -> str | None:
    """Return the run id: from the payload's context, the `RUN_ID` header, or any string that is one, in this order."""
    for place in _RUN_ID_PLACES:
        found = _at(document, *place)
        if isinstance(found, str) and found:
            return found
    header = headers.get("run_id")
    if header and is_run_id(header.strip()):
        return header.strip()
    return next((text for text in _strings(document) if is_run_id(text)), None)


def _parse(body: bytes) -> tuple[Any, str | None]:
    if not body:
        return None, "the body is empty"
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        return None, f"the body is not UTF-8 text (byte {error.start})"
    try:
        return _loads(text), None
    except RecursionError:
        return None, "the JSON is nested too deeply to be read"
    except ValueError as error:
        return None, f"the body is not JSON ({error})"


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return json.loads(text, parse_int=_any_length_int)


def _any_length_int(digits: str) -> int | float:
    return int(digits) if len(digits) < _MOST_INT_DIGITS else float(digits)


def _automation(document: Any, root: dict[str, Any], run_id: str | None) -> Payload:
    event = _dict(root, "event") or root
    diff = _dict(event, "diff")
    context = _dict(event, "context")
    trigger = _dict(event, "trigger") or _dict(root, "trigger")
    kind = Kind.CHANGE_LOG if "changelogDestination" in root else Kind.AUTOMATION
    return Payload(
        kind=kind,
        run_id=None if kind is Kind.CHANGE_LOG else run_id,
        action=_first(root.get("action"), _at(root, "action", "identifier")) if event is not root else None,
        event=_first(event.get("action")),
        user=_user(trigger),
        origin=_first(trigger.get("origin")),
        blueprint=_name(context.get("blueprintIdentifier"), context.get("blueprint")),
        entity=_name(context.get("entityIdentifier"), context.get("entity")),
        inputs=_inputs(root),
        changes=find_changes(diff.get("before"), diff.get("after")),
        document=document,
    )


def _kind(root: dict[str, Any], run_id: str | None) -> Kind:
    if "changelogDestination" in root:
        return Kind.CHANGE_LOG
    return Kind.ACTION_RUN if run_id or root.get("resourceType") == "run" else Kind.UNKNOWN


def _operation(invoked: dict[str, Any], trigger: dict[str, Any]) -> str | None:
    inner = invoked.get("trigger")
    return _first(inner, _at(inner, "operation"), trigger.get("operation"))


def _user(trigger: dict[str, Any]) -> str | None:
    by = trigger.get("by")
    return _first(_at(by, "user", "email"), _at(by, "email"), by, _at(by, "userId"), _at(by, "integration"))


def _inputs(root: dict[str, Any]) -> dict[str, Any]:
    found = (_at(root, *place) for place in (("payload", "properties"), ("inputs",), ("port_payload", "inputs")))
    return next((inputs for inputs in found if isinstance(inputs, dict)), {})


def _censored(root: dict[str, Any], invoked: dict[str, Any]) -> tuple[str, ...]:
    names = _at(root, "payload", "censoredProperties") or invoked.get("encryptedProperties")
    return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()


def _place(root: dict[str, Any], key: str) -> Any:
    return _at(root, "context", key) or _at(root, "port_context", key)


def _name(*candidates: Any) -> str | None:
    for candidate in candidates:
        name = _first(candidate, _at(candidate, "identifier"), _at(candidate, "title"))
        if name:
            return name
    return None


def _first(*candidates: Any) -> str | None:
    return next((text for text in candidates if isinstance(text, str) and text), None)


def _flag(*candidates: Any) -> bool | None:
    return next((flag for flag in candidates if isinstance(flag, bool)), None)


def _at(value: Any, *path: str) -> Any:
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def _dict(value: Any, *path: str) -> dict[str, Any]:
    found = _at(value, *path)
    return found if isinstance(found, dict) else {}


def _strings(document: Any) -> Iterator[str]:
    """Yield the strings of a document, breadth first, up to a bound."""
    queue = [document]
    for count, value in enumerate(queue):
        if count >= _MOST_VALUES_SEARCHED:
            return
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            queue.extend(value.values())
        elif isinstance(value, list):
            queue.extend(value)
