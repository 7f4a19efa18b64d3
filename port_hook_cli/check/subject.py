"""The request under check, copies of the request for other runs, and changes of its body."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count
from typing import Any

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Invocation, Kind
from port_hook_cli.invocations.payload import is_run_id, read_payload
from port_hook_cli.invocations.probes import ADDED_NAME, PROBE_AGENT, UNUSUAL_VALUES
from port_hook_cli.invocations.targets import path_and_query
from port_hook_cli.javascript.nesting import nests_too_deep
from port_hook_cli.javascript.values import write_json

_NOT_INPUTS = frozenset({"action", "context", "port_context", "trigger", "entity", "event", "headers"})
_MAX_LEAVES = 1_000
_UNKNOWN = "port-hook-unknown"


@frozen(kw_only=True)
class CheckSubject:
    """An unsigned request in Port's format, and its URL.

    `run_id` is None for a payload without a run. With `synchronized`, the response ends the run. With `via_agent`,
    Port's execution agent sends the request. `definition` is the action from which the request was made, or None.
    """

    name: str
    request: Invocation
    url: str
    run_id: str | None = None
    synchronized: bool = False
    via_agent: bool = False
    definition: Mapping[str, Any] | None = None

    @property
    def is_node(self) -> bool:
        """Whether the request belongs to a workflow node run."""
        return (self.run_id or "").startswith("wfnr_")

    @property
    def document(self) -> Any:
        """The body as a JSON value, or None if the body is not JSON."""
        return document_of(self.request.body)

    @property
    def action(self) -> str:
        """The identifier of the action in the payload, or ""."""
        return read_payload(self.request.body, self.request.headers).action or ""

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The inputs in the body, if they can be recognized."""
        return inputs_in(self.document)

    @property
    def spare_name(self) -> str:
        """A name for another field of the body. The name is unique, even if the body already has such a field."""
        names = self.document if isinstance(self.document, dict) else {}
        return next(name for n in count() if (name := f"{ADDED_NAME}-{n}" if n else ADDED_NAME) not in names)

    def fresh(self, run_id: str, slug: str, *, body: bytes | None = None) -> Invocation:
        """Return a copy of the request for another run. The new run ID replaces the old ID in the headers and the body.

        `body` replaces the body. `slug` is the slug of the check, which the user-agent header shows.
        """
        request = self.request if body is None else replace(self.request, body=body)
        if self.run_id is not None:
            request = with_run(request, self.run_id, run_id)
        fields = request.headers.without("user-agent")
        return replace(request, headers=Headers((("user-agent", f"{PROBE_AGENT}{slug}"), *fields)))

    def url_for(self, run_id: str) -> str:
        """Return the URL for a copy of the request for another run."""
        return self.url if self.run_id is None else self.url.replace(self.run_id, run_id)

    def with_method(self, method: str) -> CheckSubject:
        """Return the request with another method."""
        return replace(self, request=replace(self.request, method=method))

    def trying(self) -> bytes:
        """Return the body with characters and numbers that serializers write in different ways.

        The characters and numbers are in a separate field. A body that is not an object is not changed.
        """
        body = self.request.body
        if not isinstance(self.document, dict) or not body.endswith(b"}"):
            return body
        return extended(body, f'"{self.spare_name}":{UNUSUAL_VALUES}')

    def large(self, size: int) -> bytes:
        """Return the body with a field that makes it `size` bytes long. A body that is not an object is not changed."""
        body = self.request.body
        if not isinstance(self.document, dict) or not body.endswith(b"}"):
            return body
        return extended(body, f'"{self.spare_name}":"{"x" * max(0, size - len(body))}"')

    def edited(self, change: Mapping[str, Any]) -> bytes:
        """Return the body with other inputs. `change` replaces all inputs."""
        return write_json(_with_inputs(self.document, change)).encode("utf-8", "surrogatepass")

    def of_unknown_action(self) -> bytes | None:
        """Return the body with the name of an unknown action, or None if the body has no action."""
        document = self.document
        name = self.action
        if not name or not isinstance(document, dict):
            return None
        return written(_renamed(document, name))


