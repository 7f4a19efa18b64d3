"""How much of a refused request's body is kept, and the error for commands that need the whole body."""

from __future__ import annotations

from dataclasses import replace

from port_hook_cli.errors import StoreError
from port_hook_cli.invocations.models import Invocation, Truncation

REFUSED_BODY_LIMIT = 256 * 1024

NOT_WHOLE = "not read, because the body is incomplete"


def truncate(invocation: Invocation, limit: int = REFUSED_BODY_LIMIT) -> Invocation:
    """Return a refused invocation with at most `limit` bytes of its body, and the size and hash of the whole body."""
    body = invocation.body
    if len(body) <= limit or invocation.truncated is not None:
        return invocation
    from hashlib import sha256  # loads OpenSSL, which reading a store does not need

    whole = Truncation(size=len(body), sha256=sha256(body).hexdigest())
    return replace(invocation, body=body[:limit], truncated=whole)


def require_whole(name: str, invocation: Invocation) -> Invocation:
    """Return `invocation`; raises StoreError if its body is incomplete."""
    truncated = invocation.truncated
    if truncated is None:
        return invocation
    raise StoreError(
        f"The body of {name} is incomplete: the request was refused, and only the first "
        f"{len(invocation.body):,} of its {truncated.size:,} bytes were saved.",
        hint="Send the request again, or give its payload as a file.",
    )
