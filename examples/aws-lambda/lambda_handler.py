"""A handler for a synchronized action on AWS Lambda, behind a function URL or an HTTP API (payload format 2.0).

The response ends the run: SUCCESS for a 2xx status, FAILURE for any other. The function reports only the log.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import time
import urllib.request
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

TOLERANCE_S = 300
REMEMBERED_RUNS = 1000

# The response to each run, because a run can be delivered twice but its work is done once. AWS starts several instances
# of a function: a real handler puts the run id into a DynamoDB table, under the condition that it is new.
responses: OrderedDict[str, dict[str, Any]] = OrderedDict()


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Verify an invocation, do the work, and return the response."""
    text = event.get("body") or ""
    # API Gateway passes binary bodies in base64; the decoded bytes were signed.
    body = base64.b64decode(text) if event.get("isBase64Encoded") else text.encode()
    headers: Mapping[str, str] = event["headers"]  # names are in lower case in this payload format
    if not is_signed_by_port(body, headers, os.environ.get("PORT_CLIENT_SECRET", ""), time.time()):
        return _response(401, {"error": "this was not signed by Port"})
    try:
        invocation = json.loads(body)
    except (ValueError, RecursionError):
        invocation = None
    match invocation:
        case {"runId": str(run_id), "vm": str(vm), "cpu": int(cpu)}:
            return resize_once(run_id, vm, cpu)
        case _:
            return _response(422, {"error": "there is no VM to resize, or no whole number of CPUs"})


def resize_once(run_id: str, vm: str, cpu: int) -> dict[str, Any]:
    """Do the work unless this run was delivered before, and return its response."""
    if run_id not in responses:
        log(run_id, f"resizing {vm} to {cpu} CPUs")
        responses[run_id] = _response(200, {"vm": vm, "cpu": cpu})
        if len(responses) > REMEMBERED_RUNS:
            responses.popitem(last=False)
    return responses[run_id]


def is_signed_by_port(body: bytes, headers: Mapping[str, str], secret: str, now: float) -> bool:
    """Return whether the raw bytes `body` were signed with `secret`, at most five minutes from `now`."""
    timestamp = headers.get("x-port-timestamp", "")
    if not secret or not re.fullmatch(r"[0-9]{1,12}", timestamp) or abs(now - int(timestamp)) > TOLERANCE_S:
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
    """POST to Port's API and return the response; raises URLError."""
    api_url = os.environ.get("PORT_API_URL", "https://api.port.io").rstrip("/").removesuffix("/v1")
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    call = urllib.request.Request(f"{api_url}/v1{path}", json.dumps(document).encode(), headers)  # noqa: S310
    with urllib.request.urlopen(call, timeout=10) as response:  # noqa: S310 - the URL is the operator's
        result: dict[str, Any] = json.load(response)
        return result


def _response(status: int, document: dict[str, Any]) -> dict[str, Any]:
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(document)}
