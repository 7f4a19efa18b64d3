"""A handler for Port with Python's http.server: `python std.py PORT DEFECT`. With the defect `none`, it is correct."""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from common import Reply, SignedHandler, started_handler

_TOO_LARGE = 500_000


class Webhook(BaseHTTPRequestHandler):
    """Takes invocations. `main` sets the attributes."""

    handler: SignedHandler
    defect: str

    def do_POST(self) -> None:
        """Receive an invocation. A thread does the work."""
        if self.path not in {"/", "/hook"}:
            self._respond(Reply(404, {"error": "no such path"}))
            return
        body = self._body()
        if body is None:
            self.close_connection = True
            return
        reply = self._reply(body)
        self._respond(reply)
        if reply.work is not None:
            threading.Thread(target=reply.work, daemon=True).start()

    do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815 - the names that http.server looks for

    def _reply(self, body: bytes) -> Reply:
        try:
            return self.handler.receive(body, self.headers.get, time.time())
        except Exception as problem:  # noqa: BLE001 - a framework would do the same
            if self.defect == "survives-hang" and isinstance(problem, TypeError):
                threading.Event().wait()
            return Reply(500, {"error": type(problem).__name__})

    def _body(self) -> bytes | None:
        """Return the body, or None to close the connection without a response."""
        length = int(self.headers.get("content-length", 0))
        if self.defect == "size-closed" and length > _TOO_LARGE:
            return None
        body = self.rfile.read(length)
        return body if len(body) == length else None

    def _respond(self, reply: Reply) -> None:
        content = json.dumps(reply.document).encode()
        self.send_response(reply.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Do not print a line for each request."""


class Threads(ThreadingHTTPServer):
    """A server with a thread for each connection."""

    request_queue_size = 128
    daemon_threads = True


def main(port: int, defect: str) -> None:
    """Serve until the process is ended."""
    if defect == "post-only":
        del Webhook.do_PUT, Webhook.do_PATCH, Webhook.do_DELETE
    Webhook.handler, Webhook.defect = started_handler(_SAME.get(defect, defect)), defect
    server = Threads(("127.0.0.1", port), Webhook)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


# Verified with the same mistake as another defect, which shows in another way.
_SAME = {"survives-hang": "survives-500"}

if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
