"""Where a triggered request goes: never to a machine that nobody has named."""

from __future__ import annotations

from urllib.parse import urlsplit

from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.forwarding import is_on_this_machine, target_url


def destination(url: str, to: str | None, *, to_its_url: bool = False, owner: str = "The action") -> str:
    """Return the URL to send to: `to`, with the path and query of `url` unless it has its own, or else `url`.

    `owner` begins an error's sentence. Raises UsageError for another machine's URL that the user did not name.
    """
    if to is not None:
        parts = urlsplit(url)
        return target_url(to, f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}")
    if to_its_url or is_on_this_machine(url):
        return url
    raise UsageError(
        f"{owner}'s URL is {url}, which is not on this machine, so nothing was sent.",
        hint="Say where to send it: --to 8000 for your handler here, --to-its-url for that URL, or --dry-run.",
    )
