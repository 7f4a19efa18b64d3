"""The judgement: is this request signed by Port, and if not, why not."""

from __future__ import annotations

from port_hook_cli.core.models import Headers, Verdict
from port_hook_cli.core.redaction import Secret

DEFAULT_TOLERANCE_S = 300.0


def judge(
    headers: Headers,
    body: bytes,
    secret: Secret,
    *,
    now: float,
    tolerance_s: float = DEFAULT_TOLERANCE_S,
    seen: bool = False,
) -> Verdict:
    """Return the verdict on a request received at `now` (seconds since the epoch). Total: never raises."""
    raise NotImplementedError
