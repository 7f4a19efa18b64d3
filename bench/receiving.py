"""How the listener receives invocations: its throughput, the latency that it adds, and its memory."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from typing import Any

from bench.measuring import at_least, at_most, interleaved, load, ratio, row
from bench.pinning import apart
from bench.servers import bare, express, listening


def throughput(requests: int = 20_000, rounds: int = 3) -> None:
    with tempfile.TemporaryDirectory() as folder, bare() as bare_url, listening(folder) as (url, _):
        measures = {"bare": lambda: load(bare_url, requests)["per_s"], "listen": lambda: load(url, requests)["per_s"]}
        with express() as express_url:
            if express_url:
                measures["express"] = lambda: load(express_url, requests)["per_s"]
            rates = interleaved(measures, rounds=rounds)
    ours = statistics.median(rates["listen"])
    row(
        "listen (verified, saved) / bare aiohttp",
        f"{ours:.0f}/s / {statistics.median(rates['bare']):.0f}/s",
        ratio(rates["listen"], rates["bare"]),
        at_least(0.4),
    )
    if "express" in rates:
        row(
            "listen / Express verifier that saves nothing",
            f"{ours:.0f}/s / {statistics.median(rates['express']):.0f}/s",
            ratio(rates["listen"], rates["express"]),
            at_least(1),
        )


def latency(requests: int = 3_000, rounds: int = 5) -> None:
    """Compare what `listen --forward-to` adds to a call with the direct call, to a bare handler and to Express."""
    with bare() as handler:
        compare_latency("a bare aiohttp handler", handler, requests, rounds)
    with express() as express_handler:
        if express_handler:
            compare_latency("an Express handler", express_handler, requests, rounds)


def compare_latency(name: str, handler: str, requests: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder, listening(folder, "--forward-to", handler) as (url, pid):
        direct: list[dict[str, Any]] = []
        through: list[dict[str, Any]] = []
        with apart(pid):
            for number in range(rounds + 1):
                for where, results in ((handler, direct), (url, through)):
                    result = load(where, requests, connections=1)
                    if number:
                        results.append(result)
    for percentile, most in (("p50_ms", 2.0), ("p99_ms", 2.5)):
        with_us = statistics.median(result[percentile] for result in through)
        without = statistics.median(result[percentile] for result in direct)
        row(
            f"added by forwarding / direct to {name}, {percentile[:3]}",
            f"{with_us - without:.2f} ms / {without:.2f} ms",
            (with_us - without) / without,
            at_most(most),
        )


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
        at_most(1.13),
    )


def resident_mib(pid: int) -> float:
    kib = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], check=True, capture_output=True, text=True).stdout
    return int(kib) / 1024
