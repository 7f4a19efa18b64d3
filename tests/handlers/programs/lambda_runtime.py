"""Serves `lambda_function.handler` over HTTP, like a function URL: an event of payload format 2.0 for each request.

It leaves out cookies, stages, and the fields of the event's request context that no handler here reads.
"""

from __future__ import annotations

import base64
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from lambda_function import handler


class Runtime(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        path, _, query = self.path.partition("?")
        event: dict[str, Any] = {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": query,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "requestContext": {"http": {"method": self.command, "path": path}},
            "isBase64Encoded": not self.headers.get("content-type", "").startswith("application/json"),
        }
        event["body"] = base64.b64encode(body).decode() if event["isBase64Encoded"] else body.decode()
        given = handler(event, None)
        text = given.get("body", "")
        answer = base64.b64decode(text) if given.get("isBase64Encoded") else text.encode()
        self.send_response(given["statusCode"])
        for name, value in given.get("headers", {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


server = HTTPServer(("127.0.0.1", 0), Runtime)
sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
sys.stdout.flush()
server.serve_forever()
