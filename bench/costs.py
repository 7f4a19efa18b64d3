"""What a request costs a listener in counts, which do not depend on the machine: calls, system calls, bytes of log."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

from bench.measuring import SECRET, at_most, load, row
from bench.servers import bare, listening

_WARM_UP = 200


def costs() -> None:
    with bare() as handler:
        for name, target, most in (("verified and saved", None, 285), ("forwarded", handler, 410)):
            calls(f"Python calls per request, {name}", target, most)
        for name, options in (("verified and saved", ()), ("forwarded", ("--forward-to", handler))):
            with tempfile.TemporaryDirectory() as folder, listening(folder, *options) as (url, pid):
                log(name, Path(folder, ".port-hook", "captures.db-wal"), url)
                system_calls(f"system calls per request, {name}", url, pid)


def calls(name: str, target: str | None, most: int, requests: int = 1_000) -> None:
    """Count the calls of Python functions in the thread of the event loop: in port-hook and in libraries.

    The requests arrive one by one on one connection. A resumed coroutine counts again.
    """
    counts = [asyncio.run(_calls(target, requests, connections)) / requests for connections in (1, 32)]
    row(f"{name}, one by one", f"{counts[1]:.0f} with 32 connections", counts[0], at_most(most, "calls"))


async def _calls(target: str | None, requests: int, connections: int) -> int:
    from port_hook_cli.invocations.routes import Routes
    from port_hook_cli.listener.observers import Observers
    from port_hook_cli.listener.policy import Policy
    from port_hook_cli.listener.serving import ListenPlan, served
    from port_hook_cli.runtime import Runtime
    from port_hook_cli.text.secret import Secret

    count = 0

    def profile(_: FrameType, event: str, __: Any) -> None:
        nonlocal count
        count += event == "call"

    with tempfile.TemporaryDirectory() as folder:
        runtime = Runtime(
            environ={},
            cwd=Path(folder),
            home=Path(folder),
            stdin=sys.stdin.buffer,
            stdout=sys.stdout,
            stderr=sys.stderr,
        )
        plan = ListenPlan(policy=Policy(secret=Secret(SECRET), routes=Routes(default=target)), port=0)
        async with served(plan, runtime, Observers([])) as serving:
            await asyncio.to_thread(load, serving.url, _WARM_UP, connections)
            sys.setprofile(profile)
            await asyncio.to_thread(load, serving.url, requests, connections)
            sys.setprofile(None)
    return count


def log(name: str, file: Path, url: str, requests: int = 10_000) -> None:
    """Print how much a request writes to SQLite's log, and how large the log gets under a steady load."""
    load(url, _WARM_UP, 1)
    each = file.stat().st_size / _WARM_UP
    row(f"bytes of SQLite's log per request of 600, {name}", "", each, at_most(16_000, "bytes"))
    load(url, requests, 1)
    largest = file.stat().st_size / 2**20  # the file keeps its size when the log restarts
    row(f"largest log during {requests:,} requests, {name}", "", largest, at_most(12, "MiB"))


def system_calls(name: str, url: str, pid: int, requests: int = 1_000) -> None:
    """Print how many system calls a request takes, in all threads of the listener."""
    strace = shutil.which("strace")
    if strace is None:
        print("  System calls are not counted: strace is not installed")
        return
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "table")
        tracing = subprocess.Popen(
            [strace, "-c", "-f", "-p", str(pid), "-o", str(table)], stderr=subprocess.PIPE, text=True
        )
        assert tracing.stderr is not None
        if "attached" not in tracing.stderr.readline():
            print("  System calls are not counted: strace may not trace another process here")
            return
        load(url, requests, 1)
        tracing.send_signal(signal.SIGINT)
        tracing.communicate()
        counts = [line.split() for line in table.read_text().splitlines() if line.split()[-1:] != ["syscall"]]
    by_name = {fields[-1]: int(fields[3]) / requests for fields in counts if fields and fields[0][0].isdigit()}
    total = by_name.pop("total", 0.0)
    frequent = sorted(by_name, key=by_name.__getitem__, reverse=True)[:3]
    row(name, f"{total:.0f} ({', '.join(f'{each} {by_name[each]:.1f}' for each in frequent)})")
