"""What `--tunnel` accepts for a relay: the URL of a channel."""

from __future__ import annotations

from urllib.parse import urlsplit

from port_hook_cli.errors import UsageError

_HINT = "Write it as https://smee.io/CHANNEL, or https://smee.io/new for a new channel."


def read_channel(text: str) -> str | None:
    """Return the channel's URL that `--tunnel TEXT` names, or None; raises UsageError for a URL without a channel."""
    if not text.startswith(("https://", "http://")):
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        raise UsageError(f"--tunnel {text!r} is not a valid URL.", hint=_HINT) from None
    if not parts.hostname or not parts.path.strip("/"):
        raise UsageError(f"--tunnel {text!r} does not name a channel.", hint=_HINT)
    return text.rstrip("/")
