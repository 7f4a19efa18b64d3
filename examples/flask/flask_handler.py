"""A handler for Port's self-service actions in Flask: verify, accept, work in a thread, report.

PORT_CLIENT_ID=… PORT_CLIENT_SECRET=… flask --app flask_handler run
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import threading
import time
import urllib.request
from collections import OrderedDict
from typing import Any

from flask import Flask, abort, request

TOLERANCE_S = 300
REMEMBERED_RUNS = 1000

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1_048_576  # bytes
deliveries: OrderedDict[str, None] = OrderedDict()
deliveries_lock = threading.Lock()


def is_signed_by_port(body: bytes, signature: str, timestamp: str, secret: str, now: float) -> bool:
    """Return whether the raw bytes `body` were signed with `secret`, at most five minutes from `now`."""
    if not secret or not re.fullmatch(r"[0-9]{1,12}", timestamp) or abs(now - int(timestamp)) > TOLERANCE_S:
        return False
    digest = hmac.digest(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return hmac.compare_digest(f"v1,{base64.b64encode(digest).decode()}".encode(), signature.encode())


def is_first_delivery(run_id: str) -> bool:
    """Return whether this run is new, and remember it: a run can be delivered twice, but its work is done once.

    This is the memory of one process. A real handler inserts the run id into a database, under a unique key, which
    holds after a restart and for several processes.
    """
    with deliveries_lock:
        is_new = run_id not in deliveries
        deliveries[run_id] = None
        if len(deliveries) > REMEMBERED_RUNS:
            deliveries.popitem(last=False)
        return is_new


@app.post("/port/create-vm")
def accept() -> tuple[dict[str, str], int]:
    """Verify and accept an invocation; a thread does the work."""
    body = request.get_data()  # and not request.json, because the signature covers the raw bytes
    fields = request.headers.get("x-port-signature", ""), request.headers.get("x-port-timestamp", "")
    if not is_signed_by_port(body, *fields, os.environ.get("PORT_CLIENT_SECRET", ""), time.time()):
        abort(401)
    try:
        invocation = json.loads(body)
    except (ValueError, RecursionError):
        invocation = None
    match invocation:
        case {"runId": str(run_id), "vm": dict(vm)}:
            if is_first_delivery(run_id):
                threading.Thread(target=create_vm, args=(run_id, vm)).start()
            return {"accepted": run_id}, 202
        case _:
            return {"error": "The body does not match the template in create_vm.yaml."}, 422


def create_vm(run_id: str, vm: dict[str, Any]) -> None:
    """Do the work and report the end of the run, whatever happens."""
    credentials = {"clientId": os.environ["PORT_CLIENT_ID"], "clientSecret": os.environ["PORT_CLIENT_SECRET"]}
    token = call_port("POST", "/auth/access_token", credentials)["accessToken"]
    try:
        title, cpu = check_inputs(vm)
        call_port("POST", f"/actions/runs/{run_id}/logs", {"message": f"creating {title} with {cpu} CPUs"}, token)
        report = {"status": "SUCCESS", "summary": f"{title} is up"}
    except Exception as error:  # without a report, the run would stay in progress
        app.logger.exception("Run %s failed.", run_id)
        report = {"status": "FAILURE", "summary": f"The VM was not created: {error}"}
    call_port("PATCH", f"/actions/runs/{run_id}", report, token)


def check_inputs(vm: dict[str, Any]) -> tuple[str, int]:
    """Return the title and the number of CPUs; raises ValueError if they are invalid."""
    match vm:
        case {"title": str(title), "cpu": int(cpu)} if title and not title.startswith("forbidden"):
            return title, cpu
    raise ValueError("it needs a title that is not forbidden, and a whole number of CPUs")


def call_port(method: str, path: str, document: dict[str, Any], token: str = "") -> dict[str, Any]:
    """Call Port's API and return the response; raises URLError."""
    api_url = os.environ.get("PORT_API_URL", "https://api.port.io").rstrip("/").removesuffix("/v1")
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    call = urllib.request.Request(f"{api_url}/v1{path}", json.dumps(document).encode(), headers, method=method)  # noqa: S310
    with urllib.request.urlopen(call, timeout=30) as response:  # noqa: S310 - the URL is the operator's
        result: dict[str, Any] = json.load(response)
        return result
