"""Where a triggered request is sent: to another machine only if the user names it."""

from __future__ import annotations

from urllib.parse import urlsplit

from port_hook_cli.actions.request import is_url
from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.forwarding import is_on_this_machine, target_url
from port_hook_cli.runs.urls import is_in_ports_own


def destination(url: str, to: str | None, *, to_its_url: bool = False, owner: str = "The action") -> str:
    """Return the URL to send to: `to`, with the path and query of `url` unless it has its own, otherwise `url`.

    With `to`, `url` can be any text, such as a placeholder.

    `owner` begins an error's sentence. Raises UsageError if that is another machine's URL and the user did not ask for
    it. Only Port itself, or a sandbox, can add the credentials to a call of Port's own API.
    """
    if to is not None:
        parts = urlsplit(url if is_url(url) else "")
        return target_url(to, f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}")
    if to_its_url or is_on_this_machine(url):
        return url
    if is_in_ports_own(url):
        raise UsageError(
            f"{owner}'s URL is {url}, which is Port's own API, so the request was not sent. "
            "Port calls its API with its own credentials.",
            hint="Run it with --via-port in a sandbox (`port-hook sandbox`), which answers such a call itself. "
            "Or choose a target with --to.",
        )
    raise UsageError(
        f"{owner}'s URL is {url}, which is not on this machine, so the request was not sent.",
        hint="Choose a target: --to 8000 for a local handler, or --to-its-url for that URL. Or use --dry-run.",
    )
