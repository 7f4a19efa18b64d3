"""What Port's execution agent calls in its polling mode, for `agent_actions.py` and `agent_nodes.py`.

Like the published agent, it gets a new token for each call, maps a run to the default body, signs its compact form,
and sends a form with spaces. It prints each call and webhook with the status. It leaves out Kafka, encrypted fields,
and mappings of the user's own.
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
from typing import Any

BASE, SECRET = os.environ["PORT_API_BASE_URL"], os.environ["PORT_CLIENT_SECRET"]
CREDENTIALS = {"clientId": os.environ["PORT_CLIENT_ID"], "clientSecret": SECRET}
POLL = {"installationId": "_PORT_EXEC_AGENT", "limit": 100}
RESERVED, JSON = {"x-port-reserved-usage": "true"}, {"Content-Type": "application/json"}
METHOD = ("type", "url", "synchronized", "method", "headers")


def send(method: str, url: str, body: Any, headers: dict[str, str]) -> tuple[int, str]:
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            status, text = response.status, response.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            status, text = refused.code, refused.read().decode()
    sys.stdout.write(f"{method} {url.removeprefix(BASE)} {status}\n")
    return status, text


def call(method: str, path: str, body: Any, headers: dict[str, str] | None = None) -> dict[str, Any]:
    token = json.loads(send("POST", f"{BASE}/v1/auth/access_token", CREDENTIALS, JSON)[1])["accessToken"]
    fields = {**JSON, **(headers or {}), "Authorization": f"Bearer {token}"}
    status, text = send(method, f"{BASE}{path}", body, fields)
    return dict(json.loads(text)) if 200 <= status < 300 else {}


def invoke(config: dict[str, Any], body: dict[str, Any], context: dict[str, Any]) -> tuple[int, str]:
    kept = {name: config[name] for name in METHOD if name in config}
    sent = {**body, "headers": config.get("headers", {}), "payload": {"action": {"invocationMethod": kept}}}
    sent["context"] = context
    stamp, compact = str(int(time.time())), json.dumps(sent, separators=(",", ":"))
    digest = hmac.new(SECRET.encode(), f"{stamp}.{compact}".encode(), hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    headers = {**JSON, "X-Port-Timestamp": stamp, "X-Port-Signature": signature}
    return send(config.get("method", "POST"), config["url"], sent, headers)
