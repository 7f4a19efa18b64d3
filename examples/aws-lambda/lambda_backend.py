"""A backend for a synchronized action on AWS Lambda, behind a function URL or an HTTP API (payload format 2.0).

The answer is the result: 2xx makes the run a SUCCESS, anything else a FAILURE. Only the log is reported.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

TOLERANCE_S = 300


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Take an invocation: verify, work, answer."""
    text = event.get("body") or ""
    # API Gateway hands binary bodies over in base64; what was signed are the bytes behind it.
    body = base64.b64decode(text) if event.get("isBase64Encoded") else text.encode()
    headers: Mapping[str, str] = event["headers"]  # in lower case in this format
    if not is_signed_by_port(body, headers, os.environ["PORT_CLIENT_SECRET"], time.time()):
        return _answer(401, {"error": "this was not signed by Port"})
    wanted = json.loads(body)
    if wanted["vm"] is None:
        return _answer(422, {"error": "there is no VM to resize"})
    log(headers["run_id"], f"resizing {wanted['vm']} to {wanted['cpu']} CPUs")
    return _answer(200, {"vm": wanted["vm"], "cpu": wanted["cpu"]})


def is_signed_by_port(body: bytes, headers: Mapping[str, str], secret: str, now: float) -> bool:
    """Whether `body`, the raw bytes as they arrived, was signed with `secret` in the last five minutes."""
    timestamp = headers.get("x-port-timestamp", "")
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > TOLERANCE_S:
        return False
    digest = hmac.digest(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    expected = f"v1,{base64.b64encode(digest).decode()}"
    return hmac.compare_digest(expected.encode(), headers.get("x-port-signature", "").encode())


def log(run_id: str, message: str) -> None:
    """Add a line to the run's log."""
    credentials = {"clientId": os.environ["PORT_CLIENT_ID"], "clientSecret": os.environ["PORT_CLIENT_SECRET"]}
    token = call_port("/auth/access_token", credentials)["accessToken"]
    call_port(f"/actions/runs/{run_id}/logs", {"message": message}, token)


def call_port(path: str, document: dict[str, Any], token: str = "") -> dict[str, Any]:
    """POST to Port's API and return its answer; raises URLError."""
    api_url = os.environ.get("PORT_API_URL", "https://api.port.io").rstrip("/").removesuffix("/v1")
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    call = urllib.request.Request(f"{api_url}/v1{path}", json.dumps(document).encode(), headers)  # noqa: S310
    with urllib.request.urlopen(call, timeout=10) as response:  # noqa: S310 - the URL is the operator's
        answer: dict[str, Any] = json.load(response)
        return answer


def _answer(status: int, document: dict[str, Any]) -> dict[str, Any]:
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(document)}
