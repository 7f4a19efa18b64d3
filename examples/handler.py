"""A handler for a workflow node and a self-service action in plain Python: verify, accept, work, report.

    set -a; . ./.env; set +a    # PORT_CLIENT_ID, PORT_CLIENT_SECRET and, for the sandbox, PORT_API_URL
    python3 examples/handler.py 8000

It takes the node `deploy` of examples/workflows/deploy_service.json, and the action create_vm. It uses only the
standard library. Copy `is_signed_by_port`, `is_first_delivery` and `PortRun` into your own handler.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import hmac
import json
import os
import re
import threading
import time
import urllib.error
import urllib.request
from collections import OrderedDict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

API_URL = os.environ.get("PORT_API_URL", "https://api.port.io").rstrip("/").removesuffix("/v1")
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


class PortRun:
    """A run in Port, of a workflow node or an action, to which its handler reports."""

    def __init__(self, run_id: str) -> None:
        self._is_node = run_id.startswith("wfnr_")
        self._url = f"{API_URL}/v1/{'workflows/nodes' if self._is_node else 'actions'}/runs/{run_id}"
        credentials = {"clientId": os.environ["PORT_CLIENT_ID"], "clientSecret": os.environ["PORT_CLIENT_SECRET"]}
        self._token = ""
        self._token = self._call("POST", f"{API_URL}/v1/auth/access_token", credentials)["accessToken"]

    def log(self, message: str) -> None:
        """Add a line to the run's log."""
        entries = {"logs": [{"level": "INFO", "message": message}]}
        self._call("POST", f"{self._url}/logs", entries if self._is_node else {"message": message})

    def end(self, *, succeeded: bool, summary: str) -> None:
        """End the run. A node's result is FAILED, an action's status is FAILURE."""
        if self._is_node:
            result, output = "SUCCESS" if succeeded else "FAILED", {"summary": summary}
            self._call("PATCH", self._url, {"status": "COMPLETED", "result": result, "output": output})
        else:
            self._call("PATCH", self._url, {"status": "SUCCESS" if succeeded else "FAILURE", "summary": summary})

    def _call(self, method: str, url: str, document: dict[str, Any]) -> dict[str, Any]:
        headers = {"content-type": "application/json", "authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(url, json.dumps(document).encode(), headers, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - the URL is the operator's
            result: dict[str, Any] = json.load(response)
            return result


def do_run(run_id: str, work: Callable[[PortRun, dict[str, Any]], str], inputs: dict[str, Any]) -> None:
    """Do the work of a run and report its end; called after the invocation has been accepted."""
    try:
        run = PortRun(run_id)
        try:
            summary = work(run, inputs)
        except Exception as problem:  # without a report, the run would stay in progress
            run.end(succeeded=False, summary=f"The work failed: {problem}")
        else:
            run.end(succeeded=True, summary=summary)
    except urllib.error.URLError as problem:  # a run that has ended, wrong credentials, no network
        print(f"{run_id} could not be reported: {problem}", flush=True)


def deploy(run: PortRun, inputs: dict[str, Any]) -> str:
    """Deploy the service and return the summary of the run; raises ValueError if the inputs are invalid."""
    service = inputs.get("service")
    if not isinstance(service, str) or not service:
        raise ValueError("it needs a service")
    run.log(f"deploying {service}")
    return f"{service} is deployed"


def create_vm(run: PortRun, inputs: dict[str, Any]) -> str:
    """Create the VM and return the summary of the run; raises ValueError if the inputs are invalid."""
    title, cpu = inputs.get("title"), inputs.get("cpu", 2)
    if not isinstance(title, str) or not title or not isinstance(cpu, int):
        raise ValueError("it needs a title and a whole number of CPUs")
    run.log(f"creating {title} with {cpu} CPUs")
    return f"{title} is up"


def read_work(payload: Any) -> tuple[str, Callable[[PortRun, dict[str, Any]], str], dict[str, Any]] | None:
    """Return the run's id, its work and the inputs, or None for a payload that this handler does not take."""
    match payload:
        case {"nodeRunId": str(run_id), "service": service}:
            return run_id, deploy, {"service": service}
        case {"action": "create_vm", "context": {"runId": str(run_id)}, "payload": {"properties": dict(inputs)}}:
            return run_id, create_vm, inputs
        case _:
            return None


class Webhook(BaseHTTPRequestHandler):
    """Receives invocations."""

    timeout = 30  # seconds without a byte, after which the server drops a client

    def do_POST(self) -> None:
        """Verify and accept an invocation; a thread does the work."""
        length = self.headers.get("content-length", "0")
        if not re.fullmatch(r"[0-9]{1,7}", length):  # up to 10 MB
            return self._respond(413, {"error": "the body is too large"})
        body = self.rfile.read(int(length))
        signature, timestamp = self._header("x-port-signature"), self._header("x-port-timestamp")
        if not is_signed_by_port(body, signature, timestamp, os.environ["PORT_CLIENT_SECRET"], time.time()):
            return self._respond(401, {"error": "this was not signed by Port"})
        try:
            payload = json.loads(body)
        except (ValueError, RecursionError):
            payload = None
        found = read_work(payload)
        if found is None:
            return self._respond(422, {"error": "this handler takes the node deploy and the action create_vm"})
        run_id, work, inputs = found
        if is_first_delivery(run_id):
            threading.Thread(target=do_run, args=(run_id, work, inputs)).start()
        return self._respond(202, {"accepted": run_id})

    def _header(self, name: str) -> str:
        return ",".join(self.headers.get_all(name, []))  # several values never match

    def _respond(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        with contextlib.suppress(ConnectionError):  # the sender has gone
            self.end_headers()
            self.wfile.write(content)


class Server(ThreadingHTTPServer):
    """Serves each request in a thread."""

    request_queue_size = 100  # with the default, 5, some of 20 requests at the same time are refused


def main() -> None:
    """Serve until Ctrl-C. Exit with code 2 and a message on stderr if the server cannot start."""
    parser = argparse.ArgumentParser(description="A handler for a workflow node and an action of Port.")
    parser.add_argument("port", nargs="?", type=int, default=8000, help="default: 8000; 0 chooses a free port")
    port = parser.parse_args().port
    if missing := [name for name in ("PORT_CLIENT_ID", "PORT_CLIENT_SECRET") if not os.environ.get(name)]:
        parser.error(f"set {' and '.join(missing)}, for instance: set -a; . ./.env; set +a")
    try:
        server = Server(("127.0.0.1", port), Webhook)
    except (OSError, OverflowError) as problem:
        parser.error(f"port {port}: {problem}")
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
