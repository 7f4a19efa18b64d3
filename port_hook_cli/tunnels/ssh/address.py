"""What `--tunnel` accepts for SSH: an `ssh://` URL or the name of a public service."""

from __future__ import annotations

from urllib.parse import urlsplit

from port_hook_cli.errors import UsageError

_SERVICES = ("localhost.run", "serveo.net", "a.pinggy.io")
_OTHER_NAMES = {"serveo": "serveo.net", "pinggy": "a.pinggy.io", "pinggy.io": "a.pinggy.io"}
_HINT = "Write it as ssh://USER@HOST, ssh://USER@HOST:PORT or ssh://USER@HOST:PORT/REMOTE_PORT."
_MAX_PORT = 65535


def read_server(text: str) -> str | None:
    """Return the service or `ssh://` URL that `--tunnel TEXT` names, or None; raises UsageError for a bad URL."""
    service = _OTHER_NAMES.get(text, text)
    if service in _SERVICES:
        return service
    if text == "ssh":
        raise UsageError("--tunnel ssh does not name a server.", hint=f"{_HINT} Or use {' or '.join(_SERVICES)}.")
    return _checked(text) if text.startswith("ssh://") else None


def _checked(text: str) -> str:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise UsageError(f"--tunnel {text!r} has a port that is not from 1 to {_MAX_PORT}.", hint=_HINT) from None
    if port == 0:
        raise UsageError(f"--tunnel {text!r} has a port that is not from 1 to {_MAX_PORT}.", hint=_HINT)
    if not parts.hostname:
        raise UsageError(f"--tunnel {text!r} does not name a server.", hint=_HINT)
    if parts.password is not None:
        raise UsageError(
            "The URL in --tunnel contains a password, and other users of this machine can read command lines.",
            hint="Leave out the password, and use a key or your SSH agent.",
        )
    remote = parts.path.strip("/")
    if parts.query or parts.fragment or (remote and not (remote.isdecimal() and int(remote) <= _MAX_PORT)):
        raise UsageError(f"--tunnel {text!r} has more than user, host, port and remote port.", hint=_HINT)
    return text
