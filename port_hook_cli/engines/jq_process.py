"""The process that runs jq: jq holds Python's lock, so an expression that never ends could not be stopped elsewhere.

Run as a script, `python -IS jq_process.py ORDER`; it knows the standard library and jq only. ORDER is one JSON object:
`jq`, the folder jq is in, `timeout_s`, `memory` and `longest` (bytes). A request is two lines on stdin, a JSON list of
programs and the data; each program is answered by a line of JSON on stdout as soon as it has ended: `["v", value]`,
`["u"]` (undefined), or `["e", kind, message]`.

The expressions are not trusted. The kernel's alarm ends the process when a request takes too long. It has no
environment, and where there are limits it can open no file once it runs. It ends when its stdin does.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import sys
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

CLOSED_ENVIRONMENT = "def env: {}; {} as $ENV | "
"""What Port's engine puts before every expression. Behind it no `import` or `include` can stand."""

# As many programs as Port's engine keeps compiled.
_MOST_PROGRAMS = 1000
# Seconds: some days, which every system's timer can count.
_LONGEST_ALARM = 1_000_000
_NOTHING = object()
_UNDEFINED = '["u"]'
# Ends a program that is part of another: also its comment, which a backslash leads on to the next line.
_END = "\n\n"
_CAUGHT = '{error: (if type == "string" then . else null end)}'


def main(order: dict[str, Any]) -> None:
    """Answer requests until stdin ends."""
    sys.path.append(order["jq"])
    import jq  # type: ignore[import-not-found]  # it has no types

    _shut_in(order["memory"])
    worker = _Worker(jq.compile, order["longest"])
    sys.stdout.buffer.write(b"[]\n")
    sys.stdout.buffer.flush()
    requests = sys.stdin.buffer
    while programs := requests.readline():
        data = requests.readline().decode()
        _set_alarm(order["timeout_s"])
        for answer in worker.answers(tuple(json.loads(programs)), data):
            _write(answer)
        _set_alarm(0)


def _shut_in(memory: int) -> None:
    """Take away what a jq program could reach: the environment, files, memory beyond `memory` bytes."""
    os.environ.clear()
    # jq reads ~/.jq, a file of definitions, where there is a home.
    os.environ["HOME"] = os.devnull
    # Port-hook decides about Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        import resource
    except ImportError:  # Windows
        return
    for limit, most in (
        (resource.RLIMIT_CORE, 0),
        # Descriptors 0 to 2 are open: no other can be opened.
        (resource.RLIMIT_NOFILE, 3),
        (resource.RLIMIT_AS, memory),
    ):
        with contextlib.suppress(OSError, ValueError):  # macOS refuses some
            resource.setrlimit(limit, (most, most))


def _set_alarm(seconds: float) -> None:
    """End the process in `seconds`, even in the midst of C code; 0: never."""
    seconds = min(seconds, _LONGEST_ALARM)
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, seconds)
    elif seconds:
        faulthandler.dump_traceback_later(seconds, exit=True)
    else:
        faulthandler.cancel_dump_traceback_later()


def _write(answer: str) -> None:
    rest = answer.encode() + b"\n"
    while rest:
        rest = rest[os.write(1, rest) :]


class _Worker:
    """Compiles programs, keeps them compiled, and runs them: a list of them that comes again as one.

    jq reads the data once for each run, which takes longer than most expressions do.
    """

    def __init__(self, compile_program: Any, longest: int) -> None:
        self._compile = compile_program
        self._longest = longest
        self._programs: OrderedDict[str, Any] = OrderedDict()
        self._joined: OrderedDict[tuple[str, ...], Any] = OrderedDict()

    def answers(self, programs: tuple[str, ...], data: str) -> Iterator[str]:
        """Give each program's answer as soon as it is known."""
        done = 0
        with contextlib.suppress(ValueError, RecursionError, MemoryError):
            for answer in self._joined_answers(programs, data):
                yield answer
                done += 1
        for program in programs[done:]:
            yield self._answer(program, data)

    def _joined_answers(self, programs: tuple[str, ...], data: str) -> Iterator[str]:
        """Run `programs` as one. Where that ends early, the others are still to be run by themselves."""
        if programs not in self._joined:
            _put(self._joined, programs, None)  # one that comes again is worth the time to compile it
            return
        if self._joined[programs] is None:
            self._joined[programs] = self._join(programs)
        self._joined.move_to_end(programs)
        if self._joined[programs] is not False:
            yield from map(self._read_joined, self._joined[programs].input_text(data))

    def _join(self, programs: tuple[str, ...]) -> Any:
        if len(programs) == 1 or any(_is_for_itself(program) for program in programs):
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

    def _answer(self, program: str, data: str) -> str:
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
        answer = json.dumps(["v", value])
        if len(answer) > self._longest:
            return _failure(f"the result is longer than {self._longest} bytes")
        return answer

    def _is_text(self, message: str, program: str, data: str) -> bool:
        """Whether an error's message is a string, and not another value that was written as one."""
        if message[:1] not in '{[tfn"-0123456789':
            return True
        try:
            caught = self._compile(f"try ({CLOSED_ENVIRONMENT}{program}{_END}) catch {_CAUGHT}")
            return [result for result in caught.input_text(data) if result == {"error": None}] == []
        except ValueError:
            return True


def _put(cache: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    cache[key] = value
    if len(cache) > _MOST_PROGRAMS:
        cache.popitem(last=False)


def _is_for_itself(program: str) -> bool:
    """Whether a program asks where in its text it stands, or ends the whole of jq."""
    return any(word in program for word in ("$__loc__", "halt"))


def _failure(message: str | None) -> str:
    """Tell of an error; of one whose message is no string Port's engine makes undefined, in silence."""
    return _UNDEFINED if message is None else json.dumps(["e", "run-time", message])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
