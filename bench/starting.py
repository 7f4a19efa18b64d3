"""The time until a command is ready: `trigger` has its response, and a server has printed its URL and responds."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from bench.measuring import HERE, PORT_HOOK, SECRET, at_most, compare, interleaved, seconds_of
from bench.servers import bare

_ACTION = HERE.parent / "examples" / "actions" / "create_vm.json"
_SERVERS = {
    "listen": ["listen", "--tunnel", "none", "--port", "0"],
    "sandbox": ["sandbox"],
    "inspect": ["inspect"],
}
_BOUNDS = {"trigger": 2.5, "listen": 3.5, "sandbox": 3.5, "inspect": 3.0}


def ready(rounds: int = 15) -> None:
    """Compare the time until each command is ready with `--help`, and show when a server responds."""
    with tempfile.TemporaryDirectory() as folder, bare() as handler:
        trigger = [*PORT_HOOK, "trigger", str(_ACTION), "--input", "title=test", "--to", handler]
        responded: dict[str, list[float]] = {name: [] for name in _SERVERS}
        measures = {
            "help": seconds_of([*PORT_HOOK, "--help"], folder),
            "trigger": seconds_of(trigger, folder),
            **{name: _until_ready(words, folder, responded[name]) for name, words in _SERVERS.items()},
        }
        for name in _SERVERS:
            measures[f"{name} responds"] = _last(responded[name])
        times = interleaved(measures, rounds=rounds)
    for name, most in _BOUNDS.items():
        what = "an action, sent" if name == "trigger" else "its URL printed"
        compare(f"port-hook {name}, {what} / --help", times[name], times["help"], at_most(most))
    for name in _SERVERS:
        compare(f"port-hook {name}, the first response / --help", times[f"{name} responds"], times["help"])


def _until_ready(words: list[str], folder: str, responded: list[float]) -> Callable[[], float]:
    """Return a function that starts a server, and returns the seconds until it prints its URL.

    It adds the seconds until the response to a first request to `responded`.
    """
    environment = {**os.environ, "PORT_CLIENT_SECRET": SECRET, "HOME": folder}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has cached bytecode

    def once() -> float:
        started = time.perf_counter()
        with subprocess.Popen(
            [*PORT_HOOK, *words],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            line = next(line for line in process.stdout if "http://127.0.0.1:" in line)
            ready_s = time.perf_counter() - started
            connection = http.client.HTTPConnection("127.0.0.1", _port(line), timeout=10)
            connection.request("GET", "/")
            connection.getresponse().read()
            responded.append(time.perf_counter() - started)
            connection.close()
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
        return ready_s

    return once


def _last(times: list[float]) -> Callable[[], float]:
    return lambda: times[-1]


def _port(line: str) -> int:
    url = line[line.index("http://") :].split(maxsplit=1)[0]
    port = urlsplit(url).port
    assert port is not None
    return port
