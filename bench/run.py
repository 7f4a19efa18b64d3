"""Measure what port-hook promises, each pair side by side in one run, and print ratios.

    python bench/run.py [startup] [throughput] [latency] [memory] [demo] [render] [trigger] [pytest]

Absolute numbers are this machine's; the ratios are what is promised. HTTPie and Express are installed into
`.bench/` from their registries; where that is not possible the comparison is left out, and it says so.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))  # for tests.conformance
SCRATCH = HERE.parent / ".bench"
PORT_HOOK = [str(Path(sys.executable).parent / "port-hook")]
SECRET = "bench-secret"
HELLO = """
import typer
app = typer.Typer(rich_markup_mode=None)
@app.command()
def hello(name: str = "world"):
    print(f"hello {name}")
app()
"""


def row(what: str, figures: str, ratio: float | None = None, bar: str = "") -> None:
    shown = "" if ratio is None else f"{ratio:6.2f} x"
    print(f"{what:<52} {figures:<42} {shown:<10} {bar}", flush=True)


def main(wanted: list[str]) -> None:
    SCRATCH.mkdir(exist_ok=True)
    parts = {
        "startup": startup,
        "throughput": throughput,
        "latency": latency,
        "memory": memory,
        "demo": demo,
        "render": render,
        "trigger": trigger,
        "pytest": in_pytest,
    }
    for name, measure in parts.items():
        if not wanted or name in wanted:
            print(f"\n{name}")
            measure()


# --- start-up ---------------------------------------------------------------------------------------------------


def startup() -> None:
    with tempfile.TemporaryDirectory() as folder:
        hello, payload = Path(folder, "hello.py"), Path(folder, "payload.json")
        hello.write_text(HELLO)
        payload.write_text('{"a":1}')
        commands = {
            "hello": [sys.executable, str(hello)],
            "help": [*PORT_HOOK, "--help"],
            "sign": [*PORT_HOOK, "sign", str(payload)],
        }
        httpie = install_httpie()
        if httpie:
            commands["httpie"] = [httpie, "--version"]
        times = interleaved({name: seconds_of(command, folder) for name, command in commands.items()}, rounds=21)
    for name in ("help", "sign"):
        compare(f"port-hook {name} / typer hello-world", times[name], times["hello"], "at most 1.5")
        if httpie:
            compare(f"port-hook {name} / http --version", times[name], times["httpie"], "at most 0.5")


def seconds_of(command: list[str], folder: str) -> Callable[[], float]:
    environment = {**os.environ, "PORT_CLIENT_SECRET": SECRET, "HOME": folder}

    def once() -> float:
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=folder, env=environment)
        return time.perf_counter() - started

    return once


def interleaved(measures: dict[str, Callable[[], float]], *, rounds: int) -> dict[str, float]:
    """Run the measures in turn, once to warm up and `rounds` times counted; return each one's median."""
    results: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(rounds + 1):
        for name, measure in measures.items():
            value = measure()
            if number:
                results[name].append(value)
    return {name: statistics.median(values) for name, values in results.items()}


def compare(what: str, ours_s: float, theirs_s: float, bar: str) -> None:
    row(what, f"{ours_s * 1000:.0f} ms / {theirs_s * 1000:.0f} ms", ours_s / theirs_s, bar)


def install_httpie() -> str | None:
    http = SCRATCH / "httpie" / "bin" / "http"
    if not http.exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", str(http.parent.parent)], check=True)
            pip = [str(http.parent / "python"), "-m", "pip", "install", "--quiet", "httpie"]
            subprocess.run(pip, check=True, capture_output=True)
        except subprocess.CalledProcessError:
            print("  HTTPie could not be installed: not compared")
            return None
    return str(http)


# --- throughput -------------------------------------------------------------------------------------------------


