"""A capture in the formats of other tools, one row each. Pure.

To add a format, write a function that takes an exchange and a URL, and add its row.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from port_hook_cli.captures.capture_file import to_capture
from port_hook_cli.invocations.delivery_view import request_text
from port_hook_cli.invocations.masked_headers import mask_headers
from port_hook_cli.invocations.models import Exchange, Headers, Invocation, Response
from port_hook_cli.invocations.records import format_time
from port_hook_cli.invocations.snippets import SignedRequest, format_curl, format_httpie, format_python, python_bytes

_HOP_BY_HOP = ("host", "content-length", "connection", "transfer-encoding", "accept-encoding", "expect")


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """A format: its name, the ending of its files, and what writes an exchange that is sent to a URL."""

    name: str
    ending: str
    write: Callable[[Exchange, str], str]


def _signed_request(exchange: Exchange, url: str) -> SignedRequest:
    invocation = exchange.invocation
    headers = mask_headers(invocation.headers).without(*_HOP_BY_HOP)
    return SignedRequest(url=url, headers=headers.items, body=invocation.body, method=invocation.method)


def _curl(exchange: Exchange, url: str) -> str:
    return format_curl(_signed_request(exchange, url)) + "\n"


def _httpie(exchange: Exchange, url: str) -> str:
    return format_httpie(_signed_request(exchange, url)) + "\n"


def _python(exchange: Exchange, url: str) -> str:
    return format_python(_signed_request(exchange, url)) + "\n"


def _http(exchange: Exchange, url: str) -> str:
    return request_text(_masked(exchange).invocation, url).decode("utf-8", "backslashreplace")


def _capture(exchange: Exchange, _url: str) -> str:
    return json.dumps(to_capture(_masked(exchange)), indent=2) + "\n"


def _masked(exchange: Exchange) -> Exchange:
    """Return an exchange without credentials, which a store has with --keep-secrets: exports are passed on."""
    invocation, delivery, response = exchange.invocation, exchange.delivery, exchange.response
    return replace(
        exchange,
        invocation=replace(invocation, headers=mask_headers(invocation.headers)),
        delivery=None if delivery is None else replace(delivery, headers=mask_headers(delivery.headers)),
        response=None if response is None else replace(response, headers=mask_headers(response.headers)),
    )


def _har(exchange: Exchange, url: str) -> str:
    """HTTP Archive 1.2, the form that browsers and proxies read: http://www.softwareishard.com/blog/har-12-spec/."""
    invocation, delivery = exchange.invocation, exchange.delivery
    time_ms = delivery.latency_ms if delivery else 0.0
    entry = {
        "startedDateTime": format_time(invocation.received_at),
        "time": time_ms,
        "request": _har_request(invocation, url),
        "response": _har_response(exchange.response),
        "cache": {},
        "timings": {"send": 0, "wait": time_ms, "receive": 0},
    }
    creator = {"name": "port-hook", "version": "1"}
    return json.dumps({"log": {"version": "1.2", "creator": creator, "entries": [entry]}}, indent=2) + "\n"


def _har_request(invocation: Invocation, url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        "method": invocation.method,
        "url": url,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(mask_headers(invocation.headers)),
        "queryString": [
            {"name": name, "value": value} for name, value in parse_qsl(parts.query, keep_blank_values=True)
        ],
        "postData": {
            "mimeType": invocation.headers.get("content-type") or "application/octet-stream",
            "text": invocation.body.decode("utf-8", "replace"),
        },
        "headersSize": -1,
        "bodySize": len(invocation.body),
    }


def _har_response(response: Response | None) -> dict[str, Any]:
    headers, body = (mask_headers(response.headers), response.body) if response else (Headers(), b"")
    content: dict[str, Any] = {"size": len(body), "mimeType": headers.get("content-type") or "x-unknown"}
    try:
        content["text"] = body.decode("utf-8")
    except UnicodeDecodeError:
        content |= {"text": b64encode(body).decode("ascii"), "encoding": "base64"}
    return {
        "status": response.status if response else 0,
        "statusText": "",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(headers),
        "content": content,
        "redirectURL": "",
        "headersSize": -1,
        "bodySize": len(body),
    }


def _pairs(headers: Headers) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers]


def _pytest(exchange: Exchange, url: str) -> str:
    """Return a test that signs the captured body again, so that it passes at any time."""
    expected = exchange.response.status if exchange.response is not None and not exchange.refused else 200
    return f'''"""A captured invocation as a test: start your backend, set PORT_CLIENT_SECRET, run pytest."""

import os
import urllib.error
import urllib.request

from port_hook_cli import sign

BACKEND = os.environ.get("BACKEND_URL", {url!r})
BODY = {python_bytes(exchange.invocation.body)}


def test_the_backend_responds_as_it_did():
    headers, body = sign(BODY, os.environ["PORT_CLIENT_SECRET"])
    request = urllib.request.Request(BACKEND, data=body, headers=headers, method={exchange.invocation.method!r})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            status = response.status
    except urllib.error.HTTPError as error:
        status = error.code
    assert status == {expected}
'''


def _lambda(exchange: Exchange, url: str) -> str:
    """Return the event of a Lambda function URL 2.0: docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html."""
    invocation, parts = exchange.invocation, urlsplit(url)
    headers = {name.lower(): value for name, value in mask_headers(invocation.headers)}
    try:
        body, is_base64 = invocation.body.decode("utf-8"), False
    except UnicodeDecodeError:
        body, is_base64 = b64encode(invocation.body).decode("ascii"), True
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": parts.path or "/",
        "rawQueryString": parts.query,
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "port-hook",
            "domainName": parts.netloc,
            "domainPrefix": "port-hook",
            "http": {
                "method": invocation.method,
                "path": parts.path or "/",
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": invocation.id,
            "routeKey": "$default",
            "stage": "$default",
            "time": format_time(invocation.received_at),
            "timeEpoch": int(invocation.received_at * 1000),
        },
        "body": body,
        "isBase64Encoded": is_base64,
    }
    return json.dumps(event, indent=2) + "\n"


EXPORT_FORMATS = (
    ExportFormat("curl", "sh", _curl),
    ExportFormat("httpie", "sh", _httpie),
    ExportFormat("python", "py", _python),
    ExportFormat("http", "http", _http),
    ExportFormat("har", "har", _har),
    ExportFormat("pytest", "py", _pytest),
    ExportFormat("lambda", "json", _lambda),
    ExportFormat("capture", "json", _capture),
)


def find_export(name: str) -> ExportFormat | None:
    """Return the format with this name, or None."""
    return {row.name: row for row in EXPORT_FORMATS}.get(name)
