"""Creates a VM when `payload.action.trigger` is "CREATE", from `payload.properties`. It does not verify requests."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["payload"]
        if payload["action"]["trigger"] == "CREATE":
            self.answer(200, {"created": payload["properties"]["title"], "cpu": payload["properties"].get("cpu")})
        else:
            self.answer(422, {"error": f"cannot do {payload['action']['trigger']}"})

    def answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
sys.stdout.flush()
server.serve_forever()