def throughput(requests: int = 20_000, rounds: int = 3) -> None:
    with tempfile.TemporaryDirectory() as folder, bare() as bare_url, listening(folder) as (url, _):
        measures = {"bare": lambda: load(bare_url, requests)["per_s"], "listen": lambda: load(url, requests)["per_s"]}
        with express() as express_url:
            if express_url:
                measures["express"] = lambda: load(express_url, requests)["per_s"]
            rates = interleaved(measures, rounds=rounds)
    ours = rates["listen"]
    row(
        "listen (verified, saved) / bare aiohttp",
        f"{ours:.0f}/s / {rates['bare']:.0f}/s",
        ours / rates["bare"],
        "at least 0.4 (hoped for: 0.5)",
    )
    if "express" in rates:
        row(
            "listen / Express verifier that saves nothing",
            f"{ours:.0f}/s / {rates['express']:.0f}/s",
            ours / rates["express"],
            "above 1",
        )


def load(url: str, requests: int, connections: int = 32) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "load.py"), url, "--secret", SECRET]
    command += ["--requests", str(requests), "--connections", str(connections)]
    done = subprocess.run(command, check=True, capture_output=True, cwd=HERE.parent)
    result: dict[str, Any] = json.loads(done.stdout)
    assert set(result["statuses"]) == {"200"}, result
    return result


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
            print("  npm is not on this machine: Express is not compared")
            yield None
            return
        folder.mkdir(exist_ok=True)
        subprocess.run(["npm", "init", "-y"], check=True, capture_output=True, cwd=folder)
        if subprocess.run(
            ["npm", "install", "--silent", "express"], capture_output=True, cwd=folder, check=False
        ).returncode:
            print("  Express could not be installed: not compared")
            yield None
            return
    environment = {"PORT_CLIENT_SECRET": SECRET, "NODE_PATH": str(folder / "node_modules"), "NODE_ENV": "production"}
    with server(["node", str(HERE / "express_verifier.js")], environment) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/"


