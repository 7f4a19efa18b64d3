"""Read the values of the options of `listen`. Each error names its option."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from port_hook_cli.captures.database.conditions import LARGEST_VALUE
from port_hook_cli.errors import UsageError
from port_hook_cli.http.limits import format_size
from port_hook_cli.invocations.forwarding import read_target
from port_hook_cli.invocations.models import Response
from port_hook_cli.invocations.routes import BadRoute, RouteRule, Routes, split_route
from port_hook_cli.listener.policy import DelayRange
from port_hook_cli.listener.responses import BadResponse, parse_response
from port_hook_cli.tunnels.registry import AUTO, NO_TUNNEL, TunnelChoice, parse_tunnel, refuse_options

_LEAST_STORE = 1024 * 1024


def read_tunnel(text: str | None, options: Mapping[str, str | None]) -> TunnelChoice:
    """Return the tunnel to open: the tunnel in `text`, else `none` when `--public-url` is given, else `auto`.

    `options` maps the options that only some tunnels take to their values. Raises UsageError.
    """
    choice = parse_tunnel(text) if text else NO_TUNNEL if options.get("--public-url") else AUTO
    refuse_options(choice, [name for name, value in options.items() if value])
    return choice


def read_public_url(text: str | None) -> str | None:
    """Return `--public-url`; raises UsageError if it is not a URL."""
    if text and not _is_web_url(text):
        raise UsageError(f"--public-url {text!r} is not a URL.", hint="Write it as https://…")
    return text


def _is_web_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"https", "http"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a bad port, or brackets without an IPv6 address
        return False


def read_routes(forward_to: str | None, routes: list[str], path: str) -> Routes:
    """Return where invocations go, by `--forward-to`, `--route` and `--path`; raises UsageError."""
    if not path.startswith("/") or "?" in path:
        raise UsageError(f"--path {path!r} is not a path.", hint="Write it as --path /webhook.")
    return Routes(
        default=read_target(forward_to, "--forward-to") if forward_to else None,
        rules=tuple(map(_read_route, routes)),
        mount=path,
    )


def _read_route(text: str) -> RouteRule:
    try:
        by, name, target, label = split_route(text)
    except BadRoute:
        raise UsageError(
            f"--route {text!r} is not RULE=URL.",
            hint="Write it as --route create_vm=8001, blueprint:vm=8001, WORKFLOW#NODE=8001 or 'jq:EXPRESSION=8001'.",
        ) from None
    return RouteRule(by, name, read_target(target, "--route"), label)


def read_delay(text: str) -> DelayRange:
    """Return the delay that `--delay` gives, as `2`, `2s` or `2s..5s`; raises ValueError."""
    least, dots, most = text.partition("..")
    delay = DelayRange(_seconds(least), _seconds(most if dots else least))
    if not 0 <= delay.least_s <= delay.most_s:
        raise ValueError(f"{text!r} is not a range of seconds: write the smaller number first, as 2s..5s.")
    return delay


def _seconds(text: str) -> float:
    try:
        seconds = float(text.strip().removesuffix("s"))
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"{text!r} is not a number of seconds.")
    return seconds


def check_max_body(size: int) -> int:
    """Return `--max-body` in bytes. Raises UsageError for more than a store can save."""
    if size > LARGEST_VALUE:
        raise UsageError(
            f"--max-body {format_size(size)} is too large: the maximum is {format_size(LARGEST_VALUE)}.",
            hint="Lower --max-body. Port sends much smaller bodies.",
        )
    return size


def check_max_store(size: int, max_body: int) -> int:
    """Return `--max-store` in bytes; raises UsageError for a store that could not hold two of the largest bodies."""
    least = max(_LEAST_STORE, 2 * max_body)
    if size < least:
        raise UsageError(
            f"--max-store {format_size(size)} is too small: the minimum is {format_size(least)}, twice --max-body.",
            hint="Raise --max-store or lower --max-body.",
        )
    return size


def read_response(text: str, cwd: Path) -> Response:
    """Return the response that `--respond` describes; raises UsageError."""
    try:
        return parse_response(text, lambda name: (cwd / name).read_bytes())
    except BadResponse as error:
        raise UsageError(
            f"--respond: {error}.", hint="Write it as 503, 200:'{\"ok\":true}' or 200:@answer.json."
        ) from None
    except OSError as error:
        raise UsageError(
            f"--respond: The file cannot be read: {error.strerror}.", hint="Check the path after @."
        ) from None
