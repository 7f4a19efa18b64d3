"""Build a run's request: the data for the action's templates, and the request from the rendered templates.

`url`, `method`, `headers`, `body`, `synchronized` and `agent` of the invocation method are templates. Without a `body`,
Port sends its default payload. The body is formatted like the result of JSON.stringify.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any
from urllib.parse import urlsplit

from port_hook_cli.actions.action import WEBHOOK, ActionKind, PortAction
from port_hook_cli.actions.inputs import form_queries
from port_hook_cli.actions.template_braces import BadTemplate
from port_hook_cli.actions.templates import prepare
from port_hook_cli.engines.outcomes import UNDEFINED, JqError, shown_expression
from port_hook_cli.errors import RenderError
from port_hook_cli.frozen import frozen
from port_hook_cli.javascript.values import write_json

METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE", "GET"})
"""The HTTP methods that an invocation method may have."""

TEMPLATED = ("url", "method", "headers", "body", "synchronized", "agent")
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110, section 5.6.2
_CONTROL = "[\x00-\x08\x0a-\x1f\x7f]"
_LINE_ENDS = "[\t\r\n]"
_OUTER = "".join(map(chr, range(0x21)))
_SET_BY_PORT = frozenset({"x-port-signature", "x-port-timestamp", "content-length", "host", "transfer-encoding"})
_FLAGS = {None: False, False: False, True: True, "true": True, "false": False, "": False}
_MAX_SHOWN_OF_A_VALUE = 200
_CORRECT = "Fix it, or the data that it is rendered with."


@frozen(kw_only=True)
class RunContext:
    """The data of one run that templates can use.

    `inputs` are the values for the templates, and `properties` are the values in the payload. In both, the inputs in
    `encrypted` have encrypted values. `by` is the user who started the run, and `at` is the start time in RFC 3339.
    """

    id: str
    by: Mapping[str, Any]
    at: str
    origin: str
    inputs: Mapping[str, Any] | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    encrypted: tuple[str, ...] = ()
    entity: Mapping[str, Any] | None = None
    event: Mapping[str, Any] | None = None
    secrets: Mapping[str, Any] = field(default_factory=dict, repr=False)


@frozen(kw_only=True)
class RenderedRequest:
    """The request that Port would send, without its signature.

    `body` is a JSON value, or UNDEFINED if the request has no body. `content` is the bytes of the body. `errors` are
    the expressions that failed and became null. With `agent`, Port's execution agent sends the request. `properties`
    are the inputs of the run.
    """

    run_id: str
    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: Any
    synchronized: bool = False
    agent: bool = False
    properties: Mapping[str, Any] = field(default_factory=dict)
    errors: tuple[JqError, ...] = ()

    @property
    def content(self) -> bytes:
        """The bytes of the body, for the signature and the request."""
        return b"" if self.body is UNDEFINED else write_json(self.body).encode()


@frozen(kw_only=True)
class RenderedMessage:
    """The message that Port would publish for a KAFKA action, without its signature.

    `payload` is a JSON value. `errors` are the expressions that failed and became null. `properties` are the inputs of
    the run.
    """

    run_id: str
    payload: Any
    properties: Mapping[str, Any] = field(default_factory=dict)
    errors: tuple[JqError, ...] = ()


def request_template(action: PortAction) -> dict[str, Any]:
    """Return all templates of a request or message as one template, so that jq runs only once.

    For an integration, the template is the whole invocation method.
    """
    if action.is_for_integration:
        return {name: value for name, value in action.method.items() if value is not None}
    names = ("payload",) if action.is_message else TEMPLATED
    return {name: action.method[name] for name in names if action.method.get(name) is not None}


def needs_jq(action: PortAction) -> bool:
    """Return whether jq runs for a request of `action`: for the condition, the form or the templates."""
    if action.condition or form_queries(action.inputs or {}, action.required):
        return True
    try:
        return bool(prepare(request_template(action)).programs)
    except BadTemplate:
        return False


def template_data(action: PortAction, run: RunContext) -> dict[str, Any]:
    """Return the data for the expressions in an action's templates. Without an entity, `.entity` is an empty object."""
    return {
        "inputs": run.inputs,
        "trigger": {"by": run.by, "origin": run.origin, "at": run.at, "operation": action.operation},
        "event": run.event,
        "entity": run.entity or {},
        "action": {
            "identifier": action.identifier,
            "blueprint": action.blueprint,
            "encryptedProperties": list(run.encrypted),
        },
        "run": {"id": run.id},
        "secrets": run.secrets,
    }


def assemble(
    action: PortAction, run: RunContext, rendered: Any, errors: tuple[JqError, ...] = (), *, any_url: bool = False
) -> RenderedRequest:
    """Return the request from the rendered `request_template`. Raises RenderError for a request that cannot be sent.

    `any_url` accepts text that is not a URL, for a request that goes to another target.
    """
    parts = rendered if isinstance(rendered, Mapping) else {}
    request = assemble_parts(parts, owner="The action", run_id=run.id, errors=errors, any_url=any_url)
    if not action.has_body and request.method != "GET":  # a GET has a body only if the action has a body template
        flags = {"synchronized": request.synchronized, "agent": request.agent}
        request = replace(request, body=default_payload(action, run, {**parts, **flags}))
    return replace(request, properties=run.properties)


