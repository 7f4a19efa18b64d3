"""The tether: a process between port-hook and a tunnel's program, so that the program never outlives port-hook.

Run as a script, `python -IS tether.py`; it knows the standard library only. One line of JSON on stdin names the
command; then stdin stays open for as long as the tunnel is wanted. The kernel closes that pipe however port-hook
ends, `kill -9` included, and then the tether asks the program to end, and kills it and itself a moment later. What
it has to say goes to stdout, one JSON object per line: `log` (a line of the program's), `error` or `ended`.

`leash.py` does the same for ngrok, with the pieces of this module and pyngrok.
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
from collections.abc import Callable
from typing import IO, Any

# Characters (bytes, here) of one line of a log; port-hook reads lines of up to 64 kB.
LONGEST = 4096
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Run the command until it ends or port-hook does."""
    port_hook, reports = claim_streams()
    order = json.loads(port_hook.readline())
    try:
        program = _start(order["command"])
    except OSError as problem:
        say(reports, error={"kind": type(problem).__name__, "message": problem.strerror or str(problem)})
        return
    threading.Thread(target=_end_with, args=(port_hook, program, order["grace_s"]), daemon=True).start()
    # A line without an end comes in pieces: what is not read would make the program stall.
    while line := program.stdout.readline(LONGEST) if program.stdout else b"":
        say(reports, log=line.decode("utf-8", "replace").rstrip("\r\n"))
    say(reports, ended=program.wait())
    end_family()


def say(reports: IO[bytes], **what: Any) -> None:
    """Tell port-hook; that it has gone is noticed elsewhere."""
    with contextlib.suppress(OSError):
        reports.write(json.dumps(what).encode() + b"\n")


def claim_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Keep stdin and stdout for the talk with port-hook: nothing that this process starts inherits them."""
    port_hook, reports = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    return port_hook, reports


def death_tie() -> Callable[[], None] | None:
    """Return what a child runs before its program, so that Linux kills it when this process dies; else None.

    The kernel's signal follows the end of the thread that starts the child: let the main one do it, and hold on.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return tie


def end_family() -> None:
    """Kill this process and every one it started."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(os.getpid())], check=False)  # noqa: S603, S607
    else:
        os.killpg(0, signal.SIGKILL)  # port-hook made this process the leader of its own group


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - port-hook names the program
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=death_tie(),  # noqa: PLW1509 - there is no other thread yet
    )


def _end_with(port_hook: IO[bytes], program: subprocess.Popen[bytes], grace_s: float) -> None:
    port_hook.read()
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        program.terminate()
        program.wait(grace_s)
    end_family()


if __name__ == "__main__":
    main()