def subject_of(name: str, request: Invocation, url: str, definition: Mapping[str, Any] | None = None) -> CheckSubject:
    """Return a request as a subject. The payload determines the run and the kind of the subject."""
    payload = read_payload(request.body, request.headers)
    run_id = payload.run_id if is_run_id(payload.run_id) and payload.kind is not Kind.AUTOMATION else None
    return CheckSubject(
        name=name,
        request=replace(request, target=path_and_query(url)),
        url=url,
        run_id=run_id,
        synchronized=bool(payload.synchronized),
        via_agent=payload.via_agent,
        definition=definition,
    )


def document_of(body: bytes) -> Any:
    """Return a body as a JSON value, or None if the body is not JSON or is nested too deeply."""
    try:
        text = body.decode()
        return None if nests_too_deep(text) else json.loads(text)
    except (ValueError, RecursionError):
        return None


def written(document: Any) -> bytes:
    """Return a JSON value as the body that Port sends. Raises NotJson for any other value."""
    return write_json(document).encode("utf-8", "surrogatepass")


def extended(body: bytes, member: str) -> bytes:
    """Return the bytes of a JSON object with another member at its end."""
    start = body[:-1]
    comma = b"" if start.rstrip().endswith(b"{") else b","
    return start + comma + member.encode() + b"}"


def inputs_in(document: Any) -> Mapping[str, Any]:
    """Return the inputs in a payload: `payload.properties`, `inputs`, or the values that Port did not add."""
    if not isinstance(document, dict):
        return {}
    chosen = next(_places(document), None)
    return {name: value for name, value in document.items() if _is_input(name, value)} if chosen is None else chosen


def _places(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    payload = document.get("payload")
    if isinstance(payload, dict) and isinstance(payload.get("properties"), dict):
        yield payload["properties"]
    if isinstance(document.get("inputs"), dict):
        yield document["inputs"]


def _is_input(name: str, value: Any) -> bool:
    return name not in _NOT_INPUTS and not is_run_id(value)


def _with_inputs(document: Any, inputs: Mapping[str, Any]) -> Any:
    payload = document.get("payload")
    if isinstance(payload, dict) and isinstance(payload.get("properties"), dict):
        return {**document, "payload": {**payload, "properties": dict(inputs)}}
    if isinstance(document.get("inputs"), dict):
        return {**document, "inputs": dict(inputs)}
    rest = {name: value for name, value in document.items() if not _is_input(name, value)}
    return {**rest, **inputs}


def _renamed(value: Any, name: str) -> Any:
    """Return the value with the action `name` replaced by an unknown action."""
    if isinstance(value, dict):
        return {
            key: _UNKNOWN if inner == name and key in {"action", "identifier"} else _renamed(inner, name)
            for key, inner in value.items()
        }
    return value


def with_run(request: Invocation, old: str, new: str) -> Invocation:
    """Return the request for another run. The ID `new` replaces `old` in the target, the headers and the body."""
    return replace(
        request,
        target=request.target.replace(old, new),
        headers=Headers(tuple((name, value.replace(old, new)) for name, value in request.headers)),
        body=request.body.replace(old.encode(), new.encode()),
    )


def changed_letter(body: bytes) -> bytes | None:
    """Return a JSON body with one letter of one value changed, or None if no value has a letter.

    Whitespace, keys and run IDs do not change, so only handlers that verify the values notice the change.
    """
    document = document_of(body)
    inputs = inputs_in(document)
    changed = _changed(dict(inputs))
    if changed is not None:
        return written(_with_inputs(document, changed))
    changed = _changed(document)
    return None if changed is None else written(changed)


def _changed(value: Any) -> Any:
    """Return the value with one letter or number changed, or None if the value has neither."""
    if isinstance(value, str):
        return None if is_run_id(value) else _with_other_letter(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value + 1
    if not isinstance(value, dict | list):
        return None
    items = list(value.items() if isinstance(value, dict) else enumerate(value))[:_MAX_LEAVES]
    found = next(((key, changed) for key, inner in items if (changed := _changed(inner)) is not None), None)
    if found is None:
        return None
    copy: Any = value.copy()
    copy[found[0]] = found[1]
    return copy


def _with_other_letter(text: str) -> str | None:
    letter = next((each for each in text if each.isascii() and each.isalpha()), None)
    return None if letter is None else text.replace(letter, "b" if letter == "a" else "a", 1)
