"""Evaluates the expressions of the execution agent's mapping. Its environment is open, unlike that of templates."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from threading import Event
from typing import Any

from port_hook_cli.actions.templates import UNDEFINED, JqError
from port_hook_cli.agent.expressions import Evaluated, as_python, is_blank
from port_hook_cli.agent.jq16 import newer_than_agent
from port_hook_cli.engines.jq_owner import JqOwner
from port_hook_cli.engines.jq_worker import DEFAULT_TIMEOUT_S
from port_hook_cli.errors import RenderError

# The data has the environment, not the program: an error shows the program.
_OPEN = ".environment as $ENV | .document | def env: $ENV; "
# Takes all results, because an error after the first one counts. The line feed ends a comment in the expression.
_ALL = f"{_OPEN}[(%s\n\n)]"
_NOTHING = '{"document": null, "environment": {}}'
_COLUMN = re.compile(r"(line 1, column )(\d+)")


class AgentJq(JqOwner):
    """Evaluates expressions as the agent does. Use it as a context manager, or call `close`.

    `environment` has the variables that expressions see; all others are missing.
    """

    def __init__(self, environment: Mapping[str, str], *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Create an evaluator. jq starts with the first expression."""
        super().__init__(timeout_s=timeout_s)
        self._environment = dict(environment)
        self._stopped = Event()

    def close(self) -> None:
        """End the process of jq. If another thread is evaluating, it gets a RenderError."""
        self._worker.stop(self._stopped)
        super().close()

    def evaluate(self, expressions: Sequence[str], document: Any) -> list[Evaluated]:
        """Return the result of each expression over `document`.

        Raises RenderError for one that takes too long or uses too much memory: the agent would wait for it.
        """
        try:
            data = _text({"document": document, "environment": self._environment})
        except UnicodeEncodeError as error:  # pyjq cannot read a lone surrogate
            return [Evaluated(expression=each, error=f"UnicodeEncodeError: {error.reason}") for each in expressions]
        codes = ["." if is_blank(each) else each for each in expressions]
        programs = [program for code in codes for program in (f"{_OPEN}{code}", _ALL % code)]
        try:
            results = self._worker.evaluate(programs, data, stopped=self._stopped)
        except RenderError as error:
            raise _as_written(error, expressions) from error
        pairs = zip(expressions, results[::2], results[1::2], strict=True)
        return [_evaluated(expression, alone, all_) for expression, alone, all_ in pairs]

    def compile_errors(self, expressions: Sequence[str]) -> list[str]:
        """Return why the agent's jq cannot compile each expression, or "". No expression is run."""
        codes = ["." if is_blank(each) else each for each in expressions]
        # The second part is compiled, but never runs.
        results = self._worker.evaluate([f"{_OPEN}empty | ({code}\n\n)" for code in codes], _NOTHING) if codes else []
        # If the expression closes the bracket early, its error has another column: compile it alone.
        errors = [result.message if isinstance(result, JqError) else "" for result in results]
        return [
            (error and self._plain_error(code)) or newer_than_agent(code)
            for code, error in zip(codes, errors, strict=True)
        ]

    def _plain_error(self, code: str) -> str:
        (result,) = self._worker.evaluate([f"{_OPEN}{code}"], _NOTHING)
        return _shifted(result.message) if isinstance(result, JqError) else ""


def _text(data: Any) -> str:
    """Return data as a line of JSON, with keys in their order and every number as Python writes it."""
    text = json.dumps(data, ensure_ascii=False)
    text.encode()
    return text


def _evaluated(expression: str, alone: Any, all_: Any) -> Evaluated:
    if isinstance(alone, JqError) and alone.kind == "compile":
        return Evaluated(expression=expression, error=_shifted(alone.message))
    if newer := newer_than_agent(expression):
        return Evaluated(expression=expression, error=newer)
    if isinstance(all_, JqError):
        return Evaluated(expression=expression, error=all_.message)
    if all_ is UNDEFINED:  # an error whose message is not text
        return Evaluated(expression=expression, error="jq: error: the message is not text")
    try:
        return Evaluated(expression=expression, value=as_python(all_)[0] if all_ else None, is_empty=not all_)
    except OverflowError as error:
        return Evaluated(expression=expression, error=f"OverflowError: {error}")


def _shifted(message: str) -> str:
    """Return a compile error with the column in the expression itself."""
    return _COLUMN.sub(lambda match: f"{match[1]}{int(match[2]) - len(_OPEN)}", message)


def _as_written(error: RenderError, expressions: Sequence[str]) -> RenderError:
    """Return an error that shows expressions as they are in the mapping, longest first: one may contain another."""
    message = error.message
    for expression in sorted(expressions, key=len, reverse=True):
        for program in (_ALL % expression, f"{_OPEN}{expression}"):
            message = message.replace(f"{{{{ {program.strip()} }}}}", f"`{expression.strip()}`")
    return RenderError(message, hint="Correct the expression: the agent would wait for it without a limit.")
