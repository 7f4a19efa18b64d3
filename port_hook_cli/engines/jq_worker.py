"""Runs jq in a separate process.

To stop an expression, port-hook kills the process. The next expression starts a new process.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, Literal

from port_hook_cli.engines import jq_process
from port_hook_cli.engines.outcomes import UNDEFINED, JqError, shown_expression
from port_hook_cli.errors import ExpressionStoppedError, RenderError
from port_hook_cli.installed import reinstall_command
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.javascript.values import read_result
from port_hook_cli.terminal.signals import is_broken_pipe
from port_hook_cli.text.secret import cut_message

DEFAULT_TIMEOUT_S = 5.0
"""The limit in seconds for all expressions of one template together."""

MAX_RESULT_BYTES = 8 * 2**20
"""The limit for an expression's result in bytes. Port accepts bodies of 1 MiB."""

MAX_MEMORY_BYTES = 2**30
"""The limit for the address space of the process in bytes, if the system supports such a limit."""

_first_line = r"(, line 1, column )(\d+)$"
_MARGIN = len(jq_process.CLOSED_ENVIRONMENT)


class JqWorker:
    """Evaluates jq programs in a process, which the first program starts. The class is thread-safe."""

    def __init__(self, *, timeout_s: float = DEFAULT_TIMEOUT_S, memory: int = MAX_MEMORY_BYTES) -> None:
        """Prepare the process without starting it."""
        spec = find_spec("jq")
        assert spec is not None
        assert spec.origin is not None
        self._config = {
            "jq": str(Path(spec.origin).parent),
            "timeout_s": timeout_s,
            "memory": memory,
            "max_result": MAX_RESULT_BYTES,
        }
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._has_started = False
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._call: threading.Event | None = None  # the current call, guarded by `_turn`

    def start(self) -> None:
        """Start the process without waiting for it, so that the first program waits less."""
        with self._lock:
            if self._process is None:
                self._process = self._start()

    def evaluate(self, programs: Sequence[str], data: str, *, stopped: threading.Event | None = None) -> list[Any]:
        """Return the first result of each program over `data`: a value, UNDEFINED or a JqError.

        `data` is one line of JSON. `stopped` identifies this call for `stop`. Raises RenderError if a program takes too
        long, uses too much memory, or crashes jq. After such an error, the next call starts a new process.
        """
        if not programs:
            return []
        with self._lock:
            _check_not_stopped(stopped)
            process = self._running()
            try:
                with self._turn:
                    _check_not_stopped(stopped)
                    self._call = stopped
                self._send(process, programs, data)
                responses = [self._read_response(process, program) for program in programs]
            except BaseException:
                # If the process continued, the next call would read the remaining responses of this call.
                self._end()
                raise
            finally:
                with self._turn:
                    self._call = None
            return responses

    def stop(self, stopped: threading.Event) -> None:
        """End the call of `evaluate` to which `stopped` was passed, if the call is still running.

        Other calls continue.
        """
        stopped.set()
        with self._turn:
            process = self._process
            if self._call is stopped and process is not None:
                process.kill()

    def _read_response(self, process: subprocess.Popen[bytes], program: str) -> Any:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.endswith(b"\n"):
            raise self._crash_error(process, program)
        return _read(line, program)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def abandon(self) -> None:
        """Release the parent's jq process in a forked process, without ending jq or writing to its stdin."""
        process, self._process, self._has_started = self._process, None, False
        if process is None:
            return
        with Path(os.devnull).open("r+b", buffering=0) as null:
            for stream in (process.stdin, process.stdout):
                assert stream is not None
                os.dup2(null.fileno(), stream.fileno())  # a request in the buffer must not be written twice
        process.returncode = 0  # jq is not a child of this process

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self._end()  # the process died while it was idle, so not because of an expression
        if self._process is None:
            self._process = self._start()
        if not self._has_started:
            assert self._process.stdout is not None
            if not self._process.stdout.readline():
                self._end()
                raise RenderError("jq could not be started.", hint=f"Install jq again: {reinstall_command('jq')}")
            self._has_started = True
        return self._process

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, "-IS", jq_process.__file__, json.dumps(self._config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(os.environ),
        )

    @staticmethod
    def _send(process: subprocess.Popen[bytes], programs: Sequence[str], data: str) -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(programs).encode() + b"\n" + data.encode() + b"\n")
            process.stdin.flush()
        except OSError as error:
            if not is_broken_pipe(error):
                raise
            # The process has died. The caller handles the missing response.

    def _crash_error(self, process: subprocess.Popen[bytes], program: str) -> ExpressionStoppedError:
        code = process.wait()
        shown = shown_expression(program)
        if code == _timeout_code():
            return ExpressionStoppedError(
                f"{shown} was stopped: rendering took longer than {self._timeout_s:g} s.",
                program=program,
                hint="Check the expression for an endless loop.",
            )
        return ExpressionStoppedError(
            f"{shown} was stopped: jq ran out of memory.",
            program=program,
            hint="Make the expression use less memory: the limits are 1 GiB, and a few thousand levels of nesting.",
        )

    def _end(self) -> None:
        if self._process is None:
            return
        process, self._process, self._has_started = self._process, None, False
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            _close(stream)


def _timeout_code() -> int:
    """Return the exit code of a process after its alarm has ended it."""
    if sys.platform == "win32":
        return 1
    else:  # noqa: RET505 - mypy would find the line unreachable
        return -signal.SIGALRM


def _check_not_stopped(stopped: threading.Event | None) -> None:
    if stopped is not None and stopped.is_set():
        raise RenderError("The rendering was stopped.")


def _close(stream: BinaryIO | Any) -> None:
    try:
        stream.close()
    except OSError:  # the buffer holds data for the dead process
        return


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the process, which contains only the variable that Windows requires."""
    return {name: environ[name] for name in ("SYSTEMROOT",) if name in environ}


def _read(line: bytes, program: str) -> Any:
    try:
        kind, *rest = read_result(line.decode())
    except NotJson:
        return JqError(program, "run-time", "jq: error: the result is nested too deep")
    if kind == "u":
        return UNDEFINED
    if kind == "v":
        return rest[0]
    return JqError(program, rest[0], cut_message(_message(rest[0], rest[1])))


def _message(kind: Literal["compile", "run-time"], message: str) -> str:
    """Return jq's error in the format of Port's engine. For a compile error, this is the first line of the last error.

    The column is relative to the expression, without the code that Port puts before the expression.
    """
    if kind == "run-time":
        return f"jq: error: {message}"
    errors = [line for line in message.splitlines() if line.startswith("jq: error")]
    last = errors[-1].removeprefix("jq: error").removesuffix(":") if errors else f": {message}"
    shown = re.sub(_first_line, lambda match: f"{match[1]}{max(int(match[2]) - _MARGIN, 1)}", last)
    return f"jq: compile error{shown}"
