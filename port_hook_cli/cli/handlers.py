"""The handler for requests without --to: the rule with the project's file and the store, and the line about it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from port_hook_cli.cli.defaults import PROJECT_DEFAULTS
from port_hook_cli.invocations.handlers import Handler, HandlerRule
from port_hook_cli.terminal.console import sayer

if TYPE_CHECKING:
    import typer

    from port_hook_cli.runtime import Runtime

FindHandler = Callable[[str | None], str]
"""A function that takes the URL of the handler that got a request before, and returns the URL of the handler."""


def project_handler(ctx: typer.Context) -> Handler | None:
    """Return `handler` of the project's file, or None."""
    found = ctx.meta.get(PROJECT_DEFAULTS)
    return None if found is None else found.handler


def handler_finder(
    ctx: typer.Context, say: Callable[[str], None], store: Path | None = None, *, sends: bool = True
) -> FindHandler:
    """Return the function that finds the handler for `replay` and `trigger`, and passes a line about it to `say` once.

    Use it if the user chose no target.
    """
    runtime: Runtime = ctx.obj
    rule = HandlerRule(project=project_handler(ctx), last=lambda: _last_target(store, runtime), guesses=True)

    def find(own: str | None) -> str:
        handler = rule.find(own)
        assert handler is not None
        line = handler.line("Sending to" if sends else "Would send to")
        if runtime.memory.is_new(line):
            say(line)
        return handler.url

    return find


def _last_target(store: Path | None, runtime: Runtime) -> str | None:
    from port_hook_cli.captures.store.finder import CaptureUse, Finder

    with closing(Finder(store, runtime, CaptureUse.SEND, sayer(runtime))) as finder:
        return finder.last_target()
