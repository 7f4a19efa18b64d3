"""Evaluates the expressions of the execution agent's mapping. Its environment is open, unlike in templates.

The agent's jq is 1.5. Each expression is written for port-hook's jq first (`prediction.jq15`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from threading import Event
from typing import Any

from port_hook_cli.actions.templates import UNDEFINED, JqError
from port_hook_cli.engines.jq_worker import DEFAULT_TIMEOUT_S, JqOwner
from port_hook_cli.errors import RenderError
from port_hook_cli.prediction.expressions import Evaluated, Stop, as_python, fits_in_a_double
from port_hook_cli.prediction.jq15 import AgentProgram, agent_program
from port_hook_cli.prediction.jq15_functions import definitions_of
from port_hook_cli.text.safe import shorten

# The data has the environment, not the program: an error shows the program.
_OPEN = ".environment as $__ph_environment | .document | "
_DOUBLES = f"{_OPEN}{definitions_of(frozenset({'__ph_doubles'}))}__ph_doubles | "
# Without a result, the program ran `halt`: jq 1.5 crashes or hangs there.
_FAILED = 'def __ph_failed: error(if type == "string" then . else "the message is not text" end); '
# Takes all results, because an error after the first result counts.
_ALL = "(try [(%s)%s] catch __ph_failed)"
_CRASH, _NO_CRASH = "def __ph_crash: halt;", 'def __ph_crash: error("it crashes");'
_NOTHING = '{"document": null, "environment": {}}'
_MOST_SHOWN = 100
_COLUMN = re.compile(r"(line 1, column )(\d+)")


class AgentJq(JqOwner):
    """Evaluates expressions like the agent. Use it as a context manager, or call `close`.

    `environment` has the variables that expressions see. All others are missing.
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

        Raises RenderError for an expression that takes too long or uses too much memory (the agent would wait for it),
        or that is nested too deeply to be predicted.
        """
        for expression in expressions:
            if agent_program(expression).is_too_deep:
                shown = shorten(expression.strip(), _MOST_SHOWN)
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
        """Return why the agent's jq cannot compile each expression, or "". Doesn't run any expression."""
        errors = iter(self._faults(expressions))
        return [next(errors) if agent_program(each).fault else "" for each in expressions]

    def _run(self, programs: Sequence[str], data: str, expressions: Sequence[str]) -> list[Any]:
        try:
            return self._worker.evaluate(programs, data, stopped=self._stopped)
        except RenderError as error:
            raise _as_written(error, programs, expressions) from error

    def _stop(self, expression: str, program: AgentProgram, opening: str, data: str) -> Stop:
        """Return the agent's behavior for a stopped `program`. Without crashes, only a hang can stop it."""
        text = _program(program, opening).replace(_CRASH, _NO_CRASH)
        return Stop.HANG if self._run([text], data, [expression]) == [UNDEFINED] else Stop.CRASH

    def _faults(self, expressions: Sequence[str]) -> list[str]:
        """Return the reason for each expression that jq 1.5 cannot compile.

        If port-hook's jq cannot compile it either, the reason is jq's message, which contains the line and the column.
        """
        faulty = [each for each in expressions if agent_program(each).fault]
        wrapped = self._worker.evaluate([f"{_OPEN}empty | ({each}\n\n)" for each in faulty], _NOTHING)
        # Alone, its error has the right column. It does not run: it cannot be compiled.
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
    """Return data as a line of JSON, with keys in their order and every number in Python's form."""
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
    """Return a compile error with the column in the expression itself."""
    return _COLUMN.sub(lambda match: f"{match[1]}{int(match[2]) - len(_OPEN)}", message)


def _as_written(error: RenderError, programs: Sequence[str], expressions: Sequence[str]) -> RenderError:
    """Return an error with the mapping's expressions instead of the rewritten programs."""
    message = error.message
    for program, expression in zip(programs, expressions, strict=True):
        message = message.replace(f"{{{{ {program.strip()} }}}}", f"`{expression.strip()}`")
    return RenderError(message, hint="Correct the expression. The agent would wait for it indefinitely.")
