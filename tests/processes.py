"""port-hook as a real process, to test signals, pipes, limits and kills."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from port_hook_cli.invocations.headers import Headers
from tests.factories import SECRET
from tests.prepared import Popen, run
from tests.record_schemas import checked

# Tests don't open a tunnel to the internet, unless they select one.
NO_TUNNEL = {"PORT_HOOK_LISTEN_TUNNEL": "none"}

# The number of kills in tests at full size (`tests/campaign kill`), or 0 for quick tests. Read before a test removes
# all PORT_ variables from the environment.
KILLS = int(os.environ.get("PORT_HOOK_KILLS") or 0)


def environment(home: Path, **extra: str) -> dict[str, str]:
    """Return the environment of a process under test: without Port's variables, except the test's own variables."""
    names = ("PATH", "SYSTEMROOT", "LANG", "PYTHONPATH", "COVERAGE_PROCESS_CONFIG")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    ours = {"HOME": str(home), "PYTHONUNBUFFERED": "1", "PORT_CLIENT_SECRET": SECRET.reveal(), "BROWSER": "true"}
    return {**kept, **ours, **NO_TUNNEL, **extra}


def environment_without_coverage() -> dict[str, str]:
    """The environment for a process whose imports are tested, without coverage, which imports many modules."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


def python(script: str, *args: object, cwd: Path | None = None, before: Sequence[str] = ()) -> Popen:
    """Start a Python process, with the words `before` its command, that runs a script with the tests' modules."""
    return Popen(
        [*before, sys.executable, "-c", script, *map(str, args)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


PORT_HOOK = (sys.executable, "-m", "port_hook_cli")


def port_hook(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """Run port-hook in `folder` to its end. `options` are those of `subprocess.run`. By default, stdin is empty."""
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 50, **options}
    if "input" not in options:
        given.setdefault("stdin", subprocess.DEVNULL)
    return run(
        [*PORT_HOOK, *arguments], cwd=folder, env=environment(folder) if env is None else env, check=False, **given
    )


@contextmanager
def running(folder: Path, *arguments: str, env: Mapping[str, str] | None = None, **options: Any) -> Iterator[Popen]:
    """Run port-hook in `folder` until the end of the context, which kills it. `options` go to `Popen`."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Popen(
        [*PORT_HOOK, *arguments], cwd=folder, env=environment(folder) if env is None else env, **(pipes | options)
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def typed(folder: Path, *arguments: str, env: Mapping[str, str] | None = None, **options: Any) -> Any:
    """Start port-hook in `folder` on a pseudo-terminal, for pexpect."""
    from tests.prepared_terminal import Spawn  # not on Windows

    environ = environment(folder, TERM="dumb") if env is None else env
    return Spawn(PORT_HOOK[0], [*PORT_HOOK[1:], *arguments], cwd=str(folder), env=environ, timeout=30, **options)


# pytest as a process that loads only port-hook's plugin: the others take seconds to import.
PYTEST = (sys.executable, "-m", "pytest", "-p", "port_hook", "-p", "no:cacheprovider")
NO_OTHER_PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


# Python's fault handler writes the stacks of all threads before the process ends.
_DUMP = signal.SIGABRT


class Listener:
    """A running `port-hook listen --json`. `ready` is its first record."""

    def __init__(self, process: Popen, ready: Mapping[str, Any]) -> None:
        self.process = process
        self.ready = ready
        parts = urlsplit(str(ready["url"]))
        self.host, self.port = str(parts.hostname), int(parts.port or 0)

    def record(self) -> dict[str, Any]:
        """Return the next record that it prints. Fail with its stacks if there is none for a minute."""
        stacks: list[str] = []
        guard = threading.Timer(60, lambda: stacks.append(self.where_it_is()))
        guard.start()
        line = self.process.stdout.readline()
        guard.cancel()
        guard.join()
        assert line, stacks or "the listener ended"
        record: dict[str, Any] = checked(json.loads(line))
        return record

    def where_it_is(self) -> str:
        """End the listener. Return what it has written to stderr, with the stacks of its threads."""
        self.process.send_signal(_DUMP)
        self.process.wait(30)
        return str(self.process.stderr.read().decode())

    def post(self, body: bytes, headers: Headers, *, method: str = "POST", target: str = "/") -> tuple[int, bytes]:
        """Send a request on a new connection. Return the status and the body of the response."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, list[dict[str, Any]]]:
        """Send a signal. Return the exit code and the remaining records."""
        self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=30)
        return self.process.returncode, [checked(json.loads(line)) for line in out.splitlines()]


# Limits itself, leaves no memory dump, and runs a Python command.
_LIMITED = """
import resource, sys
from tests.prepared_interpreter import run

name, *limits = sys.argv[1:4]
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(getattr(resource, name), tuple(map(int, limits)))
run([sys.executable, *sys.argv[4:]])
"""


@contextmanager
def listener(
    folder: Path,
    *options: str,
    env: Mapping[str, str] | None = None,
    limit: tuple[str, int, int] | None = None,
    probe_interval: str | None = None,
) -> Iterator[Listener]:
    """Run `port-hook listen --json --port 0 OPTIONS` in `folder` until the end of the context.

    `limit` is the name of a resource, and the soft and the hard limit of the process. With a `probe_interval`, run
    `tests.probing`.
    """
    words = [*PORT_HOOK[1:], "listen", "--json", "--port", "0", *options]
    if probe_interval is not None:
        words = ["-m", "tests.probing", probe_interval, *options]
        env = {**(env or {}), "PYTHONPATH": str(Path(__file__).parents[1])}
    kept = {**(env or {}), "PYTHONPATH": str(Path(__file__).parents[1])} if limit else env or {}
    process = Popen(
        [PORT_HOOK[0], *(("-c", _LIMITED, *map(str, limit)) if limit else ()), *words],
        cwd=folder,
        env=environment(folder, PYTHONFAULTHANDLER="1", **kept),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read().decode()
        yield Listener(process, checked(json.loads(line)))
    finally:
        if process.poll() is None:
            _end(process)
        process.communicate()


def _end(process: Popen) -> None:
    """Kill a process. If coverage is measured, let it save its data first."""
    if "COVERAGE_PROCESS_CONFIG" in os.environ:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=10)
    process.kill()
