"""The handler that gets a request if the user chose no target: one rule for every command that sends.

Captures, stores and project files may come from someone else, who must not choose another machine. So their handlers
count only on this machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.models import Capture
from port_hook_cli.invocations.targets import BadTarget, is_on_this_machine, parse_target

DEFAULT_HANDLER = "http://127.0.0.1:8000"


class Handler(NamedTuple):
    """The URL of a handler on this machine, and why it is used. `reason` is "" for the default."""

    url: str
    reason: str = ""

    def line(self, verb: str) -> str:
        """Return a line for the user that starts with `verb`, such as `Sending to`."""
        if not self.reason:
            return f"{verb} {self.url}/ (default; --to changes it)"
        return f"{verb} {self.url}, {self.reason}."


@frozen(kw_only=True)
class HandlerRule:
    """Finds the handler of requests without a chosen target.

    `project` is the handler in the project's file. `last` returns the target of the store's last listener, and is
    called only if needed. With `guesses`, the default handler is used last.
    """

    project: Handler | None = None
    last: Callable[[], str | None] = lambda: None
    guesses: bool = False

    def find(self, own: str | None = None) -> Handler | None:
        """Return the handler, or None. `own` is the URL of the handler that got the request before."""
        if url := handler_here(own):
            return Handler(url, "where the capture was forwarded")
        if self.project is not None:
            return self.project
        if url := handler_here(self.last()):
            return Handler(url, "where the last `listen` with this store forwarded")
        return Handler(DEFAULT_HANDLER) if self.guesses else None

    def url(self, own: str | None = None) -> str | None:
        """Return the URL of the handler that `find` returns, or None."""
        found = self.find(own)
        return None if found is None else found.url


def handler_of(capture: Capture) -> str | None:
    """Return the URL of the handler that got a capture, if it is on this machine."""
    return handler_here(capture.delivery.url) if capture.delivery else None


def handler_here(target: str | None) -> str | None:
    """Return a target as a URL if it is on this machine, otherwise None."""
    try:
        url = parse_target(target or "")
    except BadTarget:
        return None
    return url if is_on_this_machine(url) else None
