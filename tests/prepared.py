"""Start Python programs from an interpreter that has already imported what port-hook imports.

Half of the time of a command is its imports. Each worker of the tests has one prepared interpreter, which forks for
every start. The fork becomes a child of the worker, so that it is waited for, signaled and killed like any other
process. `subprocess.Popen` starts a process that has nothing prepared.

The umask, the limits and the signals that are ignored are those of the prepared interpreter.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from json import dumps
from pathlib import Path
from typing import IO, Any

_INTERPRETER = Path(__file__).with_name("prepared_interpreter.py")
# Folders whose modules have other names than those that the prepared interpreter has imported.
_ADDED = (str(Path(__file__).parents[1]), str(Path(__file__).with_name("standins")))
# An interpreter reads these variables when it starts. The prepared interpreter has the same of them as a process under
# test, and honors a few that are set for a fork.
_KEPT = ("PATH", "LANG", "PYTHONPATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
_READ = ("COVERAGE_", "LANG", "LC_", "LD_", "MALLOC_", "PYTHON", "SSL_")
_HONORED = {"PYTHONUNBUFFERED", "PYTHONFAULTHANDLER", "PYTHON_COLORS", "PYTHON_KEYRING_BACKEND"}
# No executable, function, other descriptors, shell, IDs, umask or process group.
_USUAL = [None, None, False, (), False, None, None, None, -1, -1]
_SET_CHILD_SUBREAPER = 36
_one_at_a_time = threading.Lock()


class Popen(subprocess.Popen[Any]):
    """A process that is forked from the prepared interpreter if its command and options allow that."""

    # The types of pipes. A stream without a pipe is None.
    stdin: IO[Any]
    stdout: IO[Any]
    stderr: IO[Any]

    def _execute_child(self, args: Any, executable: Any, preexec_fn: Any, *others: Any) -> None:
        close_fds, pass_fds, cwd, env, _startup, _flags, shell, *pipes = others[:13]
        _signals, *ids, umask, has_session, group = others[13:]
        environ = os.environ if env is None else env
        is_usual = [executable, preexec_fn, not close_fds, pass_fds, shell, *ids, umask, group] == _USUAL
        if not is_usual or not is_possible(args, environ, cwd):
            super()._execute_child(args, executable, preexec_fn, *others)  # type: ignore[misc]  # not public
            return
        given = (pipes[0], pipes[3], pipes[5])
        streams = [number if stream == -1 else stream for number, stream in enumerate(given)]
        self.pid = fork(args, streams, environ, cwd, has_session=has_session)
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]  # not public


def run(
    command: Sequence[str],
    *,
    input: Any = None,  # noqa: A002 - a name of subprocess.run
    timeout: float | None = None,
    check: bool = False,
    **options: Any,
) -> subprocess.CompletedProcess[Any]:
    """Do what `subprocess.run` does, with `Popen` of this module."""
    if input is not None:
        options["stdin"] = subprocess.PIPE
    with Popen(command, **options) as process:
        try:
            out, err = process.communicate(input, timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(command, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done


def is_possible(command: Any, environ: Mapping[str, str], cwd: Any) -> bool:
    """Return whether a fork of the prepared interpreter runs this command like a new interpreter."""
    if sys.platform != "linux" or isinstance(command, (str, bytes)) or command[0] != sys.executable or len(command) < 2:
        return False
    is_program = command[1] in {"-c", "-m"} or not command[1].startswith("-")
    read = {name: value for name, value in environ.items() if name.startswith(_READ) and name not in _HONORED}
    kept = dict(_kept())
    if read.get("PYTHONPATH") in _ADDED:
        del read["PYTHONPATH"]
        kept.pop("PYTHONPATH", None)
    if "LANG" not in read and kept.get("LANG") == "C.UTF-8":  # which Python then uses
        del kept["LANG"]
    has_same = read.items() <= kept.items() and not {"LANG", "PYTHONPATH"} & (kept.keys() - read.keys())
    return is_program and has_same and (cwd is None or os.access(cwd, os.X_OK))


@functools.cache
def _kept() -> dict[str, str]:
    """Return the environment of the prepared interpreter."""
    return {name: os.environ[name] for name in _KEPT if name in os.environ}


def fork(
    command: Sequence[str],
    streams: Sequence[int],
    environ: Mapping[str, str],
    cwd: Any = None,
    *,
    has_session: bool = False,
    has_terminal: bool = False,
) -> int:
    """Run a command as a new child of this process. Return its ID after it has its session, directory and streams."""
    start = {
        "command": [os.fsdecode(word) for word in command],
        "environ": dict(environ),
        "cwd": os.fspath(cwd or Path.cwd()),
        "has_session": has_session or has_terminal,
        "has_terminal": has_terminal,
    }
    sent = dumps(start).encode()
    with _one_at_a_time:
        connection = _interpreter()
        started, start_of = os.pipe()
        # A fork whose parent has ended becomes a child of the nearest ancestor that has asked for such processes.
        _adopt(True)
        try:
            socket.send_fds(connection, [len(sent).to_bytes(4, "big")], [*streams, start_of])
            os.close(start_of)
            connection.sendall(sent)
            with os.fdopen(started, "rb") as answer:
                return int(answer.read())
        finally:
            _adopt(False)


_started: list[socket.socket] = []


def _interpreter() -> socket.socket:
    """Start the prepared interpreter once. It ends with this process, which holds the other end of its socket."""
    if _started:
        return _started[0]
    ours, its = socket.socketpair()
    atexit.register(ours.close)
    _started.append(ours)
    with its:
        subprocess.Popen(
            [sys.executable, str(_INTERPRETER), str(its.fileno())],
            pass_fds=[its.fileno()],
            env=_kept(),
            stdin=subprocess.DEVNULL,
        ).returncode = 0  # nobody waits for it
    return ours


def _adopt(is_wanted: bool) -> None:
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, int(is_wanted), 0, 0, 0)
