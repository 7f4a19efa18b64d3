"""Responses of a fake of Port's API, for `tests.servers.handler`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import format_datetime

TOKEN = "a-token-of-the-stand-in"
REFUSED = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\n{}"


def token_answer(*, at_s: float | None = None, token: str = TOKEN) -> bytes:
    """A response with a token, and the `Date` of `at_s` if it is given."""
    body = json.dumps({"ok": True, "accessToken": token, "expiresIn": 3600, "tokenType": "Bearer"}).encode()
    date = "" if at_s is None else f"date: {format_datetime(datetime.fromtimestamp(at_s, UTC), usegmt=True)}\r\n"
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{date}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body
