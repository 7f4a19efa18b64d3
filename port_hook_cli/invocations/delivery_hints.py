"""What to check first if a handler did not respond with success."""

from __future__ import annotations

from port_hook_cli.invocations.models import Delivery

_REDIRECTED = "Set --forward-to to the final URL: Port does not follow redirects."
_SECONDS = (
    "If the handler divides x-port-timestamp by 1000, it expects milliseconds, and Port sends seconds: "
    "try `port-hook replay last --to URL --timestamp-unit ms`."
)
_REFUSALS = frozenset({400, 401, 403})
_MESSAGE = (
    "If the handler verifies signatures, let it verify the message without the two signature headers in its `headers`, "
    "written as compact JSON without escapes (`json.dumps(message, separators=(',', ':'), ensure_ascii=False)`)."
)
_BY_FAULT = {
    "unreachable": "Start your handler, or set --forward-to to its address. The request is saved: "
    "`port-hook replay last --to URL` sends it again.",
    "timeout": "Respond first and do the work afterwards, or raise --forward-timeout (0 waits indefinitely).",
    "interrupted": "Send the request again with `port-hook replay last --to URL`.",
    "too-large": "Return a smaller response, or raise --max-response. Then send the request again with "
    "`port-hook replay last --to URL`.",
    "broken": "Check the handler's log for the reason why it closed the connection.",
}
_BY_STATUS = {
    301: _REDIRECTED,
    302: _REDIRECTED,
    307: _REDIRECTED + " A trailing slash is the usual cause.",
    308: _REDIRECTED + " A trailing slash is the usual cause.",
    400: _SECONDS,
    401: "If the handler verifies signatures, give it the same secret, and let it verify the raw body. " + _SECONDS,
    403: "If the handler verifies signatures, give it the same secret, and let it verify the raw body. " + _SECONDS,
    404: "The handler has no route for this path. Set the path in --forward-to.",
    405: "The handler has a route for this path, but not for this method.",
    413: "Raise the size limit of the handler, or of the proxy in front of it.",
    415: "The handler expects another content-type.",
    422: "The handler read the body and rejected its content. Its response may say which field.",
    429: "The handler limits the rate of requests. Try again later.",
}


def delivery_hint(delivery: Delivery, *, is_message: bool = False) -> str:
    """Return what to do about a delivery that failed, or an empty string if it did not fail.

    `is_message` says that the request was a message of Kafka, whose signature is not that of its bytes.
    """
    if delivery.status is None:
        return _BY_FAULT.get(delivery.fault or "", "")
    if delivery.ok:
        return ""
    if is_message and delivery.status in _REFUSALS:
        return _MESSAGE
    return _BY_STATUS.get(
        delivery.status,
        "The handler failed. Check its log." if delivery.status >= 500 else "",  # noqa: PLR2004
    )
