"""Convert captures to a Postman collection, format 2.1. This module is pure.

Anywhere in a request, Postman replaces `{{name}}` with the variable of that name, which may be a secret of the user.
The sender of a capture must not be able to choose a variable, so the exported text of a capture never has two braces in
a row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from port_hook_cli.errors import SourceError
from port_hook_cli.invocations.headers import SIGNATURE_HEADER, TIMESTAMP_HEADER, Headers
from port_hook_cli.invocations.models import Capture, Invocation, Response

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"

NOT_SENT = ("host", "content-length", "connection", "transfer-encoding", "accept-encoding", "expect")
"""The headers that other clients set themselves."""

_BRACES = r"\{(?=\{)"
_SIGNING = f"""\
// Without PORT_CLIENT_SECRET in the environment, the captured signature is sent.
const secret = pm.environment.get("PORT_CLIENT_SECRET");
if (secret) {{
  const timestamp = String(Math.floor(Date.now() / 1000));
  const signature = CryptoJS.HmacSHA256(timestamp + "." + pm.request.body.raw, secret);
  pm.request.headers.upsert({{ key: "{TIMESTAMP_HEADER}", value: timestamp }});
  pm.request.headers.upsert({{ key: "{SIGNATURE_HEADER}", value: "v1," + CryptoJS.enc.Base64.stringify(signature) }});
}}"""


def postman_collection(captures: Iterable[tuple[Capture, str]]) -> dict[str, Any]:
    """Return a collection that sends captures to their URLs. Raises SourceError for a binary body."""
    return {
        "info": {"name": "Captures of port-hook", "schema": SCHEMA},
        "item": [_item(capture, url) for capture, url in captures],
        "event": [{"listen": "prerequest", "script": {"type": "text/javascript", "exec": _SIGNING.split("\n")}}],
    }


def _item(capture: Capture, url: str) -> dict[str, Any]:
    invocation, payload = capture.invocation, capture.payload
    request = _request(invocation, url)
    answers = [] if capture.response is None else [_response(capture.response, request)]
    name = " ".join(part for part in (payload.action or invocation.method, invocation.id) if part)
    return {"name": _without_variables(name), "request": request, "response": answers}


def _request(invocation: Invocation, url: str) -> dict[str, Any]:
    return {
        "method": _without_variables(invocation.method),
        "header": _fields(invocation.headers),
        "body": {"mode": "raw", "raw": _body(invocation), "options": {"raw": {"language": "json"}}},
        "url": _url(url),
    }


def _response(response: Response, request: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": str(response.status),
        "originalRequest": request,
        "code": response.status,
        "header": _fields(response.headers),
        "body": response.body.decode("utf-8", "replace"),
    }


def _fields(headers: Headers) -> list[dict[str, str]]:
    kept = headers.without(*NOT_SENT)
    return [{"key": name, "value": value} for name, value in kept if "{{" not in f"{name}\n{value}"]


def _url(url: str) -> dict[str, Any]:
    sent = url.replace("{", "%7B").replace("}", "%7D")
    parts = urlsplit(sent)
    found: dict[str, Any] = {
        "raw": sent,
        "protocol": parts.scheme,
        "host": (parts.hostname or "").split("."),
        "path": parts.path.removeprefix("/").split("/"),
    }
    if parts.port is not None:
        found["port"] = str(parts.port)
    if parts.query:
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        found["query"] = [{"key": _without_variables(key), "value": _without_variables(value)} for key, value in pairs]
    return found


def _body(invocation: Invocation) -> str:
    try:
        text = invocation.body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"The body of {invocation.id} is not text, and a Postman collection has only text.",
            hint="Use another format, such as curl.",
        ) from error
    return _escaped(invocation, text) if "{{" in text else text


def _escaped(invocation: Invocation, text: str) -> str:
    r"""Escape double braces in a JSON text. They only occur in strings, where `\u007b` also means a brace."""
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(
            f"The body of {invocation.id} is not JSON and has {{{{, which Postman would replace.",
            hint="Use another format, such as curl.",
        ) from error
    return re.sub(_BRACES, r"\\u007b", text)


def _without_variables(text: str) -> str:
    return re.sub(_BRACES, "{ ", text)
