"""A supervisor: a process between port-hook and a tunnel program, so that the program never outlives port-hook.

The supervisor runs as a script, `python -IS supervisor.py`, and uses only the standard library. The first line on its
stdin is JSON with the program's command. After that line, stdin stays open until the tunnel must end. The kernel closes
stdin when port-hook ends for any reason, including `kill -9`. The supervisor then terminates the program, and kills the
program and itself after a grace period. It writes reports to stdout, one JSON object per line: `log` (a line of the
program's log), `error` or `ended`.

`ngrok/supervisor.py` does the same for the ngrok agent, with the functions of this module and pyngrok.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import IO, Any

# The longest part of a log line, in bytes. port-hook reads lines of up to 64 kB.
MAX_LINE = 4096
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Run the command until the program or port-hook ends."""
    port_hook, reports = take_streams()
    request = json.loads(port_hook.readline())
    try:
        program = _start(request["command"])
    except OSError as problem:
        write_report(reports, error={"kind": type(problem).__name__, "message": problem.strerror or str(problem)})
        return
    threading.Thread(target=_end_with_port_hook, args=(port_hook, program, request["grace_s"]), daemon=True).start()
    # A long line is read in parts. All output is read, because the program would block otherwise.
    while line := program.stdout.readline(MAX_LINE) if program.stdout else b"":
        write_report(reports, log=line.decode("utf-8", "replace").rstrip("\r\n"))
    write_report(reports, ended=program.wait())
    kill_process_group()


def write_report(reports: IO[bytes], **fields: Any) -> None:
    """Write a report to port-hook. If port-hook has ended, another thread detects the end."""
    with contextlib.suppress(OSError):
        reports.write(json.dumps(fields).encode() + b"\n")


def take_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Return private copies of stdin and stdout, which the child processes don't inherit."""
    port_hook, reports = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    return port_hook, reports


def kill_child_with_parent() -> Callable[[], None] | None:
    """Return a `preexec_fn` that makes Linux kill the child when this process ends, or None on other systems.

    The kernel sends the signal when the thread that started the child ends. So the child must be started in the main
    thread.
    """
    if sys.platform == "linux":
        prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

        def request_signal() -> None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # the parent ended before the call
                os._exit(1)

        return request_signal
    else:  # noqa: RET505 - mypy would find the line unreachable
        return None


def kill_process_group() -> None:
    """Kill this process and all its descendants."""
    if sys.platform == "win32":
        subprocess.run(taskkill(os.getpid(), os.environ), check=False)  # noqa: S603 - a program of Windows
    else:
        os.killpg(0, signal.SIGKILL)  # port-hook started this process as the leader of its own group


def taskkill(pid: int, environ: Mapping[str, str]) -> list[str]:
    """Return the command that kills a Windows process and all its descendants.

    The command has a full path. Otherwise, Windows would search the current directory, which may be untrusted, before
    its own directory.
    """
    system = environ.get("SYSTEMROOT", r"C:\Windows")
    return [rf"{system}\System32\taskkill.exe", "/F", "/T", "/PID", str(pid)]


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - port-hook chooses the program
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=kill_child_with_parent(),  # noqa: PLW1509 - no other thread is running yet
    )


def _end_with_port_hook(port_hook: IO[bytes], program: subprocess.Popen[bytes], grace_s: float) -> None:
    port_hook.read()  # returns when port-hook closes the pipe or ends
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        program.terminate()
        program.wait(grace_s)
    kill_process_group()


if __name__ == "__main__":
    main()
