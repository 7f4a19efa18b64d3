"""Read the run, the action, the user and the inputs from a body.

A body may have Port's default form (`context.runId`, `payload.properties`), the form of an action's own template
(`invocationMethod.body`), or any form between the two. Automations send their event. So port-hook looks up each field
in all the places where Port's documentation or published examples have it. A field stays empty if it is missing in all
of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any

from port_hook_cli.errors import SourceError
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, EventChange, Invocation, Kind, Payload, Status, Verdict
from port_hook_cli.invocations.small_documents import SMALL_BYTES, small_document
from port_hook_cli.javascript.nesting import MOST_MARKS, has_too_many_values

# Port does not document the length of a workflow node run's ID. Longer texts are not treated as IDs.
_NODE_RUN_PREFIX, _WORKFLOW_RUN_PREFIX = "wfnr_", "wfr_"
_RUN_PREFIXES = ("r_", _NODE_RUN_PREFIX)
_RUN_ID = r"(?:r_[A-Za-z0-9]{16}|wfnr_[A-Za-z0-9]{1,95})\Z"
_WORKFLOW_RUN_ID = r"wfr_[A-Za-z0-9]{1,95}\Z"
# These patterns are compiled when they are first used. A listener needs them for each request, and a compiled pattern
# is faster than `re.match`.
_compiled = cache(re.compile)
_ABOUT_OTHERS = frozenset({"event", "diff", "inputs", "payload"})
# A malicious body must not make the search for a run ID expensive.
_MAX_VALUES_SEARCHED = 10_000
# Python's int() rejects a number with more digits. Like in JavaScript, such a number is shown as a float.
_MAX_INT_DIGITS = 4_000

# These fields change with every event and don't describe it.
_NOISE = frozenset({"updatedAt", "updatedBy"})
_MAX_CHANGES = 200

# Files in which other tools save requests contain one of these keys.
_OTHER_TOOLS = (b'"entries"', b'"item"', b'"requestContext"')

# All missing objects share this object, so it must not change. Creating an object for each took a tenth of the time.
_NOTHING: dict[str, Any] = {}
# This is faster than `json.loads`, which checks its options at each call.
_decode = json.JSONDecoder().decode


def is_run_id(text: object) -> bool:
    """Return whether `text` looks like the ID of an action run (`r_` and 16 characters) or of a node run (`wfnr_…`)."""
    has_form = isinstance(text, str) and text.startswith(_RUN_PREFIXES)
    return has_form and _compiled(_RUN_ID).match(text) is not None


def is_workflow_run_id(text: str) -> bool:
    """Return whether `text` has the format of a workflow run's ID (`wfr_…`)."""
    return text.startswith(_WORKFLOW_RUN_PREFIX) and _compiled(_WORKFLOW_RUN_ID).match(text) is not None


def read_payload(body: bytes, headers: Headers) -> Payload:
    """Return the fields of `body` that can be read. Never raises, for any bytes."""
    document, problem = _parse(body)
    root = document if isinstance(document, dict) else {}
    event, context, port_context, payload, trigger = _dicts(
        root, ("event", "context", "port_context", "payload", "trigger")
    )
    run_id = _run_id_in_context(context, port_context) or _other_run_id(document, root, headers)
    if run_id is not None and run_id.startswith(_NODE_RUN_PREFIX):
        return _workflow_node(document, root, run_id)
    if event or "diff" in root:
        return _automation(document, root, event or root, run_id)
    invoked = _dict(payload, "action") or _dict(root, "action")
    entity = _dict(payload, "entity") or _dict(root, "entity")
    method = _dict(invoked, "invocationMethod")
    by = trigger.get("by")
    return Payload(
        kind=_kind(root, run_id),
        run_id=run_id,
        action=_text(root.get("action"), invoked.get("identifier"), port_context.get("action")),
        operation=_operation(invoked.get("trigger"), trigger),
        user=_user(by),
        origin=_text(trigger.get("origin")),
        blueprint=_name(
            context.get("blueprint"), port_context.get("blueprint"), invoked.get("blueprint"), entity.get("blueprint")
        ),
        entity=_name(context.get("entity"), port_context.get("entity"), entity),
        # Nobody waits for the response to a message that Port publishes for the user's own consumer.
        synchronized=False
        if method.get("type") == "KAFKA"
        else _flag(method.get("synchronized"), root.get("synchronized")),
        via_agent=method.get("agent") is True,
        inputs=_inputs(root, payload),
        censored=_texts(payload.get("censoredProperties") or invoked.get("encryptedProperties")),
        document=document,
        problem=problem,
    )


