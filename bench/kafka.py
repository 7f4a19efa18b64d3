"""How `listen --kafka` receives messages: saved per second, from sent to shown, and its memory."""

from __future__ import annotations

import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from confluent_kafka import Producer

from bench.measuring import PORT_HOOK, SECRET, at_least, at_most, row
from bench.receiving import resident_mib
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.kafka.messages import message_headers
from port_hook_cli.signatures.messages import verify_received_without_diagnosis
from port_hook_cli.text.secret import Secret
from tests.call_counts import counted_calls
from tests.kafka_clusters import Cluster, a_message, running_cluster
from tests.processes import environment

_ORG = "org_bench"
_TOPIC = f"{_ORG}.runs"
# More than the signatures that a listener remembers, so that no message is a replay.
_DIFFERENT = 12_000
_TIMEOUT_S = 300


def kafka(messages: int = 100_000, single: int = 300) -> None:
    values = [a_message(RUN_ID=f"r_{number:016}", secret=Secret(SECRET)) for number in range(_DIFFERENT)]
    with running_cluster(_TOPIC, f"{_ORG}.change.log") as cluster, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with watching(cluster, folder) as (process, store):
            send(cluster, values, 1_000)
            wait_for(store, 1_000)
            after_1000 = resident_mib(process.pid)
            cpu = cpu_s(process.pid)
            started = time.perf_counter()
            send(cluster, values, messages, ahead=5_000, store=store, had=1_000)
            wait_for(store, messages + 1_000)
            took_s = time.perf_counter() - started
            spent_s = cpu_s(process.pid) - cpu
            after_all = resident_mib(process.pid)
    row("messages of 1 kB verified, saved and shown", "", messages / took_s, at_least(5_000, "/s"))
    row("the same per second of the listener's CPU time", "", messages / spent_s, at_least(5_000, "/s"))
    row(
        f"memory after {messages:,} / after 1,000 messages",
        f"{after_all:.1f} MiB / {after_1000:.1f} MiB",
        after_all / after_1000,
        at_most(1.13),
    )
    row("calls of port-hook's functions to read and verify one", "", calls_per_message(values[0]), at_most(54, "calls"))
    latency(values, single)


def calls_per_message(value: bytes) -> int:
    """Return how many of port-hook's functions are called for the headers, the verdict and the payload of a message."""
    with counted_calls() as calls:
        headers = message_headers(value)
        verify_received_without_diagnosis(
            headers, value, Secret(SECRET), is_message=True, now=time.time(), tolerance_s=300, seen=None
        )
        read_payload(value, headers)
    return calls.count


def latency(values: list[bytes], count: int) -> None:
    """Send messages apart from each other, and measure until each is printed.

    The screen is written at most ten times a second, so a message right after another one would wait for it.
    """
    with (
        running_cluster(_TOPIC, f"{_ORG}.change.log") as cluster,
        tempfile.TemporaryDirectory() as name,
        watching(cluster, Path(name), stdout=subprocess.PIPE) as (process, _),
    ):
        assert process.stdout is not None
        process.stdout.readline()  # ready
        producer = Producer({"bootstrap.servers": cluster.address, "linger.ms": 0, "log_level": 0})
        took_ms = []
        for number in range(count + 20):
            time.sleep(0.11 + number % 7 / 200)
            started = time.perf_counter()
            producer.produce(_TOPIC, values[number], partition=number % 4)
            producer.poll(0)
            process.stdout.readline()
            took_ms.append((time.perf_counter() - started) * 1000)
    cuts = statistics.quantiles(took_ms[20:], n=100)
    row("from sent to printed, p99", f"p50 {cuts[49]:.1f} ms", cuts[98], at_most(50, "ms"))


@contextmanager
def watching(
    cluster: Cluster, folder: Path, stdout: int = subprocess.DEVNULL
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run `listen --kafka --json`, and return its process and its store when it reads."""
    store = folder / "captures.db"
    env = environment(folder, KAFKA_CONSUMER_BROKERS=cluster.address, PORT_ORG_ID=_ORG, PORT_CLIENT_SECRET=SECRET)
    options = ["--kafka", "--port", "0", "--json", "--store", str(store)]
    errors = folder / "stderr"
    with errors.open("wb") as stderr:
        process = subprocess.Popen([*PORT_HOOK, "listen", *options], stdout=stdout, stderr=stderr, cwd=folder, env=env)
        try:
            while b"Stop with Ctrl-C" not in errors.read_bytes():
                assert process.poll() is None, errors.read_text()
                time.sleep(0.05)
            yield process, store
        finally:
            process.terminate()
            process.communicate()


def send(
    cluster: Cluster,
    values: list[bytes],
    count: int,
    *,
    ahead: int | None = None,
    store: Path | None = None,
    had: int = 0,
) -> None:
    """Send messages; the mock cluster keeps only 5 MB of a partition, so at most `ahead` more than were saved."""
    producer = Producer({"bootstrap.servers": cluster.address, "log_level": 0, "queue.buffering.max.messages": 200_000})
    for number in range(count):
        if ahead and store and number % 1_000 == 0:
            producer.flush()
            wait_for(store, had + number - ahead)
        producer.produce(_TOPIC, values[number % _DIFFERENT], partition=number % 4)
    assert producer.flush(_TIMEOUT_S) == 0


def wait_for(store: Path, count: int) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        while (connection.execute("SELECT coalesce(max(seq), 0) FROM captures").fetchone()[0]) < count:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def cpu_s(pid: int) -> float:
    """Return the seconds of CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
