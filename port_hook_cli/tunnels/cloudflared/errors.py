"""The errors of cloudflared, with what the user can do about them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from port_hook_cli.errors import TunnelError
from port_hook_cli.text.safe import brief

_OTHERS = (
    "use another tunnel (`--tunnel localhost.run` needs no account and no program, `--tunnel ngrok` an account) "
    "or your own with `--public-url URL`"
)
_RELEASES = "https://github.com/cloudflare/cloudflared/releases"
_UPDATE = "Update it with `cloudflared update`, or with your package manager if that installed it."

# Errors in the log, the most specific first. The patterns match messages of cloudflared
# (cmd/cloudflared/tunnel/quick_tunnel.go) and of Go's network library; 1015 is Cloudflare's error for a rate limit.
_KNOWN = (
    (
        re.compile(r"429 Too Many Requests|error code: 1015"),
        "Cloudflare refuses to open more quick tunnels for this network's IP address for now (429: too many requests).",
        f"Wait a few minutes and try again. Until then, {_OTHERS}.",
    ),
    (
        re.compile(r"failed to request quick Tunnel: .*x509"),
        "cloudflared does not trust the certificate of api.trycloudflare.com.",
        f"A proxy on this network decrypts TLS: set SSL_CERT_FILE to its certificate. Or {_OTHERS}.",
    ),
    (
        re.compile(r"failed to request quick Tunnel"),
        "cloudflared cannot connect to Cloudflare.",
        f"Check the network; cloudflared does not use a proxy. Or {_OTHERS}.",
    ),
    (
        re.compile(r"failed to \w+ quick.[Tt]unnel|QuickTunnel response"),
        "Cloudflare's service for quick tunnels did not respond with a tunnel.",
        f"Try again; https://www.cloudflarestatus.com lists outages. Or {_OTHERS}.",
    ),
    (
        re.compile(r"flag provided but not defined|Incorrect Usage"),
        "This version of cloudflared does not support the options that port-hook uses.",
        _UPDATE,
    ),
)
# The disclaimer that cloudflared logs before every quick tunnel.
_DISCLAIMER = re.compile(r"Thank you for trying Cloudflare Tunnel")
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\S+ ")
_LAST_LINES = 3


def not_found() -> TunnelError:
    """Return the error for a PATH without cloudflared."""
    return TunnelError(
        "No cloudflared program was found on PATH.",
        hint="Install it: `brew install cloudflared`, `winget install --id Cloudflare.cloudflared`, on Debian and "
        "Ubuntu `sudo apt-get install cloudflared` from Cloudflare's repository (https://pkg.cloudflare.com), or "
        f"download it from {_RELEASES}. Or {_OTHERS}.",
    )


def cannot_run(program: str, reason: str) -> TunnelError:
    """Return the error for a program that the system cannot start; `reason` is the system's message."""
    return TunnelError(
        f"The cloudflared at {brief(program)} cannot be run: {brief(reason)}.",
        hint=f"Install the build for this machine from {_RELEASES}. Or {_OTHERS}.",
    )


def too_old(fact: str) -> TunnelError:
    """Return the error for a cloudflared that does not report a `fact` that port-hook needs."""
    return TunnelError(f"This version of cloudflared does not report {fact}.", hint=_UPDATE)


def explain(log: Iterable[str], *, timeout_s: float | None = None) -> TunnelError:
    """Return the error to raise. `log` holds cloudflared's last lines, which may be unprintable.

    `timeout_s` is the timeout that was exceeded; None means that cloudflared ended by itself.
    """
    log = list(log)
    for pattern, happened, hint in _KNOWN:
        if any(pattern.search(line) for line in log):
            return TunnelError(happened + _last_output(log), hint=hint)
    if timeout_s is None:
        return TunnelError(
            "cloudflared ended before the tunnel was open." + _last_output(log), hint=f"Try again, or {_OTHERS}."
        )
    return TunnelError(
        f"cloudflared did not connect to Cloudflare within {timeout_s:g} s." + _last_output(log),
        hint="It must be able to connect to port 7844 with UDP or TCP. If UDP is blocked, set "
        f"TUNNEL_TRANSPORT_PROTOCOL=http2 in the environment. Or {_OTHERS}.",
    )


def last_line(log: Iterable[str]) -> str:
    """Return the last line of the log that is not empty, printable; "" if there is none."""
    lines = _messages(log)
    return lines[-1] if lines else ""


def _last_output(log: Iterable[str]) -> str:
    lines = [f"\n  {line}" for line in _messages(log)[-_LAST_LINES:]]
    return " Its last output:" + "".join(lines) if lines else ""


def _messages(log: Iterable[str]) -> list[str]:
    lines = (_TIME.sub("", line).strip() for line in log if not _DISCLAIMER.search(line))
    return [brief(line, 200) for line in lines if line]