def find_run_id(document: Any, headers: Headers) -> str | None:
    """Return the run ID from the payload's context, the `RUN_ID` header, or any string in its format, in this order.

    A run ID in an event or an input belongs to another run. So inputs are searched last, and events are not searched.
    """
    root = document if isinstance(document, dict) else {}
    found = _run_id_in_context(_dict(root, "context"), _dict(root, "port_context"))
    return found or _other_run_id(document, root, headers)


def _run_id_in_context(context: dict[str, Any], port_context: dict[str, Any]) -> str | None:
    return _text(context.get("runId"), context.get("nodeRunId"), port_context.get("runId"), port_context.get("run_id"))


def _other_run_id(document: Any, root: dict[str, Any], headers: Headers) -> str | None:
    header = (headers.get("run_id") or "").strip()
    if is_run_id(header):
        return header
    named = (_dict(root, "run").get("id"), root.get("runId"), root.get("run_id"))
    rest = {key: value for key, value in root.items() if key not in _ABOUT_OTHERS}
    inputs = [_dict(root, "payload"), root.get("inputs")] if "event" not in root and "diff" not in root else []
    return next((text for text in (*named, *_strings([rest if root else document, inputs])) if is_run_id(text)), None)


def _parse(body: bytes) -> tuple[Any, str | None]:
    if not body:
        return None, "empty"
    try:
        is_too_much = len(body) > MOST_MARKS and has_too_many_values(body.decode("utf-8"))
        return (None, "JSON with too many values to read") if is_too_much else (_loads(body), None)
    except UnicodeDecodeError as error:
        return None, f"not UTF-8 text (at byte {error.start})"
    except RecursionError:
        return None, "JSON nested too deeply to read"
    except json.JSONDecodeError as error:
        return None, f"not JSON (line {error.lineno}, column {error.colno})"
    except ValueError:
        return None, "not JSON"


