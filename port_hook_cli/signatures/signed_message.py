"""Sign a message on a Kafka topic as Port does.

The two signature headers are in the message itself, in its `headers`. The signature is that of the compact form of the
message without them; an empty `headers` stays. That is what Port's published execution agent verifies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from port_hook_cli.javascript.values import write_json
from port_hook_cli.signatures.signing import sign
from port_hook_cli.text.secret import Secret

MESSAGE_SIGNATURE = "X-Port-Signature"
MESSAGE_TIMESTAMP = "X-Port-Timestamp"
_OURS = frozenset({MESSAGE_SIGNATURE, MESSAGE_TIMESTAMP})


def signed_message(document: Any, secret: Secret | None, timestamp: str) -> bytes:
    """Return the bytes of a message with `document` and its signature, as JSON.stringify writes them.

    Other `headers` of the document stay. Without `secret`, there is no signature, and none in a document that is not an
    object, because it cannot have `headers`.
    """
    if not isinstance(document, Mapping):
        return write_json(document).encode()
    given = document.get("headers")
    kept = {name: value for name, value in given.items() if name not in _OURS} if isinstance(given, Mapping) else {}
    unsigned = {**document, "headers": kept}
    if secret is None:
        return write_json(unsigned).encode()
    signature = sign(write_json(unsigned).encode(), secret, timestamp)
    headers = {**kept, MESSAGE_SIGNATURE: signature, MESSAGE_TIMESTAMP: timestamp}
    return write_json({**document, "headers": headers}).encode()
