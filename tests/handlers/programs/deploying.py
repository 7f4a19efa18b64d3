"""The handlers of `deploy_service.json`: the check responds immediately, the deployment is reported after the response.

It is reported to PORT_API_URL. With HOLD, it is reported when `POST /release` sends the URL of the API to report to.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CREDENTIALS = {"clientId": os.environ["PORT_CLIENT_ID"], "clientSecret": os.environ["PORT_CLIENT_SECRET"]}
held: list[str] = []


def call(method: str, url: str, document: Any, token: str = "") -> Any:
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, json.dumps(document).encode(), headers, method=method)  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        return json.load(response)


def report(api: str, node_run_id: str) -> None:
    token = call("POST", f"{api}/v1/auth/access_token", CREDENTIALS)["accessToken"]
    url = f"{api}/v1/workflows/nodes/runs/{node_run_id}"
    call("POST", f"{url}/logs", {"logs": [{"level": "INFO", "message": "deployed"}]}, token)
    call("PATCH", url, {"status": "COMPLETED", "result": "SUCCESS", "output": {"runId": 7}}, token)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/release":
            (node_run_id,) = held  # a node run is sent once, even by a killed sandbox
            report(given["api"], node_run_id)
        elif self.path == "/deploy" and "HOLD" in os.environ:
            held.append(given["nodeRunId"])
        elif self.path == "/deploy":
            threading.Thread(target=report, args=(os.environ["PORT_API_URL"], given["nodeRunId"])).start()
        body = json.dumps({"ready": True}).encode() if self.path == "/builds/check" else b""
        self.send_response(200 if body else 202)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
sys.stdout.flush()
server.serve_forever()
