"""The Python API: what the tests and scripts of a backend may call.

The names in `__all__` are as stable as the command line: see docs/reference/python.md. Everything else in the package
is internal. Import these names from `port_hook_cli`, which loads each of them when it is first used.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

from port_hook_cli.actions.templates import UNDEFINED
from port_hook_cli.invocations.models import Cause, Headers, Status, Verdict
from port_hook_cli.javascript.stringify import stringify
from port_hook_cli.signatures.signing import TimestampUnit, signed_headers
from port_hook_cli.signatures.verification import DEFAULT_TOLERANCE_S, verify_signature
from port_hook_cli.text.secret import Secret

__all__ = ["UNDEFINED", "Cause", "Status", "Verdict", "render", "sign", "verify"]

_JSON = ("content-type", "application/json")


@runtime_checkable
class HasItems(Protocol):
    """Header fields in a mapping or another class that returns them from `items()`, as those of web frameworks do."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Return the fields' names and values."""
        ...


def sign(payload: object, secret: str, *, timestamp: int | None = None) -> tuple[dict[str, str], bytes]:
    """Return the header fields and the body of the request that Port would send for `payload`.

    Bytes are signed unchanged. A string is JSON text, and any other payload is a JSON value: both are signed in the
    form that JSON.stringify writes, as Port does. `timestamp` is seconds since the epoch; the default is now. Raises
    ValueError if the payload is not JSON or the secret is empty.
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
    """Return the verdict on a request: its `status` and, unless that is `valid`, the `causes` with their fixes.

    Accept a request only if `verdict.status == "valid"`. `headers` are pairs or an object with `items()`; the names may
    have any case. `body` is the exact bytes. `now` is seconds since the epoch; the default is the current time. No
    request raises an exception; an empty secret raises ValueError, because anyone could sign with it.
    """
    pairs = headers.items() if isinstance(headers, HasItems) else headers
    fields = Headers(tuple((str(name), str(value)) for name, value in pairs))
    moment = time.time() if now is None else now
    return verify_signature(fields, body, _key(secret), now=moment, tolerance_s=tolerance_s)


def render(template: object, data: object, *, strict: bool = False) -> Any:
    """Return the JSON value that Port renders from a template (`{{ … }}` with jq) and `data`, or UNDEFINED.

    An expression that fails becomes None; with `strict` it raises RenderError. A number beyond the range of a double is
    None, as in JSON.stringify. Needs the extra `render`. All calls of a process share one process of jq, which starts
    with the first call; threads may call it.
    """
    from port_hook_cli.engines.renderer import shared_renderer

    return shared_renderer().render(template, data, strict=strict)


def _key(secret: str) -> Secret:
    if not secret:
        raise ValueError("the client secret is empty: is PORT_CLIENT_SECRET set?")
    return Secret(secret)


def _text(payload: object) -> str:
    if isinstance(payload, str):
        return payload
    from port_hook_cli.javascript.values import write_json

    return write_json(payload)
