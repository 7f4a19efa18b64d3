"""The HTTP APIs of the simulated cloudflared and ngrok. `http.server` would import much, in each of 100 processes."""

from __future__ import annotations

import json
import socketserver
from typing import Any


class JsonApi(socketserver.StreamRequestHandler):
    """Responds to one request of a connection with JSON. It knows neither chunks nor limits."""

    def respond(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Return the status and the document, or the bytes of a body that is not JSON."""
        raise NotImplementedError

    def handle(self) -> None:
        """Read the request and respond."""
        if not (first := self.rfile.readline().decode().split()):
            return
        length = 0
        while (line := self.rfile.readline().strip().lower()) != b"":
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        status, document = self.respond(first[0], first[1], self.rfile.read(length))
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.wfile.write(b"HTTP/1.0 %d \r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
