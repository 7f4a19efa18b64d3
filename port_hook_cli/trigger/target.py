"""Where the request of a run is sent: to another machine only if the user names it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from port_hook_cli.actions.request import is_url
from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.forwarding import is_on_this_machine, target_url
from port_hook_cli.runs.urls import is_in_ports_own


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTarget:
    """Where requests are sent. `to` and the values of `routes` are URLs.

    `routes` are by the identifier of the action or the workflow's node. Without a target, a request goes to the URL of
    its action, which must be on this machine unless `to_its_url` says that the user wants it.
    """

    to: str | None = None
    routes: Mapping[str, str] = field(default_factory=dict)
    to_its_url: bool = False

    def chosen(self, identifier: str) -> str | None:
        """Return the URL that the user chose for an action or a node, or None."""
        return self.routes.get(identifier, self.to)

    def url_for(self, identifier: str, url: str, *, owner: str = "The action") -> str:
        """Return the URL to send to: the chosen one, with the path and query of `url` unless it has its own, or `url`.

        With a chosen target, `url` can be any text, such as a placeholder. `owner` begins an error's sentence.

        Raises UsageError if `url` is on another machine and the user did not ask for it. Only Port itself, or a
        sandbox, can add the credentials to a call of Port's own API.
        """
        if (to := self.chosen(identifier)) is not None:
            parts = urlsplit(url if is_url(url) else "")
            return target_url(to, f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}")
        if self.to_its_url or is_on_this_machine(url):
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
