"""port-hook's Python side: what a backend's own tests and scripts may call.

What stands in `__all__` here is promised as the command line is: see docs/reference/python.md. Everything else in the
package is port-hook's own affair. Each name can be imported from `port_hook_cli` itself, which loads it when it is
first asked for.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

from port_hook_cli.invocations.models import Cause, Headers, Status, Verdict
from port_hook_cli.javascript.stringify import stringify
from port_hook_cli.signatures.signing import TimestampUnit, signed_headers
from port_hook_cli.signatures.verification import DEFAULT_TOLERANCE_S, verify_signature
from port_hook_cli.text.secret import Secret

__all__ = ["Cause", "Status", "Verdict", "render", "sign", "verify"]

_JSON = ("content-type", "application/json")


@runtime_checkable
class HasItems(Protocol):
    """Header fields as a mapping, or as another class of a framework that gives them by `items()`."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Return the fields' names and values."""
        ...


def sign(payload: object, secret: str, *, timestamp: int | None = None) -> tuple[dict[str, str], bytes]:
    """Return the header fields and the body of the request that Port would send for `payload`.

    Bytes are signed as they are. A string is JSON text, and anything else a JSON value; both are signed, as Port does
    it, in the form that JSON.stringify gives them. `timestamp` is seconds since the epoch; the default is now. Raises
    ValueError for what is no JSON, and for an empty secret.
    """
    body = payload if isinstance(payload, bytes) else stringify(_text(payload)).encode()
    stamp = TimestampUnit.SECONDS.stamp(time.time() if timestamp is None else timestamp)
    return dict((_JSON, *signed_headers(body, _key(secret), stamp))), body


def verify(
    headers: HasItems | Iterable[tuple[str, str]],
    body: bytes,
    secret: str,
    *,
    now: float | None = None,
    tolerance_s: float = DEFAULT_TOLERANCE_S,
) -> Verdict:
    """Return the verdict on a request: its `status`, and for anything but `valid` the `causes` with their fixes.

    `headers` are pairs or anything with `items()`, in any case; `body` is the exact bytes. `now` is seconds since the
    epoch, the default the clock. Never raises for what the request says; ValueError is for an empty secret, with which
    anybody could sign. `verdict.status == "valid"` is the only yes.
    """
    pairs = headers.items() if isinstance(headers, HasItems) else headers
    fields = Headers(tuple((str(name), str(value)) for name, value in pairs))
    moment = time.time() if now is None else now
    return verify_signature(fields, body, _key(secret), now=moment, tolerance_s=tolerance_s)


def render(template: object, data: object, *, strict: bool = False) -> Any:
    """Return what Port makes of a template (`{{ … }}` with jq) over `data`, both JSON values; None for undefined.

    A jq error gives None, or with `strict` an exception. Needs the extra `render`. Starts a process for jq each time:
    for many templates use `port_hook_cli.engines.renderer.Renderer` within your own tests.
    """
    from port_hook_cli.actions.templates import Undefined
    from port_hook_cli.engines.renderer import Renderer

    with Renderer() as renderer:
        rendered = renderer.render(template, data, strict=strict)
    return None if isinstance(rendered, Undefined) else rendered


def _key(secret: str) -> Secret:
    if not secret:
        raise ValueError("the client secret is empty: is PORT_CLIENT_SECRET set?")
    return Secret(secret)


def _text(payload: object) -> str:
    if isinstance(payload, str):
        return payload
    from port_hook_cli.javascript.values import write_json

    return write_json(payload)
