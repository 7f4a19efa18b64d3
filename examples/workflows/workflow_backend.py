"""A backend for the workflow deploy_service.json: respond to a check, and deploy in a thread that reports its node.

PORT_CLIENT_ID=… PORT_CLIENT_SECRET=… python workflow_backend.py 8000
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOLERANCE_S = 300


def is_signed_by_port(body: bytes, signature: str, timestamp: str, secret: str, now: float) -> bool:
    """Return whether the raw bytes `body` were signed with `secret` in the last five minutes."""
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > TOLERANCE_S:
        return False
    digest = hmac.digest(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return hmac.compare_digest(f"v1,{base64.b64encode(digest).decode()}".encode(), signature.encode("latin-1"))


def deploy(node_run_id: str, service: str) -> None:
    """Deploy a service and report the node run. A workflow's result is FAILED, not FAILURE as in an action."""
    credentials = {"clientId": os.environ["PORT_CLIENT_ID"], "clientSecret": os.environ["PORT_CLIENT_SECRET"]}
    token = call_port("POST", "/auth/access_token", credentials)["accessToken"]
    node_run = f"/workflows/nodes/runs/{node_run_id}"
    call_port("POST", f"{node_run}/logs", {"logs": [{"level": "INFO", "message": f"deploying {service}"}]}, token)
    result = "FAILED" if service.startswith("forbidden") else "SUCCESS"
    report = {"status": "COMPLETED", "result": result, "output": {"runId": "42"}}
    call_port("PATCH", node_run, report, token)


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

    def do_POST(self) -> None:
        """Verify a request, and respond to the check or accept the deployment."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        fields = self.headers.get("x-port-signature", ""), self.headers.get("x-port-timestamp", "")
        if not is_signed_by_port(body, *fields, os.environ["PORT_CLIENT_SECRET"], time.time()):
            self._respond(401, {"error": "not signed by Port"})
            return
        request = json.loads(body)
        # The body says which node it is: behind a listener, the nodes may have the same URL.
        if "nodeRunId" not in request:
            self._respond(200, {"ready": request["version"] != "0.0", "build": 7})
            return
        threading.Thread(target=deploy, args=(request["nodeRunId"], request["service"])).start()
        self._respond(202, {"accepted": request["nodeRunId"]})

    def _respond(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print no line for each request."""


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Webhook) as server:
        print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
