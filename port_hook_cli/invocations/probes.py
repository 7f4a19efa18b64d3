"""Recognize the requests that `check` sends. This module is pure."""

from __future__ import annotations

import re

from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Invocation

PROBE_AGENT = "port-hook-check/"
"""The beginning of the user-agent, before the slug of the check."""

ADDED_NAME = "port-hook"
"""The name of the member that `check` adds to a body, or the beginning of that name."""

UNUSUAL_VALUES = (
    '{"text":"ë🚀 / <>&\' \u2028 \x7f",'  # JSON.stringify doesn't escape these characters
    '"numbers":[1e-7,0.00001,1e+21],"empty":{}}'
)
"""The value of the added member. It contains characters and numbers that serializers write differently."""

_SLUG = r"[a-z]+(?:-[a-z]+)*"
_MOST_CHARACTERS = 40
_ADDED = rb'(?:,|(?<=^\{))"%s(?:-\d{1,9})?":(?:%s|"x*")\}$' % (
    ADDED_NAME.encode(),
    re.escape(UNUSUAL_VALUES.encode()),
)


def probed_check(headers: Headers) -> str | None:
    """Return the slug of the check that sent a request, or None for any other request.

    Any sender can imitate `check`, so a check with this slug may not exist. The slug contains only letters and hyphens.
    """
    agent = headers.get("user-agent") or ""
    slug = agent.removeprefix(PROBE_AGENT)
    is_slug = agent != slug and len(slug) <= _MOST_CHARACTERS and re.fullmatch(_SLUG, slug)
    return slug if is_slug else None


def is_probe(headers: Headers) -> bool:
    """Return whether `check` sent a request with these headers."""
    return probed_check(headers) is not None


def original_of_probe(request: Invocation) -> str | None:
    """Return the ID of the capture that a request of `check` repeats, or None."""
    return request.replay_of if is_probe(request.headers) else None


def without_probe(body: bytes) -> bytes:
    """Return a body without the member that `check` may have added at its end."""
    return re.sub(_ADDED, b"}", body)