def _loads(body: bytes) -> Any:
    try:
        return small_document(body) if len(body) <= SMALL_BYTES else _decode(body.decode("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError:
        return json.loads(body.decode("utf-8"), parse_int=_any_length_int)


def _any_length_int(digits: str) -> int | float:
    return int(digits) if len(digits) < _MAX_INT_DIGITS else float(digits)


def _workflow_node(document: Any, root: dict[str, Any], run_id: str) -> Payload:
    """Return the fields of a workflow node's body, which is the author's own body or the execution agent's wrapper.

    The agent puts the node's config, with the author's body in it, into `context.nodeConfig`. The latest agent puts the
    config into the invocation method, without `agent`. Port doesn't change an author's body. The places of the names
    are a convention of published workflows.
    """
    context = _dict(root, "context")
    method = _dict(_dict(_dict(root, "payload"), "action"), "invocationMethod")
    config = _dict(context, "nodeConfig") or method
    body = config.get("body") if config else root
    said = body if isinstance(body, dict) else _NOTHING
    workflow_run = said.get("workflowRun") or context.get("workflowRun")
    return Payload(
        kind=Kind.WORKFLOW_NODE,
        run_id=run_id,
        workflow=_name(said.get("workflow"), context.get("workflow"), said.get("workflowIdentifier")),
        node=_name(said.get("node"), context.get("node"), said.get("nodeIdentifier")),
        workflow_run=_name(workflow_run, context.get("workflowRunId"), said.get("workflowRunId"))
        or next((text for text in _strings([said, context]) if is_workflow_run_id(text)), None),
        user=_user(said.get("by") or _dict(_dict(said, "workflowRun"), "trigger").get("by")),
        synchronized=_flag(config.get("synchronized"), method.get("synchronized"), said.get("synchronized")),
        via_agent=bool(config),
        inputs=_inputs(said, _dict(said, "payload")) or dict(said if config else _dict(context and root, "payload")),
        document=document,
    )


def _automation(document: Any, root: dict[str, Any], event: dict[str, Any], run_id: str | None) -> Payload:
    diff, context = _dict(event, "diff"), _dict(event, "context")
    trigger = _dict(event, "trigger") or _dict(root, "trigger")
    kind = Kind.CHANGE_LOG if "changelogDestination" in root else Kind.AUTOMATION
    return Payload(
        kind=kind,
        run_id=None if kind is Kind.CHANGE_LOG else run_id,
        action=None if event is root else _name(root.get("action")),
        event=_text(event.get("action")),
        user=_user(trigger.get("by")),
        origin=_text(trigger.get("origin")),
        blueprint=_name(context.get("blueprintIdentifier"), context.get("blueprint")),
        entity=_name(context.get("entityIdentifier"), context.get("entity")),
        inputs=_inputs(root, _dict(root, "payload")),
        changes=find_changes(diff.get("before"), diff.get("after")),
        document=document,
    )


def _kind(root: dict[str, Any], run_id: str | None) -> Kind:
    if "changelogDestination" in root:
        return Kind.CHANGE_LOG
    return Kind.ACTION_RUN if run_id or root.get("resourceType") == "run" else Kind.UNKNOWN


def _operation(inner: Any, trigger: dict[str, Any]) -> str | None:
    return _text(inner.get("operation") if isinstance(inner, dict) else inner, trigger.get("operation"))


def _user(by: Any) -> str | None:
    if not isinstance(by, dict):
        return _text(by)
    return _text(_dict(by, "user").get("email"), by.get("email"), by.get("userId"), by.get("integration"))


def _inputs(root: dict[str, Any], payload: dict[str, Any]) -> dict[str, Any]:
    return _dict(payload, "properties") or _dict(root, "inputs") or _dict(_dict(root, "port_payload"), "inputs")


def _name(*candidates: Any) -> str | None:
    """Return the first name among the candidates, each of which may be a name or an object with a name."""
    for candidate in candidates:
        if isinstance(candidate, dict):
            candidate = _text(candidate.get("identifier"), candidate.get("title"))  # noqa: PLW2901 - read the object
        if candidate and isinstance(candidate, str):
            return candidate
    return None


def _text(*candidates: Any) -> str | None:
    for candidate in candidates:
        if candidate and isinstance(candidate, str):
            return candidate
    return None


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()


def _flag(*candidates: Any) -> bool | None:
    for candidate in candidates:
        if isinstance(candidate, bool):
            return candidate
    return None


def _dict(value: dict[str, Any], key: str) -> dict[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else _NOTHING


def _dicts(value: dict[str, Any], keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the objects under several keys of an object. A single call is faster than one call for each key."""
    return [found if isinstance(found := value.get(key), dict) else _NOTHING for key in keys]


def _strings(document: Any) -> Iterator[str]:
    """Yield the strings of a document, breadth first. Only a limited number of values is searched."""
    queue = [document]
    for count, value in enumerate(queue):
        if count >= _MAX_VALUES_SEARCHED:
            return
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            queue.extend(value.values())
        elif isinstance(value, list):
            queue.extend(value)


def find_changes(before: Any, after: Any) -> tuple[EventChange, ...]:
    """Return up to 200 differences between `before` and `after`, with dotted paths.

    If one side is null because the entity was created or deleted, each top-level key of the other side is a difference.
    """
    return tuple(islice(_changes(before, after), _MAX_CHANGES))


def _changes(before: Any, after: Any) -> Iterator[EventChange]:
    # This uses a stack instead of recursion, because the sender chooses the depth.
    stack = [("", before, after)]
    while stack:
        path, before, after = stack.pop()
        if isinstance(before, dict) and isinstance(after, dict):
            keys = [key for key in {**before, **after} if path or key not in _NOISE]
            inner = f"{path}." if path else ""
            stack.extend((f"{inner}{key}", before.get(key), after.get(key)) for key in reversed(keys))
        elif not _same(before, after):
            yield EventChange(path or ".", before, after)


def _same(before: Any, after: Any) -> bool:
    try:
        return bool(before == after)
    except RecursionError:
        return False


def content_type_of(content: bytes) -> str:
    """Return the content type of a body that a user wrote: JSON or plain text."""
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return "text/plain; charset=utf-8"
    return "application/json"


def unsent(invocation: Invocation) -> Capture:
    """Return a request that nothing has received as a capture without an outcome."""
    payload = read_payload(invocation.body, invocation.headers)
    return Capture(invocation=invocation, verdict=Verdict(status=Status.UNCHECKED), payload=payload)


def refuse_other_format(name: str, content: bytes) -> None:
    """Raise SourceError for a HAR file, a Postman collection or an AWS Lambda event."""
    match marked_document(content, *_OTHER_TOOLS):
        case {"log": {"version": _, "entries": list()}}:
            what, body = "a HAR file", "postData.text of its request"
        case {"info": {"schema": str(schema)}, "item": list()} if "postman" in schema:
            what, body = "a Postman collection", "body.raw of its request"
        case {"requestContext": dict(), "headers": dict(), "body": _}:
            what, body = "an AWS Lambda event", "its body"
        case _:
            return
    raise SourceError(
        f"{name} is {what}, not a payload.",
        hint=f"Save {body} in a file, or pass a file from `port-hook export ID --format capture`.",
    )


def marked_document(content: bytes, *marks: bytes) -> Any:
    """Return the JSON document in a file, or None for invalid JSON or if the file contains none of `marks`."""
    if not any(mark in content for mark in marks):
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):  # for Python, a number is too long or the nesting too deep
        return None
