"""Access tokens of the sandbox: JSON Web Tokens (RFC 7519), like Port's, signed with HMAC-SHA-256."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from typing import Any


def signed_token(claims: Mapping[str, Any], key: bytes) -> str:
    """Return the token with these claims."""
    signed = f"{_HEADER}.{_encoded(json.dumps(claims).encode())}"
    return f"{signed}.{_signature(signed, key)}"


def read_token(token: str, key: bytes) -> dict[str, Any] | None:
    """Return the claims of a token that was signed with `key`, or None for any other text."""
    signed, _, signature = token.rpartition(".")
    header, _, claims = signed.partition(".")
    given = signature.encode("utf-8", "replace")
    if header != _HEADER or not hmac.compare_digest(given, _signature(signed, key).encode()):
        return None
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(f"{claims}==="))
    return read


def _signature(text: str, key: bytes) -> str:
    return _encoded(hmac.digest(key, text.encode("utf-8", "replace"), "sha256"))


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


_HEADER = _encoded(b'{"alg":"HS256","typ":"JWT"}')
