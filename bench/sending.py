"""How fast `replay` sends, compared with a load generator that signs nothing and reads next to nothing."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench.load import a_body
from bench.measuring import HERE, PORT_HOOK, SECRET, at_least, at_most, interleaved, ratio, row
from bench.servers import bare, listening

CONNECTIONS = 16
_RATE = re.compile(r"([0-9.]+) requests/s")


def replay(requests: int = 2_000, rounds: int = 3) -> None:
    """Compare `replay --times 2000 --concurrency 16`, each request freshly signed, with wrk's fixed request."""
    generator, name = (wrk, "wrk -t1 -c16") if shutil.which("wrk") else (stand_in, "a stand-in for wrk -t1 -c16")
    with tempfile.TemporaryDirectory() as folder, listening(folder) as (url, _):
        Path(folder, "payload.json").write_bytes(a_body(0, 600))
        whole: list[float] = []

        def send() -> float:
            rate, seconds = replay_rate(folder, url, requests)
            whole.append(requests / seconds)
            return rate

        rates = interleaved({"fixed": lambda: generator(url), "replay": send}, rounds=rounds)
    row(
        f"replay, each request signed / {name}",
        f"{median(rates['replay']):.0f}/s / {median(rates['fixed']):.0f}/s",
        ratio(rates["replay"], rates["fixed"]),
        at_least(0.63),
    )
    row("  the same, with replay's start-up", f"{median(whole):.0f}/s", ratio(whole[1:], rates["fixed"]))
    row(
        "  calls of port-hook's functions for each request",
        "",
        asyncio.run(calls_per_request()),
        at_most(46, "calls"),
    )


def replay_rate(folder: str, url: str, requests: int) -> tuple[float, float]:
    """Return the rate that `replay` prints, per second, and how long the process took, in seconds."""
    options = ["--times", str(requests), "--concurrency", str(CONNECTIONS), "--expect-status", "200"]
    command = [*PORT_HOOK, "replay", "payload.json", "--to", url, *options]
    environment = {**os.environ, "PORT_CLIENT_SECRET": SECRET, "HOME": folder}
    started = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder, env=environment)
    seconds = time.perf_counter() - started
    match = _RATE.search(done.stdout)
    assert match is not None, done.stdout
    return float(match[1]), seconds


async def calls_per_request(requests: int = 1_000) -> float:
    """Return how many of port-hook's functions are called for a request of a series."""
    from port_hook_cli.http.client import HttpClient
    from port_hook_cli.invocations.headers import Headers
    from port_hook_cli.replay.rewriting import Rewriter, SeriesRewriter
    from port_hook_cli.replay.sending import Series, send_series
    from port_hook_cli.replay.sources import ReplaySource
    from port_hook_cli.runtime import new_capture_id
    from port_hook_cli.signatures.signing import Signer
    from port_hook_cli.text.secret import Secret
    from tests.call_counts import counted_calls
    from tests.factories import an_invocation

    rewriter = Rewriter(signer=Signer(Secret(SECRET)), now=time.time, new_id=new_capture_id)
    invocation = an_invocation(a_body(0, 600), headers=Headers((("content-type", "application/json"),)))
    with bare() as url:
        ready = rewriter.prepare(ReplaySource(name="payload.json", invocation=invocation), url)
        async with HttpClient(timeout_s=30, repeats=True) as client:
            with counted_calls() as calls:
                await send_series(
                    [ready],
                    Series(times=requests, concurrency=CONNECTIONS),
                    client,
                    finish=SeriesRewriter(rewriter).finish,
                    on_sent=lambda *_: None,
                )
    return calls.count / requests


def wrk(url: str, seconds: int = 2) -> float:
    """Return the requests per second of wrk with one thread."""
    from port_hook_cli.signatures.signing import sign
    from port_hook_cli.text.secret import Secret

    body, stamp = a_body(0, 600), str(int(time.time()))
    fixed = {
        "BENCH_BODY": body.decode(),
        "BENCH_SIGNATURE": sign(body, Secret(SECRET), stamp),
        "BENCH_TIMESTAMP": stamp,
    }
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(HERE / "fixed_request.lua"), url]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **fixed})
    assert "Non-2xx" not in done.stdout, done.stdout
    return float(done.stdout.partition("Requests/sec:")[2].split()[0])


def stand_in(url: str, requests: int = 10_000) -> float:
    """Return the requests per second of `bench/fixed_load.py`."""
    command = [sys.executable, str(HERE / "fixed_load.py"), url, "--secret", SECRET]
    command += ["--requests", str(requests), "--connections", str(CONNECTIONS)]
    done = subprocess.run(command, check=True, capture_output=True, cwd=HERE.parent)
    return float(json.loads(done.stdout)["per_s"])
