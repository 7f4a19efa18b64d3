"""Hints for failed deliveries, in one table for every command that sends requests to a handler."""

from __future__ import annotations

import json
from collections.abc import Mapping
from shlex import quote

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.models import Delivery, Status
from port_hook_cli.text.safe import printable


@frozen(kw_only=True)
class SenderOptions:
    """The options that hints show, for the command that sent the request.

    `search` is the command that finds out why a handler rejects a valid request. `{source}` is its argument, and
    `{url}` is the URL of the request. `advice` is what else this command can do, by fault or status.
    """

    target: str
    timeout: str
    search: str
    advice: Mapping[str | int, str]


_CHECK_SOURCE = "`port-hook check {source} --to {url}`"
_REPLAY_LAST = "`port-hook replay last --to URL`"

LISTEN_OPTIONS = SenderOptions(
    target="--forward-to",
    timeout="--timeout",
    search="`port-hook check {source}`",
    advice={
        "unreachable": f"The request is saved: {_REPLAY_LAST} sends it again.",
    },
)
REPLAY_OPTIONS = SenderOptions(
    target="--to",
    timeout="--timeout",
    search=_CHECK_SOURCE,
    advice={405: "Set another method with --method.", 415: "Set it with --header content-type:…."},
)
TRIGGER_OPTIONS = SenderOptions(
    target="--to", timeout="--timeout", search=_CHECK_SOURCE, advice={415: "Set it in `headers`."}
)

_SIGNATURE = "If the handler verifies signatures, {search} finds its mistake."
_MESSAGE = (
    "Verify the message without its two signature headers, as compact JSON: "
    "`json.dumps(message, separators=(',', ':'), ensure_ascii=False)`."
)
_REDIRECTED = "Set {target} to the final URL: Port does not follow redirects."
REJECTED_BY_LISTEN = "`port-hook listen` rejected {request}, so the handler did not get it."
USE_THE_HANDLERS_PORT = "Its terminal says why. To bypass it, set {target} to the handler's own port."
_REJECTED = "rejected-by-listen"
_LISTENERS: Mapping[tuple[int | None, str], str] = {
    (404, "not-wanted"): "`port-hook listen --only` rejected this request. If its body doesn't contain an identifier,"
    " omit --only, or set {target} to the handler's own port.",
    (404, "not-found"): "`port-hook listen --path` rejected this request. Set {target} to a path that it serves, or to"
    " the handler's own port.",
    (413, "too-large"): "`port-hook listen` rejected this request for its size. Raise `listen --max-body`.",
    (500, "fail-first"): "`port-hook listen --fail-first` responded. Send the request again.",
    (502, "unreachable"): "`port-hook listen` could not connect to its handler. Start the handler, or restart `listen`"
    " with its port.",
    (502, "broken"): "The handler of `port-hook listen` closed the connection. Check its log for the reason.",
    (504, "timeout"): "The handler of `port-hook listen` did not respond in time. Respond first, or raise `listen"
    " --timeout`.",
}
"""Hints for the responses of a listener's own, by status and error. A handler never got the request, or failed."""
_HINTS: Mapping[str | int, tuple[str, ...]] = {
    _REJECTED: (f"{REJECTED_BY_LISTEN} {USE_THE_HANDLERS_PORT}",),
    "unreachable": ("Start your handler, or set {target} to its URL.",),
    "timeout": ("Respond first and do the work afterward, or raise {timeout} (0 waits indefinitely).",),
    "interrupted": ("Send interrupted requests again with `port-hook replay --failed`.",),
    "too-large": ("Return a smaller response.",),
    "broken": ("Check the handler's log for the reason.",),
    307: (f"{_REDIRECTED} A trailing slash is the usual cause.",),
    308: (f"{_REDIRECTED} A trailing slash is the usual cause.",),
    400: (_SIGNATURE,),
    401: (_SIGNATURE,),
    403: (_SIGNATURE,),
    404: ("The handler has no route for this path. Set the path in {target}.",),
    405: ("The handler has a route for this path, but not for this method.",),
    413: ("Raise the size limit of the handler, or of the proxy in front of it.",),
    415: ("The handler expects a different content-type.",),
    422: ("The handler read the body and rejected its content. Its response may say which field.",),
    429: ("The handler limits the rate of requests. Try again later.",),
    501: ("The handler doesn't support this method. Add it, such as `do_POST` in Python's http.server.",),
    "3xx": (_REDIRECTED,),
    "5xx": ("The handler failed. Check its log.",),
}
_MOST_OF_A_PROBLEM = 10_000
_UNAUTHORIZED = 401
_REFUSALS = frozenset({400, _UNAUTHORIZED, 403})
_MAY_BE_A_WRONG_SECRET = frozenset({401, 403})


def delivery_hints(
    delivery: Delivery,
    options: SenderOptions,
    *,
    is_message: bool = False,
    conflict: str = "",
    url: str = "",
    source: str = "last",
) -> tuple[str, ...]:
    """Return hints for a failed delivery, one hint per line.

    The result is empty if the delivery did not fail or the cause is unknown. `is_message` means that the request was a
    Kafka message, whose signature does not cover its raw bytes. `conflict` means that two places have different
    secrets. It is added if the handler may have rejected the signature. `url` is the URL to show, which defaults to the
    delivery's URL. `source` is the argument of `check` for this request.
    """
    status = delivery.status
    outcome: str | int = delivery.fault or "" if status is None else status
    if is_refusal(delivery):
        outcome = _REJECTED
    own = _LISTENERS.get((status, str(_listener_problem(delivery).get("error"))))
    found = (own,) if own else _HINTS.get(outcome) or _HINTS.get(f"{status // 100}xx" if status else "", ())
    if is_message and outcome in _REFUSALS:
        found = (_MESSAGE,)
    words = {"target": options.target, "timeout": options.timeout, "url": _quoted(url or delivery.url)}
    words["source"] = printable(quote(source))
    search = options.search.format(**words)
    hints = [hint.format(**words, search=search, request="this request") for hint in found]
    if outcome in options.advice and not own:
        hints[-1] += f" {options.advice[outcome].format(**words)}"
    if conflict and status in _MAY_BE_A_WRONG_SECRET:
        hints.append(conflict)
    return tuple(hints)


def is_refusal(delivery: Delivery) -> bool:
    """Return whether `port-hook listen` rejected the signature, so that the response is not the handler's."""
    document = _listener_problem(delivery)
    if delivery.status != _UNAUTHORIZED or "hint" not in document or document["error"] != "signature":
        return False
    return str(document["message"]).partition(":")[0] in set(Status)


def _listener_problem(delivery: Delivery) -> Mapping[str, object]:
    """Return the body of an error that has the form of a listener's own response, or an empty mapping."""
    try:
        document = json.loads(delivery.body) if delivery.failed and len(delivery.body) < _MOST_OF_A_PROBLEM else None
    except (ValueError, RecursionError):
        return {}
    if not isinstance(document, dict) or document.keys() - {"hint"} != {"ok", "error", "message"}:
        return {}
    return document


def _quoted(url: str) -> str:
    """Quote a URL as a shell word with visible characters only. Braces are escaped, as in any URL."""
    return printable(quote(url.replace("{", "%7B").replace("}", "%7D")))
