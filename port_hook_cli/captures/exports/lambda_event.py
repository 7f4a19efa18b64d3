"""Convert a request to the event of a Lambda function URL (payload format 2.0), and read the function's result.

This module is pure.

See docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Invocation, Response

FUNCTION_FAILED = 502
"""The status that a function URL returns if the function raises an exception."""

_JSON = Headers((("content-type", "application/json"),))
_STATUSES = range(100, 1000)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class InvalidResult(ValueError):
    """The result is not a response that a function URL can send. The message describes the fault."""


def lambda_event(invocation: Invocation, url: str) -> dict[str, Any]:
    """Return the event for a request to `url`."""
    parts = urlsplit(url)
    path = parts.path or "/"
    headers = _joined(invocation.headers)
    body, is_base64 = _as_text(invocation.body)
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": parts.query,
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "port-hook",
            "domainName": parts.netloc,
            "domainPrefix": "port-hook",
            "http": {
                "method": invocation.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": invocation.id,
            "routeKey": "$default",
            "stage": "$default",
            "time": _clf_time(invocation.received_at),
            "timeEpoch": int(invocation.received_at * 1000),
        },
        "body": body,
        "isBase64Encoded": is_base64,
    }
    query = _joined(Headers(tuple(parse_qsl(parts.query, keep_blank_values=True))), lower=False)
    return {**event, "queryStringParameters": query} if query else event


def _clf_time(epoch_s: float) -> str:
    """Return a time in the format of web server logs, `12/Mar/2020:19:03:58 +0000`, independent of the locale."""
    at = datetime.fromtimestamp(epoch_s, UTC)
    return f"{at:%d}/{_MONTHS[at.month - 1]}/{at:%Y:%H:%M:%S} +0000"


def read_result(content: bytes) -> Response:
    """Return the response that a function URL makes from a function's result. Raises InvalidResult.

    A result without a `statusCode` becomes the body of a response with the status 200. If the function raised an
    exception, the status is 502.
    """
    try:
        result = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidResult("it is not JSON") from error
    if not isinstance(result, dict) or "statusCode" not in result:
        failed = isinstance(result, dict) and "errorMessage" in result and "errorType" in result
        return Response(status=FUNCTION_FAILED if failed else 200, headers=_JSON, body=content)
    try:
        return Response(status=_status(result["statusCode"]), headers=_headers(result), body=_body(result))
    except RecursionError as error:
        raise InvalidResult("it is nested too deep") from error


def _joined(headers: Headers, *, lower: bool = True) -> dict[str, str]:
    """Join headers or parameters like Lambda: commas separate the values of the same name."""
    joined: dict[str, str] = {}
    for name, value in headers:
        key = name.lower() if lower else name
        joined[key] = f"{joined[key]},{value}" if key in joined else value
    return joined


def _as_text(body: bytes) -> tuple[str, bool]:
    try:
        return body.decode("utf-8"), False
    except UnicodeDecodeError:
        return b64encode(body).decode("ascii"), True


def _status(value: Any) -> int:
    try:
        status = int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else 0
    except ValueError:
        status = 0
    if status not in _STATUSES:
        raise InvalidResult('its "statusCode" is not an HTTP status')
    return status


def _headers(result: dict[str, Any]) -> Headers:
    fields, cookies = result.get("headers") or {}, result.get("cookies") or []
    if not isinstance(fields, dict) or not isinstance(cookies, list):
        raise InvalidResult('its "headers" or "cookies" have the wrong type')
    pairs = [*fields.items(), *(("set-cookie", cookie) for cookie in cookies)]
    return Headers.from_raw((_bytes(name), _bytes(value)) for name, value in pairs)


def _bytes(value: Any) -> bytes:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "replace")


def _body(result: dict[str, Any]) -> bytes:
    body = result.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        return json.dumps(body).encode()
    if not result.get("isBase64Encoded"):
        return body.encode("utf-8", "replace")
    try:
        return b64decode(body, validate=True)
    except ValueError as error:
        raise InvalidResult('its "body" is not base64, but "isBase64Encoded" is true') from error
