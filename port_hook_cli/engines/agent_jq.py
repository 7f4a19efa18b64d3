"""Evaluates the expressions of the execution agent's mapping. Unlike templates, these can read environment variables.

The agent uses jq 1.5, and port-hook a newer jq. `prediction.jq15` knows what jq 1.5 lacks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from threading import Event
from typing import Any

from port_hook_cli.engines.jq_owner import JqOwner
from port_hook_cli.engines.jq_worker import DEFAULT_TIMEOUT_S
from port_hook_cli.engines.outcomes import UNDEFINED, JqError, shown_expression
from port_hook_cli.errors import ExpressionStoppedError, RenderError
from port_hook_cli.prediction.expressions import Evaluated, as_python, fits_in_a_double
from port_hook_cli.prediction.jq15 import DEFINITIONS, as_newer_jq, jq15_fault
from port_hook_cli.text.secret import cut_message

# The environment is in the data instead of the program, because an error shows the program.
_OPEN = f".environment as $__ph_environment | .document | def env: $__ph_environment; {DEFINITIONS}"
# The addition rounds a number to 53 bits.
_DOUBLES = f'{_OPEN}walk(if type == "number" then . + 0 else . end) | '
_UNRUN = f"{_OPEN}empty | "
_NOTHING = '{"document": null, "environment": {}}'
_COLUMN = re.compile(r"(line 1, column )(\d+)")


class AgentJq(JqOwner):
    """Evaluates expressions like the agent. Use it as a context manager, or call `close`.

    `environment` contains all variables that expressions see.
    """

    def __init__(self, environment: Mapping[str, str], *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Create an evaluator. The first expression starts the jq process."""
        super().__init__(timeout_s=timeout_s)
        self._environment = dict(environment)
        self._stopped = Event()

    def close(self) -> None:
        """End the jq process. If another thread is evaluating an expression, that thread gets a RenderError."""
        self._worker.stop(self._stopped)
        super().close()

    def evaluate(self, expressions: Sequence[str], document: Any) -> list[Evaluated]:
        """Return the result of each expression over `document`.

        Raises RenderError for an expression that takes too long or uses too much memory, because the agent would wait
        for it.
        """
        try:
            data = _text({"document": document, "environment": self._environment})
            opening = _OPEN if fits_in_a_double(document) else _DOUBLES
        except (UnicodeEncodeError, OverflowError) as error:  # pyjq cannot read a lone surrogate or this number
            reason = error.reason if isinstance(error, UnicodeEncodeError) else str(error)
            fault = f"{type(error).__name__}: {reason}"
            return [Evaluated(expression=each, error=fault) for each in expressions]
        return self._run(opening, expressions, data)

    def compile_errors(self, expressions: Sequence[str]) -> list[str]:
        """Return, for each expression, why the agent's jq cannot compile it, or "".

        Expressions are compiled but not run.
        """
        return [result.error for result in self._run(_UNRUN, expressions, _NOTHING)]

    def _run(self, opening: str, expressions: Sequence[str], data: str) -> list[Evaluated]:
        faults = {each: fault for each in expressions if (fault := jq15_fault(each))}
        known = [each for each in expressions if each not in faults]
        programs = [opening + as_newer_jq(each) for each in known]
        try:
            results = iter(self._worker.evaluate(programs, data, stopped=self._stopped))
        except ExpressionStoppedError as error:
            raise _as_written(error, known[programs.index(error.program)]) from error
        return [
            Evaluated(expression=each, error=f"jq 1.5, which the agent uses, {faults[each]}")
            if each in faults
            else _evaluated(each, next(results), len(opening))
            for each in expressions
        ]


def _text(data: Any) -> str:
    """Return data as a line of JSON. Keys stay in their order, and numbers are in Python's notation."""
    text = json.dumps(data, ensure_ascii=False)
    text.encode()
    return text


def _evaluated(expression: str, result: Any, margin: int) -> Evaluated:
    if isinstance(result, JqError):
        return Evaluated(expression=expression, error=_shifted(result.message, margin))
    is_empty = result is UNDEFINED
    return Evaluated(expression=expression, value=None if is_empty else as_python(result), is_empty=is_empty)


def _shifted(message: str, margin: int) -> str:
    """Return a compile error whose column is relative to the expression itself."""
    return _COLUMN.sub(lambda match: f"{match[1]}{int(match[2]) - margin}", message)


def _as_written(error: ExpressionStoppedError, expression: str) -> RenderError:
    """Return an error that shows the mapping's expression instead of the program."""
    message = error.message.replace(shown_expression(error.program), f"`{cut_message(expression.strip())}`")
    return RenderError(message, hint="Correct the expression. The agent would wait for it indefinitely.")
