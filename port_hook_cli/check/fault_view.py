"""The lines that show why a handler rejects valid requests.

This module is pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from port_hook_cli.check.fault import VARIABLE, FaultKind, FoundFault
from port_hook_cli.invocations.headers import TIMESTAMP_HEADER
from port_hook_cli.text.safe import printable
from port_hook_cli.text.styled import Styled

FAULT_INDENT = 15
"""The column where the text of a comparison begins, for `text/layout.py:fit`."""

_SHOWN_DIGITS = 8
_FAILURES = 500
_IN_PYTHON = "print(len(s), hashlib.sha256(s).hexdigest()[:8])  # s: bytes"


def fault_lines(fault: FoundFault, *, shows_digest: bool, starts_handler: bool) -> Iterator[Styled]:
    """Yield what the handler does, the fix and the requests that prove it.

    If no mistake was found, also yield what tells another secret from other bytes. The digest of the secret confirms a
    guess of a weak secret, like a captured signature, so it is shown only with `shows_digest`.
    """
    is_unknown = fault.kind is FaultKind.NOT_FOUND
    status = fault.requests[-1].delivery.status
    yield Styled(f"{printable(fault.sentence).removesuffix('.')}{' (--json)' if is_unknown else ''}.", "yellow")
    if not is_unknown or status is None or status >= _FAILURES:
        yield Styled(f"  fix: {printable(fault.fix)}", "cyan")
    if is_unknown:
        yield from _comparison(fault, shows_digest=shows_digest, starts_handler=starts_handler)
        return
    for each in fault.requests:
        yield Styled(f"  {each.what}: {printable(each.delivery.outcome)}{f'  {each.capture}' if each.capture else ''}")


def _comparison(fault: FoundFault, *, shows_digest: bool, starts_handler: bool) -> Iterator[Styled]:
    valid = next(each for each in fault.requests if each.what == "valid")
    message = (valid.request.headers.get(TIMESTAMP_HEADER) or "").encode() + b"." + valid.request.body
    key = b"" if fault.secret is None else fault.secret.reveal().encode("utf-8", "surrogatepass")
    here = f"{_size(key)}{f', {_digest(key)}. There:' if shows_digest else '.'}"
    yield Styled(f"  most likely  another client secret. Here: {here}")
    if shows_digest:
        yield Styled(f"{' ' * FAULT_INDENT}{_IN_PYTHON}")
    if starts_handler:
        yield Styled(f"{' ' * FAULT_INDENT}{VARIABLE}")
    yield Styled(f"  otherwise    other bytes. Here: {_size(message)}, {_digest(message)}.")
    if valid.capture:
        explain = f"port-hook verify {valid.capture} --signature S"
        yield Styled(f"{' ' * FAULT_INDENT}{explain}  # S: from your code", "cyan")


def _size(content: bytes) -> str:
    return f"{len(content)} byte{'' if len(content) == 1 else 's'}"


def _digest(content: bytes) -> str:
    return f"SHA-256 {hashlib.sha256(content).hexdigest()[:_SHOWN_DIGITS]}"
