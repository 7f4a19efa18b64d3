"""Evaluates the expressions of the execution agent's mapping. Unlike templates, these can read environment variables.

The agent uses jq 1.5. So each expression is first rewritten for port-hook's jq (`prediction.jq15`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from threading import Event
from typing import Any

from port_hook_cli.actions.templates import UNDEFINED, JqError, shown_expression
from port_hook_cli.engines.jq_worker import DEFAULT_TIMEOUT_S, JqOwner
from port_hook_cli.errors import RenderError
from port_hook_cli.prediction.expressions import Evaluated, Stop, as_python, fits_in_a_double
from port_hook_cli.prediction.jq15 import AgentProgram, agent_program
from port_hook_cli.prediction.jq15_functions import definitions_of
from port_hook_cli.text.secret import cut_message

# The environment is in the data instead of the program, because an error shows the program.
_OPEN = ".environment as $__ph_environment | .document | "
_DOUBLES = f"{_OPEN}{definitions_of(frozenset({'__ph_doubles'}))}__ph_doubles | "
# A program without a result ran `halt`, with which jq 1.5 crashes or hangs.
_FAILED = 'def __ph_failed: error(if type == "string" then . else "the message is not text" end); '
# All results are taken, because an error after the first result counts.
_ALL = "(try [(%s)%s] catch __ph_failed)"
_CRASH, _NO_CRASH = "def __ph_crash: halt;", 'def __ph_crash: error("it crashes");'
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
        for it. Also raises RenderError for an expression whose result cannot be predicted, because its nesting is too
        deep.
        """
        for expression in expressions:
            if agent_program(expression).is_too_deep:
                shown = cut_message(expression.strip())
                raise RenderError(f"`{shown}` is nested too deeply to be predicted.", hint="Split the expression.")
        try:
            data = _text({"document": document, "environment": self._environment})
            opening = _OPEN if fits_in_a_double(document) else _DOUBLES
        except (UnicodeEncodeError, OverflowError) as error:  # pyjq cannot read a lone surrogate or this number
            reason = error.reason if isinstance(error, UnicodeEncodeError) else str(error)
            fault = f"{type(error).__name__}: {reason}"
            return [Evaluated(expression=each, error=fault) for each in expressions]
        programs = [agent_program(each) for each in expressions]
        texts = [_program(program, opening) for program in programs if not program.fault]
        results = iter(self._run(texts, data, [each for each in expressions if not agent_program(each).fault]))
        errors = iter(self._faults(expressions))
        evaluated = []
        for expression, program in zip(expressions, programs, strict=True):
            if program.fault:
                evaluated.append(Evaluated(expression=expression, error=next(errors)))
                continue
            result = next(results)
            if result is UNDEFINED:
                evaluated.append(_stopped(expression, self._stop(expression, program, opening, data)))
            else:
                evaluated.append(_evaluated(expression, result))
        return evaluated

    def compile_errors(self, expressions: Sequence[str]) -> list[str]:
        """Return, for each expression, why the agent's jq cannot compile it, or "".

        Expressions are compiled but not run.
        """
        errors = iter(self._faults(expressions))
        return [next(errors) if agent_program(each).fault else "" for each in expressions]

    def _run(self, programs: Sequence[str], data: str, expressions: Sequence[str]) -> list[Any]:
        try:
            return self._worker.evaluate(programs, data, stopped=self._stopped)
        except RenderError as error:
            raise _as_written(error, programs, expressions) from error

    def _stop(self, expression: str, program: AgentProgram, opening: str, data: str) -> Stop:
        """Return how the agent's jq fails in a stopped `program`.

        The failure is a hang if the program still stops after its crashes are replaced by errors.
        """
        text = _program(program, opening).replace(_CRASH, _NO_CRASH)
        return Stop.HANG if self._run([text], data, [expression]) == [UNDEFINED] else Stop.CRASH

    def _faults(self, expressions: Sequence[str]) -> list[str]:
        """Return the reason for each expression that jq 1.5 cannot compile.

        If port-hook's jq cannot compile the expression either, the reason is jq's message, which contains the line and
        the column.
        """
        faulty = [each for each in expressions if agent_program(each).fault]
        wrapped = self._worker.evaluate([f"{_OPEN}empty | ({each}\n\n)" for each in faulty], _NOTHING)
        # The error of the expression alone has the right column. The expression never runs, because it cannot be
        # compiled.
        alone = [f"{_OPEN}{each}" for each, result in zip(faulty, wrapped, strict=True) if isinstance(result, JqError)]
        errors = iter(self._worker.evaluate(alone, _NOTHING))
        found = [next(errors) if isinstance(result, JqError) else None for result in wrapped]
        return [
            _shifted(result.message)
            if isinstance(result, JqError)
            else f"jq 1.5, which the agent uses, {agent_program(each).fault}"
            for each, result in zip(faulty, found, strict=True)
        ]


def _program(program: AgentProgram, opening: str) -> str:
    special = " | __ph_special" if program.is_special else ""
    return f"{opening}{_FAILED}{program.definitions}{_ALL % (program.text, special)}"


def _text(data: Any) -> str:
    """Return data as a line of JSON. Keys stay in their order, and numbers are in Python's notation."""
    text = json.dumps(data, ensure_ascii=False)
    text.encode()
    return text


def _evaluated(expression: str, result: Any) -> Evaluated:
    if isinstance(result, JqError):
        return Evaluated(expression=expression, error=result.message)
    return Evaluated(expression=expression, value=as_python(result[0]) if result else None, is_empty=not result)


def _stopped(expression: str, stop: Stop) -> Evaluated:
    return Evaluated(expression=expression, error=f"jq 1.5, which the agent uses, {stop} on it", stop=stop)


def _shifted(message: str) -> str:
    """Return a compile error whose column is relative to the expression itself."""
    return _COLUMN.sub(lambda match: f"{match[1]}{int(match[2]) - len(_OPEN)}", message)


def _as_written(error: RenderError, programs: Sequence[str], expressions: Sequence[str]) -> RenderError:
    """Return an error that shows the mapping's expressions instead of the rewritten programs."""
    message = error.message
    for program, expression in zip(programs, expressions, strict=True):
        message = message.replace(shown_expression(program), f"`{cut_message(expression.strip())}`")
    return RenderError(message, hint="Correct the expression. The agent would wait for it indefinitely.")
