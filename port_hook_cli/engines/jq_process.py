"""The jq process: jq holds Python's lock, so only ending the process can stop an endless expression.

The process runs as a script, `python -IS jq_process.py CONFIG`, and imports only the standard library and jq. CONFIG is
a JSON object with `jq` (the directory of the jq package), `timeout_s`, and `memory` and `max_result` in bytes. A
request is two lines on stdin: a JSON list of programs, and the data. The response has one line of JSON on stdout for
each program, written as soon as the program has finished: `["v", value]`, `["u"]` (undefined), or `["e", kind,
message]`.

The expressions are untrusted. The kernel's alarm ends the process if a request takes too long. The process has no
environment, and cannot open files if the system supports such a limit. The process ends when its stdin ends.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import sys
from collections import OrderedDict

TYPE_CHECKING = False  # like `typing.TYPE_CHECKING`: importing `typing` takes a tenth of the start
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

CLOSED_ENVIRONMENT = "def env: {}; {} as $ENV | "
"""The code that Port's engine puts before every expression. After it, `import` and `include` are invalid."""

# Port's engine caches the same number of compiled programs.
_MAX_PROGRAMS = 1000
# Eleven days, because the timers of all systems support this duration.
_MAX_ALARM_S = 1_000_000
# From this many characters of data, compiling the programs once more takes less time than parsing the data for each of
# them.
_LARGE = 100_000
# An expression can fail with a message of any length. Port-hook shows less of it.
_LONGEST_MESSAGE = 1_000
_NOTHING = object()
_UNDEFINED = '["u"]'
# This ends a program inside another program, even if the program ends with a comment and a backslash, which would
# continue the comment on the next line.
_END = "\n\n"
_CAUGHT = '{error: (if type == "string" then . else null end)}'


def main(config: dict[str, Any]) -> None:
    """Handle requests until stdin ends."""
    sys.path.append(config["jq"])
    import jq  # type: ignore[import-not-found]  # jq has no types

    _restrict(config["memory"])
    worker = _Worker(jq.compile, config["max_result"])
    sys.stdout.buffer.write(b"[]\n")
    sys.stdout.buffer.flush()
    requests = sys.stdin.buffer
    while programs := requests.readline():
        data = requests.readline().decode()
        _set_alarm(config["timeout_s"])
        for response in worker.responses(tuple(json.loads(programs)), data):
            _write(response)
        _set_alarm(0)


def _restrict(memory: int) -> None:
    """Keep jq programs from reading the environment, opening files, and using more than `memory` bytes of memory."""
    os.environ.clear()
    # If there is a home directory, jq reads definitions from ~/.jq.
    os.environ["HOME"] = os.devnull
    # The parent process handles Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":  # docs/reference/platforms.md lists the missing protections
        import resource

        for limit, maximum in (
            (resource.RLIMIT_CORE, 0),
            # Descriptors 0 to 2 are open, so no other descriptor can be opened.
            (resource.RLIMIT_NOFILE, 3),
            (resource.RLIMIT_AS, memory),
        ):
            # macOS rejects RLIMIT_AS.
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(limit, (maximum, maximum))


def _set_alarm(seconds: float) -> None:
    """End the process after `seconds`, even while it runs C code. 0 disables the alarm."""
    seconds = min(seconds, _MAX_ALARM_S)
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, seconds)
    elif seconds:
        faulthandler.dump_traceback_later(seconds, exit=True)
    else:
        faulthandler.cancel_dump_traceback_later()


def _write(response: str) -> None:
    rest = response.encode() + b"\n"
    while rest:
        rest = rest[os.write(1, rest) :]


