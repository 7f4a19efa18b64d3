"""What cloudflared ran into, in plain words with the fix."""

from __future__ import annotations

import re
from collections.abc import Iterable

from port_hook_cli.errors import TunnelError
from port_hook_cli.text.safe import brief

_OTHERS = (
    "take another tunnel (`--tunnel localhost.run` wants no account and no program, `--tunnel ngrok` an account), "
    "or bring your own with `--public-url URL`"
)
_RELEASES = "https://github.com/cloudflare/cloudflared/releases"
_UPDATE = "Bring it up to date: `cloudflared update`, or the way it was installed."

# What the log says, most telling first. The words are cloudflared's own (cmd/cloudflared/tunnel/quick_tunnel.go) and
# those of Go's network library; 1015 is Cloudflare's "You are being rate limited".
_TOLD = (
    (
        re.compile(r"429 Too Many Requests|error code: 1015"),
        "Cloudflare opens no further quick tunnel for this network's address for now: too many were asked for (429).",
        f"Wait some minutes and try again. Until then, {_OTHERS}.",
    ),
    (
        re.compile(r"failed to request quick Tunnel: .*x509"),
        "cloudflared does not trust the certificate that answers for api.trycloudflare.com.",
        f"Something on this network reads TLS; SSL_CERT_FILE can name its certificate. Else {_OTHERS}.",
    ),
    (
        re.compile(r"failed to request quick Tunnel"),
        "cloudflared cannot reach Cloudflare from here.",
        f"Check the network; cloudflared uses no proxy. Else {_OTHERS}.",
    ),
    (
        re.compile(r"failed to \w+ quick.[Tt]unnel|QuickTunnel response"),
        "Cloudflare's service for quick tunnels answered with something else than a tunnel.",
        f"Try again; https://www.cloudflarestatus.com tells of outages. Else {_OTHERS}.",
    ),
    (
        re.compile(r"flag provided but not defined|Incorrect Usage"),
        "This cloudflared does not know the options that port-hook gives it.",
        _UPDATE,
    ),
)
# Written before every tunnel, and longer than all else.
_DISCLAIMER = re.compile(r"Thank you for trying Cloudflare Tunnel")
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\S+ ")
_LAST_WORDS = 3


def not_found() -> TunnelError:
    """Return the problem with a PATH that leads to no cloudflared."""
    return TunnelError(
        "There is no cloudflared on PATH.",
        hint="Install it: `brew install cloudflared`, `winget install --id Cloudflare.cloudflared`, on Debian and "
        "Ubuntu `sudo apt-get install cloudflared` once Cloudflare's source is set up (https://pkg.cloudflare.com), or "
        f"the program from {_RELEASES}. Else {_OTHERS}.",
    )


def cannot_run(program: str, words: str) -> TunnelError:
    """Return the problem with a program that the system does not start; `words` are the system's."""
    return TunnelError(
        f"The cloudflared at {brief(program)} cannot be run: {brief(words)}.",
        hint=f"Install the one for this machine from {_RELEASES}. Else {_OTHERS}.",
    )


def too_old(what: str) -> TunnelError:
    """Return the problem with a cloudflared that does not say `what` port-hook needs to know."""
    return TunnelError(f"This cloudflared does not say {what}.", hint=_UPDATE)


def explain(log: Iterable[str], *, timeout_s: float | None = None) -> TunnelError:
    """Return the problem to raise. `log` holds cloudflared's last lines; none need be printable.

    `timeout_s` is how long it was waited for; None says that cloudflared ended by itself.
    """
    log = list(log)
    for pattern, happened, hint in _TOLD:
        if any(pattern.search(line) for line in log):
            return TunnelError(happened + _last_words(log), hint=hint)
    if timeout_s is None:
        return TunnelError(
            "cloudflared ended before the tunnel was open." + _last_words(log), hint=f"Try again; {_OTHERS}."
        )
    return TunnelError(
        f"cloudflared did not connect to Cloudflare within {timeout_s:g} s." + _last_words(log),
        hint="It needs a way out to port 7844, by UDP or TCP; where UDP is blocked, put "
        f"TUNNEL_TRANSPORT_PROTOCOL=http2 into the environment. Else {_OTHERS}.",
    )


def last_word(log: Iterable[str]) -> str:
    """Return the last line of the log that says something, printable; "" for none."""
    lines = _telling(log)
    return lines[-1] if lines else ""


def _last_words(log: Iterable[str]) -> str:
    lines = [f"\n  {line}" for line in _telling(log)[-_LAST_WORDS:]]
    return " Its last words:" + "".join(lines) if lines else ""


def _telling(log: Iterable[str]) -> list[str]:
    lines = (_TIME.sub("", line).strip() for line in log if not _DISCLAIMER.search(line))
    return [brief(line, 200) for line in lines if line]