@contextmanager
def listening(folder: str, *options: str, as_json: bool = False) -> Iterator[tuple[str, int]]:
    """Run `port-hook listen`, its output going to a pipe that is read; give its URL and process id.

    What a person would see is measured unless `as_json`; the URL is read from stderr then.
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
        yield process.stderr.readline().split()[-1], process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert reader.stdin is not None
        reader.stdin.close()
        reader.wait()


@contextmanager
def server(command: list[str], environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})})
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


# --- latency ----------------------------------------------------------------------------------------------------


def latency(requests: int = 3_000, rounds: int = 5) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        bare() as handler,
        listening(folder, "--forward-to", handler) as (
            url,
            _,
        ),
    ):
        direct: list[dict[str, Any]] = []
        through: list[dict[str, Any]] = []
        for number in range(rounds + 1):
            for where, results in ((handler, direct), (url, through)):
                result = load(where, requests, connections=1)
                if number:
                    results.append(result)
    for percentile, most in (("p50_ms", 0.5), ("p99_ms", 2.0)):
        with_us = statistics.median(result[percentile] for result in through)
        without = statistics.median(result[percentile] for result in direct)
        row(
            f"added by forwarding, {percentile[:3]}",
            f"{with_us - without:.2f} ms ({with_us:.2f} - {without:.2f})",
            with_us / without,
            f"at most {most} ms added",
        )


# --- memory -----------------------------------------------------------------------------------------------------


def memory() -> None:
    with tempfile.TemporaryDirectory() as folder, listening(folder) as (url, pid):
        load(url, 1_000)
        after_1000 = resident_mib(pid)
        load(url, 99_000)
        after_100_000 = resident_mib(pid)
    row(
        "memory after 100,000 / after 1,000 invocations",
        f"{after_100_000:.1f} MiB / {after_1000:.1f} MiB",
        after_100_000 / after_1000,
        "at most 1.2",
    )


def resident_mib(pid: int) -> float:
    kib = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], check=True, capture_output=True, text=True).stdout
    return int(kib) / 1024


# --- the demo ---------------------------------------------------------------------------------------------------


def demo() -> None:
    with tempfile.TemporaryDirectory() as folder:
        times = interleaved({"demo": seconds_of([*PORT_HOOK, "demo"], folder)}, rounds=5)
    row("port-hook demo", f"{times['demo']:.2f} s", None, "under 3 s")


# --- rendering --------------------------------------------------------------------------------------------------


def render(bodies: int = 3_000, rounds: int = 5) -> None:
    from port_hook_cli.adapters.rendering import Renderer
    from tests.conformance.cases import BODY, DATA

    with Renderer() as renderer:

        def seconds() -> float:
            started = time.perf_counter()
            for _ in range(bodies):
                renderer.render(BODY, DATA)
            return time.perf_counter() - started

        taken = interleaved({"render": seconds}, rounds=rounds)["render"]
    row("bodies of ten expressions rendered", f"{bodies / taken:.0f}/s", None, "at least 2000/s")


# --- triggering -------------------------------------------------------------------------------------------------


def trigger(requests: int = 200, rounds: int = 5) -> None:
    """Compare an invocation that is made, signed and sent with the same bytes signed and sent; jq is warm."""
    with bare() as url:
        medians = asyncio.run(trigger_medians(url, requests, rounds))
    made, direct = medians["trigger"] * 1000, medians["direct"] * 1000
    row(
        "added by making the request (inputs, jq, JSON)",
        f"{made - direct:.2f} ms ({made:.2f} - {direct:.2f})",
        made / direct,
        "at most 15 ms added",
    )


async def trigger_medians(url: str, requests: int, rounds: int) -> dict[str, float]:
    from port_hook_cli.adapters.sender import Sender
    from port_hook_cli.commands.invoking import invoking
    from port_hook_cli.core.models import Headers, Invocation
    from port_hook_cli.core.port_actions import read_action
    from port_hook_cli.core.redaction import Secret
    from port_hook_cli.core.signing import TimestampUnit, signed_headers
    from tests.conformance.cases import BODY, DATA

    document = json.loads((HERE.parent / "examples" / "actions" / "create_vm.json").read_text())
    document["invocationMethod"]["body"] = BODY
    action, inputs = read_action(document), {"title": "dev-env", "cpu": 4}

    async def send(sender: Sender, body: bytes) -> None:
        fields = signed_headers(body, Secret(SECRET), TimestampUnit.SECONDS.stamp(time.time()))
        headers = Headers((("content-type", "application/json"), *fields))
        request = Invocation(id="b", received_at=0.0, method="POST", target="/", headers=headers, body=body)
        assert (await sender.send(request, url)).ok

    times: dict[str, list[float]] = {"trigger": [], "direct": []}
    with invoking(lambda: Secret(SECRET)) as invoker:
        async with Sender(timeout_s=10) as sender:
            for number in range(requests * rounds):
                started = time.perf_counter()
                made = await invoker.request(
                    action, run_id="r_QOz6WoOB1Q2lmhZZ", by=DATA["trigger"]["by"], at="", properties=inputs
                )
                body = made.content
                await send(sender, body)
                between = time.perf_counter()
                await send(sender, body)
                if number >= requests // 10:  # the first ones warm up
                    times["trigger"].append(between - started)
                    times["direct"].append(time.perf_counter() - between)
    return {name: statistics.median(values) for name, values in times.items()}


# --- in pytest --------------------------------------------------------------------------------------------------


def in_pytest() -> None:
    """Time runs from `invoke` to SUCCESS in a suite, and what the plugin costs a suite that does not use it."""
    alone = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:asyncio"]
    with tempfile.TemporaryDirectory() as folder:
        times, other = Path(folder, "times"), Path(folder, "test_other.py")
        suite = [*alone, "--rootdir", folder, "-c", os.devnull, str(HERE / "pytest_suite.py")]
        subprocess.run(suite, check=True, capture_output=True, env={**os.environ, "BENCH_TIMES": str(times)})
        first, *warm = (float(line) for line in times.read_text().splitlines())
        other.write_text("def test_other(): pass\n")
        commands = {"with": [*alone, str(other)], "without": [*alone, "-p", "no:port_hook", str(other)]}
        costs = interleaved({name: seconds_of(command, folder) for name, command in commands.items()}, rounds=15)
    row(
        "a run from invoke to SUCCESS in pytest",
        f"median {statistics.median(warm):.1f} ms, worst {max(warm):.1f} ms, first {first:.0f} ms",
        None,
        "under 50 ms after start-up",
    )
    compare("a suite without port-hook's fixtures, with the plugin", costs["with"], costs["without"], "at most 1.05")


if __name__ == "__main__":
    main(sys.argv[1:])
