"""What to look at first when a handler did not answer with success."""

from __future__ import annotations

from port_hook_cli.invocations.models import Delivery

_BY_FAULT = {
    "unreachable": "start your handler, or point --forward-to at where it listens; the capture is saved: "
    "`port-hook replay last --to URL` sends it again",
    "timeout": "answer first and work afterwards, or give it longer with --forward-timeout S (0 waits for ever)",
    "interrupted": "`port-hook replay last --to URL` sends it again",
    "too-large": "return less, or raise the limit with --max-response SIZE; `port-hook replay last --to URL` sends the "
    "request again",
    "broken": "the handler's own log should say why it hung up",
}
_BY_STATUS = {
    301: "Port does not follow redirects; point --forward-to at the final address",
    302: "Port does not follow redirects; point --forward-to at the final address",
    307: "Port does not follow redirects; a trailing slash in the URL is the usual cause",
    308: "Port does not follow redirects; a trailing slash in the URL is the usual cause",
    400: "the handler could not read the body; it got exactly the bytes that Port sent",
    401: "the handler refused the request; if it verifies the signature, give it the same secret and the raw body",
    403: "the handler refused the request; if it verifies the signature, give it the same secret and the raw body",
    404: "the handler has no route for this path; a path in --forward-to sets it",
    405: "the handler has this path, but not for this method",
    413: "the handler (or a proxy before it) takes no body of this size",
    415: "the handler wants another content-type",
    422: "the handler understood the body and rejected its content; its answer says which field",
    429: "the handler asks for fewer requests",
}


def delivery_hint(delivery: Delivery) -> str:
    """Return what to do about a delivery that failed, or an empty string when it did not."""
    if delivery.status is None:
        return _BY_FAULT.get(delivery.fault or "", "")
    if delivery.ok:
        return ""
    return _BY_STATUS.get(
        delivery.status,
        "the handler failed; its own log should say why" if delivery.status >= 500 else "",  # noqa: PLR2004
    )
