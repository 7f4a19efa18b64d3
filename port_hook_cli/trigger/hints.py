"""What to do when a handler refuses a request that `trigger` sent, or does not respond."""

from __future__ import annotations

from port_hook_cli.invocations.models import Delivery

_REFUSED = "the handler refused the request; check that it verifies the unchanged body with the same secret"
_SECONDS = "if the handler divides x-port-timestamp by 1000, it expects milliseconds: try --timestamp-unit ms"
_BY_STATUS = {
    400: _SECONDS,
    401: _REFUSED,
    403: _REFUSED,
    404: "the handler has no route for this path; a path in --to replaces it",
    405: "the handler does not accept this method for this path",
    415: "the handler needs another content-type; set it in `headers`",
}
_BY_FAULT = {
    "unreachable": "start your handler, or check --to",
    "timeout": "increase --timeout; 0 waits indefinitely",
    "broken": "see the handler's log",
    "too-large": "make the handler return a smaller response",
}


def response_hints(delivery: Delivery, conflict: str = "") -> list[str]:
    """Return what to do about a delivery, a line each; empty if it went well.

    `conflict` says that two places have different secrets; it is added if the handler refused the signature.
    """
    hint = _BY_FAULT.get(delivery.fault or "") or _BY_STATUS.get(delivery.status or 0)
    if hint is None:
        return []
    return [hint] if hint != _REFUSED else [line for line in (hint, _SECONDS, conflict) if line]
