"""A handler for the workflow deploy_service.json: respond to a check, and deploy in a thread that reports its node.

PORT_CLIENT_ID=… PORT_CLIENT_SECRET=… python workflow_handler.py 8000
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import sys
import threading
import time
import urllib.request
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOLERANCE_S = 300
REMEMBERED_RUNS = 1000

deliveries: OrderedDict[str, None] = OrderedDict()
deliveries_lock = threading.Lock()


def is_signed_by_port(body: bytes, signature: str, timestamp: str, secret: str, now: float) -> bool:
    """Return whether the raw bytes `body` were signed with `secret`, at most five minutes from `now`."""
    if not secret or not re.fullmatch(r"[0-9]{1,12}", timestamp) or abs(now - int(timestamp)) > TOLERANCE_S:
        return False
    digest = hmac.digest(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return hmac.compare_digest(f"v1,{base64.b64encode(digest).decode()}".encode(), signature.encode())


def is_first_delivery(node_run_id: str) -> bool:
    """Return whether this node run is new, and remember it: it can be delivered twice.

    This is the memory of one process. A real handler inserts the identifier into a database, under a unique key, which
    holds after a restart and for several processes.
    """
    with deliveries_lock:
        is_new = node_run_id not in deliveries
        deliveries[node_run_id] = None
        if len(deliveries) > REMEMBERED_RUNS:
            deliveries.popitem(last=False)
        return is_new


def deploy(node_run_id: str, service: str) -> None:
    """Deploy a service and report the node run, whatever happens."""
    credentials = {"clientId": os.environ["PORT_CLIENT_ID"], "clientSecret": os.environ["PORT_CLIENT_SECRET"]}
    token = call_port("POST", "/auth/access_token", credentials)["accessToken"]
    node_run = f"/workflows/nodes/runs/{node_run_id}"
    try:
        log = {"level": "INFO", "message": f"deploying {service}"}
        call_port("POST", f"{node_run}/logs", {"logs": [log]}, token)
        report = {"status": "COMPLETED", "result": "SUCCESS", "output": start_deployment(service)}
    except Exception as error:  # without a report, the node would stay in progress
        # A workflow's result is FAILED, not FAILURE as in an action.
        report = {"status": "COMPLETED", "result": "FAILED", "output": {"error": str(error)}}
    call_port("PATCH", node_run, report, token)


def start_deployment(service: str) -> dict[str, Any]:
    """Start a deployment and return the output of the node; raises ValueError if the service cannot be deployed."""
    if not service or service.startswith("forbidden"):
        raise ValueError(f"the service {service} cannot be deployed")
    return {"runId": "42"}


def call_port(method: str, path: str, document: dict[str, Any], token: str = "") -> dict[str, Any]:
    """Call Port's API and return the response; raises URLError."""
    api_url = os.environ.get("PORT_API_URL", "https://api.port.io").rstrip("/").removesuffix("/v1")
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    call = urllib.request.Request(f"{api_url}/v1{path}", json.dumps(document).encode(), headers, method=method)  # noqa: S310
    with urllib.request.urlopen(call, timeout=30) as response:  # noqa: S310 - the URL is the operator's
        result: dict[str, Any] = json.load(response)
        return result


class Webhook(BaseHTTPRequestHandler):
    """Takes the requests of both WEBHOOK nodes."""

    timeout = 30  # seconds without a byte, after which the server drops a client

    def do_POST(self) -> None:
        """Verify a request, and respond to the check or accept the deployment."""
        length = self.headers.get("content-length", "0")
        if not re.fullmatch(r"[0-9]{1,7}", length):  # up to 10 MB
            return self._respond(413, {"error": "the body is too large"})
        body = self.rfile.read(int(length))
        signature, timestamp = self._header("x-port-signature"), self._header("x-port-timestamp")
        secret = os.environ.get("PORT_CLIENT_SECRET", "")
        if not is_signed_by_port(body, signature, timestamp, secret, time.time()):
            return self._respond(401, {"error": "not signed by Port"})
        try:
            request = json.loads(body)
        except (ValueError, RecursionError):
            request = None
        match request:  # the body says which node it is: behind a listener, the nodes may have the same URL
            case {"nodeRunId": str(node_run_id), "service": str(service)}:
                if is_first_delivery(node_run_id):
                    threading.Thread(target=deploy, args=(node_run_id, service)).start()
                return self._respond(202, {"accepted": node_run_id})
            case {"service": _, "version": version}:
                return self._respond(200, {"ready": version != "0.0", "build": 7})
            case _:
                return self._respond(422, {"error": "not a node of deploy_service.json"})

    def _header(self, name: str) -> str:
        return ",".join(self.headers.get_all(name, []))  # several values never match

    def _respond(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print no line for each request."""


class Server(ThreadingHTTPServer):
    """Serves each request in a thread."""

    request_queue_size = 100  # with the default, 5, some of 20 requests at the same time are refused


if __name__ == "__main__":
    if not os.environ.get("PORT_CLIENT_SECRET"):
        sys.exit("error: set PORT_CLIENT_SECRET, for instance: set -a; . ./.env; set +a")
    with Server(("127.0.0.1", int(sys.argv[1])), Webhook) as server:
        print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
