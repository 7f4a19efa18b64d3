"""Verifies the raw body, and reads `x-port-timestamp` as milliseconds, like a handler published by Port.

It responds with 400 when the timestamp is more than five minutes off, and 401 for an invalid signature.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

SECRET = os.environ["PORT_CLIENT_SECRET"].encode()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        timestamp = self.headers["x-port-timestamp"]
        digest = hmac.new(SECRET, f"{timestamp}.".encode() + body, hashlib.sha256).digest()
        given = self.headers["x-port-signature"].split(",")[1]
        if abs(time.time() - int(timestamp) / 1000) > 300:
            self.answer(400, b"the request is too old")
        elif not hmac.compare_digest(given, base64.b64encode(digest).decode()):
            self.answer(401, b"the signature is wrong")
        else:
            self.answer(200, b"accepted")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
sys.stdout.flush()
server.serve_forever()
