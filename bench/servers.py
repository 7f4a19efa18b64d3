"""The servers that the benchmarks use: the listener, a bare aiohttp server, and an Express server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bench.measuring import HERE, PORT_HOOK, SCRATCH, SECRET


@contextmanager
def listening(folder: str, *options: str, as_json: bool = False, log: Path | None = None) -> Iterator[tuple[str, int]]:
    """Run `port-hook listen` and yield its URL and process id. Its output goes to a pipe, and `cat` reads it.

    The output is what a user sees, or JSON records if `as_json` is true. The URL is read from stderr, and the rest of
    stderr goes to `log`.
    """
    reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    command = [*PORT_HOOK, "listen", "--tunnel", "none", "--port", "0", *options, *(["--json"] if as_json else [])]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PORT_CLIENT_SECRET": SECRET, "HOME": folder},
        stdout=reader.stdin,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        url = process.stderr.readline().split()[-1]
        if log is not None:
            threading.Thread(target=_keep, args=(process.stderr, log), daemon=True).start()
        yield url, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        assert reader.stdin is not None
        reader.stdin.close()
        reader.wait()


def _keep(stream: IO[str], log: Path) -> None:
    with log.open("w", encoding="utf-8") as kept:
        for line in stream:
            kept.write(line)
            kept.flush()


@contextmanager
def bare() -> Iterator[str]:
    with server([sys.executable, str(HERE / "bare_server.py")]) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/"


@contextmanager
def express() -> Iterator[str | None]:
    folder = SCRATCH / "express"
    if not (folder / "node_modules" / "express").exists():
        if not shutil.which("npm"):
            print("  Express is not compared: npm is not installed")
            yield None
            return
        folder.mkdir(exist_ok=True)
        subprocess.run(["npm", "init", "-y"], check=True, capture_output=True, cwd=folder)
        if subprocess.run(
            ["npm", "install", "--silent", "express"], capture_output=True, cwd=folder, check=False
        ).returncode:
            print("  Express is not compared: it could not be installed")
            yield None
            return
    environment = {"PORT_CLIENT_SECRET": SECRET, "NODE_PATH": str(folder / "node_modules"), "NODE_ENV": "production"}
    with server(["node", str(HERE / "express_verifier.js")], environment) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/"


@contextmanager
def server(command: list[str], environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})})
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