class _Worker:
    """Compiles, caches and runs programs. A repeated list of programs runs as one program.

    Otherwise, jq parses the data for each program, which takes longer than most expressions.
    """

    def __init__(self, compile_program: Any, max_result: int) -> None:
        self._compile = compile_program
        self._max_result = max_result
        self._programs: OrderedDict[str, Any] = OrderedDict()
        self._joined: OrderedDict[tuple[str, ...], Any] = OrderedDict()

    def responses(self, programs: tuple[str, ...], data: str) -> Iterator[str]:
        """Yield the response for each program as soon as the program has finished."""
        done = 0
        with contextlib.suppress(ValueError, RecursionError, MemoryError):
            for response in self._joined_responses(programs, data):
                yield response
                done += 1
        for program in programs[done:]:
            yield self._respond(program, data)

    def _joined_responses(self, programs: tuple[str, ...], data: str) -> Iterator[str]:
        """Run `programs` as one program, and yield their responses.

        If jq ends early, the caller must run the remaining programs separately.
        """
        if programs not in self._joined:
            _put(self._joined, programs, None)
            if len(data) < _LARGE:
                return  # the list is compiled only when it is repeated
        if self._joined[programs] is None:
            self._joined[programs] = self._join(programs)
        self._joined.move_to_end(programs)
        if self._joined[programs] is not False:
            yield from map(self._read_joined, self._joined[programs].input_text(data))

    def _join(self, programs: tuple[str, ...]) -> Any:
        if len(programs) == 1 or any(_must_run_alone(program) for program in programs):
            return False
        try:
            for program in programs:
                self._compiled(program)
            return self._compile(
                ",".join(f"(try [first({CLOSED_ENVIRONMENT}{one}{_END})] catch {_CAUGHT})" for one in programs)
            )
        except ValueError:
            return False

    def _read_joined(self, result: Any) -> str:
        if isinstance(result, list):
            return self._success(result[0]) if result else _UNDEFINED
        return _failure(result["error"])

    def _respond(self, program: str, data: str) -> str:
        try:
            compiled = self._compiled(program)
        except ValueError as error:
            return json.dumps(["e", "compile", str(error)])
        try:
            result = next(iter(compiled.input_text(data)), _NOTHING)
            return _UNDEFINED if result is _NOTHING else self._success(result)
        except ValueError as error:
            return _failure(str(error) if self._is_text(str(error), program, data) else None)
        except (RecursionError, MemoryError) as error:
            return _failure(f"the result is {'nested too deep' if isinstance(error, RecursionError) else 'too large'}")

    def _compiled(self, program: str) -> Any:
        compiled = self._programs.get(program)
        if compiled is None:
            try:
                compiled = self._compile(CLOSED_ENVIRONMENT + program)
            except ValueError as error:
                compiled = error
            _put(self._programs, program, compiled)
        else:
            self._programs.move_to_end(program)
        if isinstance(compiled, ValueError):
            raise compiled
        return compiled

    def _success(self, value: Any) -> str:
        response = json.dumps(["v", value])
        if len(response) > self._max_result:
            return _failure(f"the result is longer than {self._max_result} bytes")
        return response

    def _is_text(self, message: str, program: str, data: str) -> bool:
        """Return whether an error's message is a string, not another value as text."""
        if message[:1] not in '{[tfn"-0123456789':
            return True
        try:
            caught = self._compile(f"try ({CLOSED_ENVIRONMENT}{program}{_END}) catch {_CAUGHT}")
            return [result for result in caught.input_text(data) if result == {"error": None}] == []
        except ValueError:
            return True


def _put(cache: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    cache[key] = value
    if len(cache) > _MAX_PROGRAMS:
        cache.popitem(last=False)


def _must_run_alone(program: str) -> bool:
    """Return whether a program uses its position in the text, or ends jq."""
    return any(word in program for word in ("$__loc__", "halt"))


def _failure(message: str | None) -> str:
    """Return the response for an error.

    In Port's engine, an error whose message is not a string results in undefined.
    """
    return _UNDEFINED if message is None else json.dumps(["e", "run-time", message[:_LONGEST_MESSAGE]])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
