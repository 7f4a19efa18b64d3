"""An AWS Lambda function behind a function URL (payload format 2.0): it verifies, works, and responds synchronously."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from typing import Any


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Return a response with `statusCode` for function URLs."""
    text = event.get("body", "")
    body = base64.b64decode(text) if event["isBase64Encoded"] else text.encode()
    headers = event["headers"]
    message = headers["x-port-timestamp"].encode() + b"." + body
    digest = hmac.new(os.environ["PORT_CLIENT_SECRET"].encode(), message, hashlib.sha256).digest()
    is_signed = hmac.compare_digest(headers["x-port-signature"], "v1," + base64.b64encode(digest).decode())
    if not is_signed or abs(time.time() - int(headers["x-port-timestamp"])) > 300:
        return {"statusCode": 401}
    properties = json.loads(body)["payload"]["properties"]
    if properties["title"] == "taken":
        return {"statusCode": 409, "body": "the name is taken"}
    answer = json.dumps({"arn": f"arn:vm/{properties['title']}"}, ensure_ascii=False).encode()
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/json"},
        "body": base64.b64encode(answer).decode(),
        "isBase64Encoded": True,
    }
