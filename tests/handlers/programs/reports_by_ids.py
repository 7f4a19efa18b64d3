"""Accepts work, responds with 202, and reports in a thread: an action by `context.runId`, a node by its two IDs.

ROUTE selects how a node is reported: `reference` is the route of Port's API reference, `page` the route of its page on
workflow runs, whose sample handler reads `context.workflowRunId` and `context.nodeRunId`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

API = os.environ["PORT_API_URL"]
CREDENTIALS = {"clientId": os.environ["PORT_CLIENT_ID"], "clientSecret": os.environ["PORT_CLIENT_SECRET"]}
ROUTES = {
    "reference": "/v1/workflows/nodes/runs/{nodeRunId}",
    "page": "/v1/workflows/runs/{workflowRunId}/nodes/{nodeRunId}",
}


def call(method: str, path: str, document: Any, token: str = "") -> Any:
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{API}{path}", json.dumps(document).encode(), headers, method=method)  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        return json.load(response)


def report(context: dict[str, Any]) -> None:
    token = call("POST", "/v1/auth/access_token", CREDENTIALS)["accessToken"]
    if "nodeRunId" in context:
        logs = [{"logLevel": "INFO", "log": "done", "tags": {}}] if sys.argv[1] == "page" else None
        ended = {"status": "COMPLETED", "result": "SUCCESS", "output": {"id": "d-1"}} | ({"logs": logs} if logs else {})
        call("PATCH", ROUTES[sys.argv[1]].format(**context), ended, token)
        return
    path = f"/v1/actions/runs/{context['runId']}"
    call("POST", f"{path}/logs", {"message": "working"}, token)
    call("PATCH", path, {"status": "SUCCESS", "summary": "done"}, token)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        context = json.loads(self.rfile.read(int(self.headers["content-length"])))["context"]
        threading.Thread(target=report, args=(context,)).start()
        self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
sys.stdout.flush()
server.serve_forever()
