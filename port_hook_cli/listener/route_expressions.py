"""Evaluates the jq expressions of `--route` over request bodies, in the process that renders templates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from port_hook_cli.actions.templates import UNDEFINED, JqError
from port_hook_cli.engines.renderer import shared_renderer
from port_hook_cli.errors import RenderError, UsageError
from port_hook_cli.text.safe import brief


class RouteExpressions:
    """Evaluates one expression at a time, so that the requests that wait for jq hold one thread together.

    `notice` is called once for each expression that fails.
    """

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice = notice
        self._turn = asyncio.Lock()
        self._reported: set[str] = set()

    async def check(self, expressions: Sequence[str]) -> None:
        """Start jq; raises UsageError for an expression that is not jq."""
        for expression in expressions:
            outcome = await self._evaluate(expression, None)
            if isinstance(outcome, JqError) and outcome.kind == "compile":
                raise UsageError(f"--route jq:{expression}: {outcome.message}.", hint="Correct the jq expression.")

    async def is_true(self, expression: str, document: Any) -> bool:
        """Return whether the first result is neither null nor false. An expression that fails is not true."""
        outcome = await self._evaluate(expression, document)
        if not isinstance(outcome, JqError):
            return outcome is not UNDEFINED and outcome is not None and outcome is not False
        if expression not in self._reported:
            self._reported.add(expression)
            self._notice(
                f"note: --route jq:{brief(expression)} failed and did not match: {brief(outcome.message)}; "
                "later failures of this route are not shown."
            )
        return False

    async def _evaluate(self, expression: str, document: Any) -> Any:
        async with self._turn:
            try:
                return (await shared_renderer().aevaluate([expression], document))[0]
            except RenderError as error:
                return JqError(expression, "run-time", error.message.rstrip("."))
            except OSError as error:
                return JqError(expression, "run-time", f"jq could not be started: {error.strerror or error}")
            except RecursionError:
                return JqError(expression, "run-time", "the body is nested too deeply")
