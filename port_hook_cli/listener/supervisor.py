"""A supervisor: a process between port-hook and the user's command that ends all processes of the command.

`supervised_run.py` starts the supervisor as a script, `python -IS supervisor.py`. The first line on its stdin is JSON
with the words of the command, the command's environment and the grace period. A later line `end` asks the supervisor to
terminate all processes, and to kill the rest after the grace period. The end of stdin asks the supervisor to kill all
processes immediately. The kernel closes stdin when port-hook ends for any reason, including `kill -9`. The supervisor
writes reports to stdout, one JSON object per line: `error`, `started` or `ended`. The command inherits the supervisor's
stderr as its stdout and stderr.

On Linux, orphans become children of the supervisor. So the supervisor's descendants are exactly the processes that the
command started, including daemons. On macOS, the supervisor ends the command's process group and the descendants that
`ps` shows. On Windows, it ends the processes that `taskkill` finds. On macOS and Windows, a daemon can escape.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

if __name__ == "__main__":
    # Python's isolated mode does not put port-hook on the import path.
    sys.path.insert(0, str(Path(__file__).parents[2]))
from port_hook_cli.tunnels.supervisor import kill_child_with_parent, take_streams, taskkill, write_report

END = b"end\n"
KILL_S = 3.0
"""The number of seconds to try to kill processes. Processes of other users cannot be killed."""
_LOOK_EVERY_S = 0.005
_PAUSE_S = 0.0005
_PR_SET_CHILD_SUBREAPER = 36
_STAT_BYTES = 1024


def main() -> None:
    """Run the command until port-hook asks for its end, or port-hook ends."""
    port_hook, reports = take_streams()
    request = json.loads(port_hook.readline())
    _adopt_orphans()
    try:
        command = _start(request)
    except OSError as problem:
        write_report(reports, error={"kind": type(problem).__name__, "message": problem.strerror or str(problem)})
        return
    os.dup2(0, 2)  # so that the output ends when the command's processes have closed it
    write_report(reports, started=command.pid)
    family = Family(command, request["grace_s"])
    threading.Thread(target=_end_when_asked, args=(port_hook, family)).start()
    family.wait(reports)


def _start(request: dict[str, Any]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - the user's own command
        request["command"],
        env=request["environ"],
        stdin=subprocess.DEVNULL,
        stdout=2,
        stderr=2,
        start_new_session=True,
        preexec_fn=kill_child_with_parent(),  # noqa: PLW1509 - there is no other thread yet
    )


def _end_when_asked(port_hook: IO[bytes], family: Family) -> None:
    try:
        asked = port_hook.readline() == END
        family.end(port_hook if asked else None)
    finally:
        os._exit(0)  # the other thread may wait for a process that cannot be killed


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


if sys.platform == "win32":

    class ProcessTree:
        """The command and all processes that it started."""

        def __init__(self, command: subprocess.Popen[bytes], grace_s: float) -> None:  # noqa: ARG002 - as below
            self._command = command

        def wait(self, reports: IO[bytes]) -> None:
            """Wait until the command ends, and report its end."""
            write_report(reports, ended=self._command.wait())

        def end(self, port_hook: IO[bytes] | None) -> None:  # noqa: ARG002 - as below
            """Kill all processes, because Windows has no signal that asks them to end."""
            command = taskkill(self._command.pid, os.environ)
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(command, check=False, capture_output=True, timeout=KILL_S)  # noqa: S603

    Family = ProcessTree

else:

    class ProcessGroups:
        """The command and all processes that it started, as process groups.

        A signal to a group reaches all its processes, even while they fork. The command leads its own session, so each
        group contains only processes that the command started.
        """

        def __init__(self, command: subprocess.Popen[bytes], grace_s: float) -> None:
            self._grace_s = grace_s
            self._pid = command.pid
            self._groups = {command.pid}
            self._has_no_children = threading.Event()

        def wait(self, reports: IO[bytes]) -> None:
            """Wait until this process has no children, and report the end of the command.

            A command that exits with 0 may have started a daemon. Such a command ends when all its processes have
            ended.
            """
            code = 0
            with contextlib.suppress(ChildProcessError):
                while True:
                    pid, status = os.waitpid(-1, 0)
                    if pid == self._pid and (code := os.waitstatus_to_exitcode(status)):
                        write_report(reports, ended=code)
            if not code:
                write_report(reports, ended=0)
            self._has_no_children.set()

        def end(self, port_hook: IO[bytes] | None) -> None:
            """Terminate all processes, and kill the rest after the grace period.

            The grace period ends when `port_hook` is closed. If `port_hook` is None, there is no grace period.
            """
            if port_hook:
                self._signal(signal.SIGTERM)
                self._wait(self._grace_s, port_hook)
            give_up = time.monotonic() + KILL_S
            while self._has_members() and time.monotonic() < give_up:
                self._signal(signal.SIGKILL)
                self._has_no_children.wait(_PAUSE_S)

        def _wait(self, most_s: float, port_hook: IO[bytes]) -> None:
            give_up = time.monotonic() + most_s
            while self._has_members() and time.monotonic() < give_up:
                if select.select([port_hook], [], [], 0)[0]:
                    break
                self._has_no_children.wait(_LOOK_EVERY_S)

        def _has_members(self) -> bool:
            has_children = not self._has_no_children.is_set()
            return has_children if sys.platform == "linux" else any(map(_exists, self._groups))

        def _signal(self, number: int) -> None:
            """Send a signal to each group once, as soon as the group is found."""
            found = itertools.chain(_groups_of_descendants(os.getpid()), tuple(self._groups))
            signaled = {os.getpgrp()}
            for group in found:
                if group not in signaled:
                    signaled.add(group)
                    self._groups.add(group)
                    with contextlib.suppress(OSError):  # the group has ended, or belongs to another user
                        os.killpg(group, number)
            self._groups = {group for group in self._groups if _exists(group)}

    Family = ProcessGroups

    def _exists(group: int) -> bool:
        """Return whether a process group has a process that this process may signal."""
        try:
            os.killpg(group, 0)
        except OSError:
            return False
        return True


def _groups_of_descendants(ancestor: int) -> Iterator[int]:
    """Yield the process groups of all descendants of a process. A group may be yielded more than once.

    This function yields the groups of children first, immediately after it reads them, because a process that forks and
    ends lives for less than a millisecond.
    """
    children: dict[int, list[tuple[int, int]]] = {}
    for pid, parent, group in _processes():
        children.setdefault(parent, []).append((pid, group))
        if parent == ancestor:
            yield group
    parents = [ancestor]
    while parents:
        for pid, group in children.pop(parents.pop(), ()):
            parents.append(pid)
            yield group


def _processes() -> Iterator[tuple[int, int, int]]:
    """Yield the process ID, the parent's ID and the process group of each process, latest first on Linux."""
    if sys.platform == "linux":
        for pid in sorted(map(int, filter(str.isdigit, os.listdir("/proc"))), reverse=True):  # noqa: PTH208 - faster
            with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb", buffering=0) as stat:  # noqa: PTH123
                # The fields after the name in parentheses, which may contain any character: state, parent, group
                # (proc(5)).
                _, parent, group = stat.read(_STAT_BYTES).rpartition(b")")[2].split(None, 3)[:3]
                yield pid, int(parent), int(group)
    else:
        command = ["/bin/ps", "-axo", "pid=,ppid=,pgid="]
        ps = subprocess.run(command, check=False, capture_output=True, timeout=KILL_S)  # noqa: S603
        for row in ps.stdout.splitlines():
            pid, parent, group = map(int, row.split())
            yield pid, parent, group


if __name__ == "__main__":
    main()