def assemble_message(
    action: PortAction, run: RunContext, rendered: Any, errors: tuple[JqError, ...] = ()
) -> RenderedMessage:
    """Return the message of a KAFKA action from the rendered `request_template`, or with Port's default payload."""
    parts = rendered if isinstance(rendered, Mapping) else {}
    payload = parts.get("payload") if action.has_body else default_payload(action, run, {})
    return RenderedMessage(run_id=run.id, payload=payload, properties=run.properties, errors=errors)


def assemble_parts(
    parts: Mapping[str, Any],
    *,
    owner: str,
    run_id: str,
    synchronized: bool = False,
    errors: tuple[JqError, ...] = (),
    any_url: bool = False,
) -> RenderedRequest:
    """Return the request from a rendered invocation method, or from a WEBHOOK node's rendered config.

    `owner` begins the message of an error. `synchronized` is the default if the parts do not set it. Without a `body`,
    the request has no body. `any_url` accepts text that is not a URL. Raises RenderError for a request that cannot be
    sent.
    """
    method, url = str(parts.get("method") or "POST").upper(), _cleaned(parts.get("url"))
    if method not in METHODS:
        raise _unusable(owner, "method", parts.get("method"), f"not one of {', '.join(sorted(METHODS))}", errors)
    if not isinstance(url, str) or not (is_url(url) or (any_url and url)):
        raise _unusable(owner, "url", url, "not a URL that begins with https:// or http://", errors)
    flags = {name: _flag(owner, name, parts.get(name), errors) for name in ("synchronized", "agent")}
    return RenderedRequest(
        run_id=run_id,
        method=method,
        url=url,
        headers=_headers(owner, parts.get("headers"), errors),
        body=parts.get("body", UNDEFINED),
        synchronized=synchronized if parts.get("synchronized") is None else flags["synchronized"],
        agent=flags["agent"],
        errors=errors,
    )


def default_payload(action: PortAction, run: RunContext, method: Mapping[str, Any]) -> dict[str, Any]:
    """Return the payload that Port sends for an action without a `body`. `method` is the rendered invocation method."""
    if action.kind is ActionKind.AUTOMATION:
        return {"event": run.event, "inputs": None, "port_context": {"runId": run.id}}
    entity = run.entity
    shown = {name: method[name] for name in ("url", "agent", "synchronized", "method") if method.get(name) is not None}
    invoked = {
        "identifier": action.identifier,
        **({} if action.title is None else {"title": action.title}),
        # This is a string in every payload that Port documents and that its published handlers read.
        "trigger": action.operation,
        "invocationMethod": {"type": action.method.get("type", WEBHOOK), **shown},
    }
    return {
        "action": action.identifier,
        "resourceType": "run",
        "status": "TRIGGERED",
        "trigger": {"by": run.by, "origin": run.origin, "at": run.at},
        "context": {
            "entity": None if entity is None else entity.get("identifier"),
            "blueprint": action.blueprint,
            "runId": run.id,
        },
        "payload": {
            "entity": entity,
            "action": invoked,
            "properties": run.properties,
            "censoredProperties": list(run.encrypted),
        },
    }


def unusual_headers(request: RenderedRequest) -> tuple[str, ...]:
    """Return the names of the headers with non-ASCII values. The sender encodes these values as UTF-8."""
    return tuple(name for name, value in request.headers if not value.isascii())


def _cleaned(url: Any) -> Any:
    """Return a URL without the characters that the `URL` class of Node removes, such as line breaks."""
    return re.sub(_LINE_ENDS, "", url).strip(_OUTER) if isinstance(url, str) else url


def is_url(text: str) -> bool:
    """Return whether Port can send to this text as a URL: it must be an HTTP URL with a host."""
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises ValueError for an invalid port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _headers(owner: str, rendered: Any, errors: tuple[JqError, ...]) -> tuple[tuple[str, str], ...]:
    """Return the action's headers. Port's content type comes first if the action does not set one."""
    if not isinstance(rendered, Mapping | None):
        raise _unusable(owner, "headers", rendered, "not an object", errors)
    given = []
    for name, value in (rendered or {}).items():
        if value is None or name.lower() in _SET_BY_PORT:
            continue
        text = value if isinstance(value, str) else write_json(value)
        if not re.fullmatch(_NAME, name) or re.search(_CONTROL, text):
            raise _unusable(owner, f"headers.{name}", None, "not a header that can be sent", errors)
        given.append((name, text.strip(" \t").encode("utf-8", "replace").decode("latin-1")))
    has_type = any(name.lower() == "content-type" for name, _ in given)
    return tuple(given) if has_type else (("content-type", "application/json"), *given)


def _flag(owner: str, name: str, value: Any, errors: tuple[JqError, ...]) -> bool:
    if isinstance(value, bool | str | None) and value in _FLAGS:
        return _FLAGS[value]
    raise _unusable(owner, name, value, "neither true nor false", errors)


def _unusable(owner: str, name: str, value: Any, why: str, errors: tuple[JqError, ...]) -> RenderError:
    shown = "nothing" if value is None or value is UNDEFINED else write_json(value)
    if len(shown) > _MAX_SHOWN_OF_A_VALUE:
        shown = f"{shown[:_MAX_SHOWN_OF_A_VALUE]}..."  # text/secret.py recognizes a truncated secret by three dots
    because = f" {shown_expression(errors[0].expression)} failed: {errors[0].message}" if errors else ""
    return RenderError(f"{owner}'s `{name}` rendered to {shown}, which is {why}.{because}", hint=_CORRECT)
