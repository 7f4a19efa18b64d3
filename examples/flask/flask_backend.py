"""A backend for Port's self-service actions in Flask: verify, accept, work in a thread, report.

PORT_CLIENT_ID=… PORT_CLIENT_SECRET=… flask --app flask_backend run
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import threading
import time
import urllib.request
from typing import Any

from flask import Flask, abort, request

TOLERANCE_S = 300
app = Flask(__name__)


def is_signed_by_port(body: bytes, signature: str, timestamp: str, secret: str, now: float) -> bool:
    """Return whether the raw bytes `body` were signed with `secret` in the last five minutes."""
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > TOLERANCE_S:
        return False
    digest = hmac.digest(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return hmac.compare_digest(f"v1,{base64.b64encode(digest).decode()}".encode(), signature.encode("latin-1"))


@app.post("/port/create-vm")
def accept() -> tuple[dict[str, str], int]:
    """Verify and accept an invocation; a thread does the work."""
    body = request.get_data()  # and not request.json, because the signature covers the raw bytes
    fields = request.headers.get("x-port-signature", ""), request.headers.get("x-port-timestamp", "")
    if not is_signed_by_port(body, *fields, os.environ["PORT_CLIENT_SECRET"], time.time()):
        abort(401)
    invocation = json.loads(body)
    threading.Thread(target=create_vm, args=(invocation["runId"], invocation["vm"])).start()
    return {"accepted": invocation["runId"]}, 202


def create_vm(run_id: str, vm: dict[str, Any]) -> None:
    """Do the work and report the result."""
    credentials = {"clientId": os.environ["PORT_CLIENT_ID"], "clientSecret": os.environ["PORT_CLIENT_SECRET"]}
    token = call_port("POST", "/auth/access_token", credentials)["accessToken"]
    message = f"creating {vm['title']} with {vm['cpu']} CPUs"
    call_port("POST", f"/actions/runs/{run_id}/logs", {"message": message}, token)
    if vm["title"].startswith("forbidden"):
        call_port("PATCH", f"/actions/runs/{run_id}", {"status": "FAILURE", "summary": "forbidden name"}, token)
        return
    call_port("PATCH", f"/actions/runs/{run_id}", {"status": "SUCCESS", "summary": f"{vm['title']} is up"}, token)


def call_port(method: str, path: str, document: dict[str, Any], token: str = "") -> dict[str, Any]:
    """Call Port's API and return the response; raises URLError."""
    api_url = os.environ.get("PORT_API_URL", "https://api.port.io").rstrip("/").removesuffix("/v1")
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    call = urllib.request.Request(f"{api_url}/v1{path}", json.dumps(document).encode(), headers, method=method)  # noqa: S310
    with urllib.request.urlopen(call, timeout=30) as response:  # noqa: S310 - the URL is the operator's
        result: dict[str, Any] = json.load(response)
        return result
