"""A backend for Port's self-service actions in plain Python: verify, accept, work, report.

    set -a; . ./.env; set +a    # PORT_CLIENT_ID, PORT_CLIENT_SECRET and, for the sandbox, PORT_API_URL
    python3 examples/handler.py 8000

It uses only the standard library. Copy `is_signed_by_port` and `PortRun` into your own backend.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import hmac
import json
import os
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

API_URL = os.environ.get("PORT_API_URL", "https://api.port.io").rstrip("/").removesuffix("/v1")
TOLERANCE_S = 300


def is_signed_by_port(body: bytes, signature: str, timestamp: str, secret: str, now: float) -> bool:
    """Return whether the raw bytes `body` were signed with `secret` in the last five minutes."""
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > TOLERANCE_S:
        return False
    digest = hmac.digest(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return hmac.compare_digest(f"v1,{base64.b64encode(digest).decode()}".encode(), signature.encode("latin-1"))


class PortRun:
    """An action run in Port, to which its backend reports."""

    def __init__(self, run_id: str) -> None:
        self._url = f"{API_URL}/v1/actions/runs/{run_id}"
        credentials = {"clientId": os.environ["PORT_CLIENT_ID"], "clientSecret": os.environ["PORT_CLIENT_SECRET"]}
        self._token = ""
        self._token = self._call("POST", f"{API_URL}/v1/auth/access_token", credentials)["accessToken"]

    def log(self, message: str) -> None:
        """Add a line to the run's log."""
        self._call("POST", f"{self._url}/logs", {"message": message})

    def end(self, status: str, summary: str) -> None:
        """End the run with SUCCESS or FAILURE."""
        self._call("PATCH", self._url, {"status": status, "summary": summary})

    def _call(self, method: str, url: str, document: dict[str, Any]) -> dict[str, Any]:
        headers = {"content-type": "application/json", "authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(url, json.dumps(document).encode(), headers, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - the URL is the operator's
            result: dict[str, Any] = json.load(response)
            return result


def create_vm(run_id: str, inputs: dict[str, Any]) -> None:
    """Do the work and report the result; called after the invocation has been accepted."""
    try:
        run = PortRun(run_id)
        run.log(f"creating {inputs.get('title')} with {inputs.get('cpu')} CPUs")
        run.end("SUCCESS", f"{inputs.get('title')} is up")
    except urllib.error.URLError as problem:  # a run that has ended, wrong credentials, no network
        print(f"{run_id} could not be reported: {problem}", flush=True)


class Webhook(BaseHTTPRequestHandler):
    """Receives invocations."""

    def do_POST(self) -> None:
        """Verify and accept an invocation; a thread does the work."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        signature, timestamp = self.headers.get("x-port-signature", ""), self.headers.get("x-port-timestamp", "")
        if not is_signed_by_port(body, signature, timestamp, os.environ["PORT_CLIENT_SECRET"], time.time()):
            self._respond(401, {"error": "this was not signed by Port"})
            return
        try:
            payload = json.loads(body)
            run_id, inputs = payload["context"]["runId"], payload["payload"]["properties"]
        except (ValueError, LookupError, TypeError):
            self._respond(422, {"error": "this backend takes actions in Port's default shape"})
            return
        self._respond(202, {"accepted": run_id})
        threading.Thread(target=create_vm, args=(run_id, inputs)).start()

    def _respond(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main() -> None:
    """Serve until Ctrl-C. Exit with code 2 and a message on stderr if the server cannot start."""
    parser = argparse.ArgumentParser(description="A backend for Port's self-service actions, on this machine.")
    parser.add_argument("port", nargs="?", type=int, default=8000, help="default: 8000; 0 chooses a free port")
    port = parser.parse_args().port
    if missing := [name for name in ("PORT_CLIENT_ID", "PORT_CLIENT_SECRET") if not os.environ.get(name)]:
        parser.error(f"set {' and '.join(missing)}, for instance: set -a; . ./.env; set +a")
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Webhook)
    except (OSError, OverflowError) as problem:
        parser.error(f"port {port}: {problem}")
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
