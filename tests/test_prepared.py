"""A program from the prepared interpreter gets what a new interpreter gives it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import prepared
from tests.processes import environment

pytestmark = [pytest.mark.extended, pytest.mark.skipif(sys.platform != "linux", reason="only Linux adopts processes")]

PROGRAM = """
import json, os, signal, sys, threading
streams = [sys.stdin, sys.stdout, sys.stderr]
print(json.dumps({
    "start": [sys.argv, sys.orig_argv, sys.path, os.getcwd(), dict(os.environ), __name__],
    "system": [os.listdir("/proc/self/fd"), os.getppid(), os.getsid(0) == os.getpid(), os.umask(0)],
    "signals": [str(signal.getsignal(number)) for number in range(1, 65)],
    "mask": str(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "streams": [[repr(each), each.line_buffering, each.write_through, each.errors] for each in streams],
    "threads": threading.active_count(),
}))
"""


def result(
    kind: type[subprocess.Popen[Any]], folder: Path, *command: str, **options: Any
) -> tuple[int, bytes, list[bytes]]:
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with kind([sys.executable, *command], cwd=folder, **pipes, **options) as process:
        out, err = process.communicate(timeout=30)
    return process.returncode, out, err.splitlines()[-1:]


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("start", ["-c", "-m", "program.py"])
def test_program_gets_the_same_process_as_from_a_new_interpreter(tmp_path: Path, start: str, unbuffered: str) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = {"-c": ("-c", PROGRAM), "-m": ("-m", "program")}.get(start, (start,))
    options = {"env": environment(tmp_path, PYTHONUNBUFFERED=unbuffered), "start_new_session": start == "-c"}
    forked = result(prepared.Popen, tmp_path, *command, "a", "é", **options)
    assert json.loads(forked[1])["system"][1] == os.getpid()
    assert forked == result(subprocess.Popen, tmp_path, *command, "a", "é", **options)


@pytest.mark.parametrize(
    "program",
    [
        *("raise SystemExit(3)", "raise SystemExit('no')", "1 / 0", "raise KeyboardInterrupt", "input()"),
        *("import os; os.abort()", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"),
        *("import os; os.close(1); print(1)", "import atexit; atexit.register(print, 'bye')"),
        *("import sys; sys.stdout.close()", "import sys; sys.exit(True)", "import sys; sys.exit(2 ** 70)"),
        "file = open('/dev/stdout', 'w'); file.write('kept')",
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start(); print(1)",
    ],
)
def test_program_ends_like_in_a_new_interpreter(tmp_path: Path, program: str) -> None:
    ends = [result(kind, tmp_path, "-c", program) for kind in (prepared.Popen, subprocess.Popen)]
    assert ends[0] == ends[1]
