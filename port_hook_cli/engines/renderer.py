"""Renders Port's templates: parses them and evaluates their expressions with jq in a separate process."""

from __future__ import annotations

import atexit
import os
import threading
from functools import partial
from typing import Any

from port_hook_cli.actions.template_braces import BadTemplate
from port_hook_cli.actions.templates import ExpressionFailed, Rendering, prepare
from port_hook_cli.engines.jq_owner import JqOwner, as_json_text
from port_hook_cli.engines.outcomes import shown_expression
from port_hook_cli.errors import RenderError


class Renderer(JqOwner):
    """Renders templates with one jq process. Use it as a context manager, or call `close`.

    Threads and tasks can share a renderer. `timeout_s` is the limit in seconds for all expressions of one template.
    """

    def abandon(self) -> None:
        """Release jq in a forked process without ending jq, because the parent process still uses jq."""
        self._worker.abandon()

    def start(self) -> None:
        """Start jq without waiting for it, so that the first expression waits less."""
        self._worker.start()

    def render(self, template: Any, data: Any, *, strict: bool = False) -> Any:
        """Return the JSON value that Port renders from `template` and `data`, or UNDEFINED.

        Both arguments are JSON values. Raises RenderError for a template that Port rejects, that takes too long or that
        uses too much memory. With `strict`, also raises RenderError for an expression that fails.
        """
        return self.render_and_tell(template, data, strict=strict).value

    def render_and_tell(self, template: Any, data: Any, *, strict: bool = False) -> Rendering:
        """Render like `render`, but also return the expressions that failed and became null."""
        return self._render(template, data, strict=strict, stopped=None)

    def _render(self, template: Any, data: Any, *, strict: bool, stopped: threading.Event | None) -> Rendering:
        try:
            prepared = prepare(template)
            programs = prepared.programs
            outcomes = self._worker.evaluate(programs, as_json_text(data), stopped=stopped) if programs else []
            return prepared.assemble(outcomes, strict=strict)
        except BadTemplate as error:
            raise RenderError(
                f"{error}.", hint="Correct the template. Expressions are jq, such as {{ .inputs.cpu }}."
            ) from error
        except RecursionError as error:
            raise RenderError(
                "The result is nested too deep.", hint="Reduce the nesting in the results of the expressions."
            ) from error
        except ExpressionFailed as error:
            raise RenderError(
                f"{shown_expression(error.error.expression)}: {error}",
                hint="Correct the expression. Without --strict, it becomes null, as in Port.",
            ) from error

    async def arender_and_tell(self, template: Any, data: Any, *, strict: bool = False) -> Rendering:
        """Render like `render_and_tell`, without blocking the event loop. A cancellation stops jq immediately."""
        return await self.aside(partial(self._render, template, data, strict=strict))


class _Shared:
    """The renderer of this process. A forked process gets its own renderer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._renderer: Renderer | None = None
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def renderer(self) -> Renderer:
        with self._lock:
            if self._renderer is None:
                self._renderer = Renderer()
            return self._renderer

    def close(self) -> None:
        with self._lock:
            renderer, self._renderer = self._renderer, None
        if renderer is not None:
            renderer.close()

    def _forked(self) -> None:
        self._lock = threading.Lock()  # another thread of the parent process may have held the lock
        renderer, self._renderer = self._renderer, None
        if renderer is not None:
            renderer.abandon()


_shared = _Shared()


def shared_renderer() -> Renderer:
    """Return the renderer that all callers in this process share. The renderer ends with the process."""
    return _shared.renderer()
