"""jq in a process of its own that stays warm: an expression is stopped by ending it, and the next one starts anew."""

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

from port_hook_cli.actions.templates import UNDEFINED, JqError
from port_hook_cli.engines import jq_process
from port_hook_cli.errors import RenderError
from port_hook_cli.extras import install_hint
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.javascript.values import read_result

DEFAULT_TIMEOUT_S = 5.0
"""Seconds that all expressions of one template may take."""

MAX_RESULT_BYTES = 8 * 2**20
"""The longest result of an expression. Port takes bodies of 1 MiB."""

MAX_MEMORY_BYTES = 2**30
"""Address space of the process, where the system can limit it."""

_first_line = re.compile(r"(, line 1, column )(\d+):?$")
_MARGIN = len(jq_process.CLOSED_ENVIRONMENT)


class JqWorker:
    """Evaluates jq programs in a process that is started when it is first needed. Safe to use from many threads."""

    def __init__(self, *, timeout_s: float = DEFAULT_TIMEOUT_S, memory: int = MAX_MEMORY_BYTES) -> None:
        """Prepare the process without starting it."""
        spec = find_spec("jq")
        assert spec is not None
        assert spec.origin is not None
        self._order = {
            "jq": str(Path(spec.origin).parent),
            "timeout_s": timeout_s,
            "memory": memory,
            "longest": MAX_RESULT_BYTES,
        }
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._call: threading.Event | None = None  # whose turn it is; under the lock `_turn`

    def evaluate(self, programs: Sequence[str], data: str, *, stopped: threading.Event | None = None) -> list[Any]:
        """Return for each of `programs` its first result over `data`, UNDEFINED or a JqError.

        `data` is one line of JSON; `stopped` names this call for `stop`. Raises RenderError when one of them takes too
        long, too much memory, or kills jq; the next call starts a new process.
        """
        if not programs:
            return []
        with self._lock:
            _go_on_unless(stopped)
            process = self._running()
            try:
                with self._turn:
                    _go_on_unless(stopped)
                    self._call = stopped
                self._ask(process, programs, data)
                answers = [self._answer(process, program) for program in programs]
            except BaseException:
                # Whatever interrupted the exchange: what is still to come would be taken for the next one's answers.
                self._end()
                raise
            finally:
                with self._turn:
                    self._call = None
            return answers

    def stop(self, stopped: threading.Event) -> None:
        """End the call of `evaluate` that `stopped` names, if it has not ended; others are left alone."""
        stopped.set()
        with self._turn:
            process = self._process
            if self._call is stopped and process is not None:
                process.kill()

    def _answer(self, process: subprocess.Popen[bytes], program: str) -> Any:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.endswith(b"\n"):
            raise self._death(process, program)
        return _read(line, program)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self._end()  # it died while it had nothing to do, which is no expression's fault
        if self._process is None:
            self._process = self._start()
            assert self._process.stdout is not None
            if not self._process.stdout.readline():
                self._end()
                raise RenderError("jq could not be started.", hint=install_hint("--force-reinstall jq"))
        return self._process

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, "-IS", jq_process.__file__, json.dumps(self._order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(os.environ),
        )

    @staticmethod
    def _ask(process: subprocess.Popen[bytes], programs: Sequence[str], data: str) -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(programs).encode() + b"\n" + data.encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:  # it has died; the missing answer tells how
            return

    def _death(self, process: subprocess.Popen[bytes], program: str) -> RenderError:
        code = process.wait()
        shown = f"{{{{ {program.strip()} }}}}"
        if code == (1 if sys.platform == "win32" else -signal.SIGALRM):
            return RenderError(
                f"{shown} was stopped: rendering took longer than {self._timeout_s:g} s.",
                hint="Look for a loop without an end in the expression, or allow more with --timeout.",
            )
        return RenderError(
            f"{shown} was stopped: jq ran out of memory.",
            hint="Let the expression make less: it may take 1 GiB, and nest a few thousand levels.",
        )

    def _end(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            _close(stream)


def _go_on_unless(stopped: threading.Event | None) -> None:
    if stopped is not None and stopped.is_set():
        raise RenderError("The rendering was stopped.")


def _close(stream: BinaryIO | Any) -> None:
    try:
        stream.close()
    except OSError:  # what was still to be written to a dead process
        return


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what the process needs to start: nothing but what Windows does not work without."""
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
    return JqError(program, rest[0], _message(rest[0], rest[1]))


def _message(kind: Literal["compile", "run-time"], message: str) -> str:
    """Return jq's error as Port's engine words it: of a program that does not compile, the last one's first line.

    The column is told as the expression counts, without what stands before it.
    """
    if kind == "run-time":
        return f"jq: error: {message}"
    errors = [line for line in message.splitlines() if line.startswith("jq: error")]
    last = errors[-1].removeprefix("jq: error") if errors else f": {message}"
    shown = _first_line.sub(lambda match: f"{match[1]}{max(int(match[2]) - _MARGIN, 1)}", last)
    return f"jq: compile error{shown}"
