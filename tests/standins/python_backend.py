"""A backend of the kind that Port publishes, as a program: `python python_backend.py PATTERN`; prints its URL.

It does not use port-hook: it reads PORT_CLIENT_ID, PORT_CLIENT_SECRET and PORT_API_URL, and does with the standard
library what Port's published backends do with their libraries. PATTERN is one of:

bucket   The older pattern, in Python: the signature over the raw body; the timestamp read as milliseconds, and refused
         when it differs by 5 minutes; a base URL that ends with /v1; a token for every call; the run id from
         `context.runId`; an entity created with `run_id` and no `upsert`; the run ended with a `message` object.
service  The newer pattern: the body serialized again with `JSON.stringify` before it is verified; a base URL without
         /v1; one token for all; the run id from the body's `port_context.runId`; logs, an upsert, a link and a summary.

What it leaves out: it does no work, and handles one request at a time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import sys
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

ID, SECRET, API = (os.environ[name] for name in ("PORT_CLIENT_ID", "PORT_CLIENT_SECRET", "PORT_API_URL"))
TOLERANCE_S = 5 * 60


def call(method: str, url: str, body: Any, token: str = "") -> tuple[int, Any]:
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def get_token(base: str) -> str:
    _, answer = call("POST", f"{base}/auth/access_token", {"clientId": ID, "clientSecret": SECRET})
    return str(answer["accessToken"])


def is_signed(text: str, timestamp: str, signature: str) -> bool:
    digest = hmac.new(SECRET.encode(), f"{timestamp}.{text}".encode(), hashlib.sha256).digest()
    return hmac.compare_digest(base64.b64encode(digest).decode(), signature.split(",")[1])


def work_on_bucket(raw: bytes, timestamp: str, signature: str) -> int:
    if not is_signed(raw.decode(), timestamp, signature) or abs(time.time() - float(timestamp) / 1000) > TOLERANCE_S:
        return 400
    body = json.loads(raw)
    run_id, name = body["context"]["runId"], body["payload"]["properties"]["title"]
    entity = {"identifier": name, "title": name, "properties": {"acl": "private"}}
    created, _ = call("POST", f"{API}/blueprints/bucket/entities?run_id={run_id}", entity, get_token(API))
    status = "SUCCESS" if 200 <= created <= 299 else "FAILURE"
    message = f"The action status after creating entity is {status}"
    update = {"message": {"message": message}, "status": status}
    call("PATCH", f"{API}/actions/runs/{run_id}", update, get_token(API))
    return 200


def work_on_service(raw: bytes, timestamp: str, signature: str) -> int:
    body = json.loads(raw)
    written = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    if not is_signed(written, timestamp, signature) or abs(time.time() - int(timestamp)) > TOLERANCE_S:
        return 401
    run_id, base = body["port_context"]["runId"], f"{API}/v1"
    token, run = get_token(base), f"{base}/actions/runs/{run_id}"
    calls = [
        ("POST", f"{run}/logs", {"message": f"Scaling {body['service']}"}),
        ("PATCH", run, {"link": ["https://ci.example.com/7"], "externalRunId": "7"}),
        (
            "POST",
            f"{base}/blueprints/service/entities?upsert=true&merge=true&run_id={run_id}",
            {"identifier": body["service"], "properties": {"replicas": 3}},
        ),
        ("PATCH", run, {"summary": "3 replicas", "statusLabel": "Scaled"}),
        ("POST", f"{run}/logs", {"message": "Done", "terminationStatus": "SUCCESS"}),
    ]
    answers = [call(method, url, document, token)[0] for method, url, document in calls]
    return 202 if answers == [201, 200, 201, 200, 201] else 500


class Handler(BaseHTTPRequestHandler):
    work = {"bucket": work_on_bucket, "service": work_on_service}[sys.argv[1]]

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        status = type(self).work(raw, self.headers["x-port-timestamp"], self.headers["x-port-signature"])
        answer = json.dumps({"status": status}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        pass


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"http://127.0.0.1:{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()
