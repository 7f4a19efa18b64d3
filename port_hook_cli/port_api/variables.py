"""The variables that change how port-hook calls Port's API. Only the environment sets them, no file does."""

from __future__ import annotations

import math
from collections.abc import Mapping

from port_hook_cli.errors import SettingsError
from port_hook_cli.http.limits import API_TIMEOUT_S

API_TIMEOUT = "PORT_HOOK_API_TIMEOUT"
INSECURE_API = "PORT_HOOK_INSECURE_API"

_LEAST_TIMEOUT_S = 0.1


def api_timeout_s(environ: Mapping[str, str], default: float = API_TIMEOUT_S) -> float:
    """Return the limit for a request to Port's API in seconds, from connecting to the last byte.

    Raises SettingsError if the variable is not a number of at least 0.1.
    """
    text = environ.get(API_TIMEOUT)
    if not text:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not _LEAST_TIMEOUT_S <= seconds < math.inf:
        raise SettingsError(
            f"{API_TIMEOUT} is not a number of seconds from {_LEAST_TIMEOUT_S}.",
            hint=f"Set it to {default:g}, or unset it.",
        )
    return seconds


def allows_plain_http(environ: Mapping[str, str]) -> bool:
    """Return whether plain http may carry the client secret to another machine.

    Raises SettingsError if the variable is neither 1 nor 0.
    """
    text = environ.get(INSECURE_API, "")
    if text not in {"", "0", "1"}:
        raise SettingsError(f"{INSECURE_API} is neither 1 nor 0.", hint="Unset it, or set it to 1 to allow plain http.")
    return text == "1"
