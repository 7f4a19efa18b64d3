"""A Kafka broker ends the listener's process with a malformed frame. Acknowledged captures stay, and it resumes."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import pytest

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.captures.store.statements import StoreFilter
from port_hook_cli.invocations.models import Status
from tests.factories import signed
from tests.hostile.fuzzing import SECONDS, chance, how_to_repeat, report, rounds
from tests.hostile.hostile_broker import HostileBroker, claim_four_gibibytes, mutations
from tests.kafka_clusters import Cluster, a_message
from tests.processes import Listener, listener
from tests.servers import in_thread

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it limits the address space")

GIB = 1024**3
LIMIT = ("RLIMIT_AS", 3 * GIB, 3 * GIB)  # less memory than the frame claims, on any machine
MESSAGES = 100 if SECONDS else 15


@pytest.fixture
def broker(cluster: Cluster) -> Iterator[HostileBroker]:
    hostile = HostileBroker(int(cluster.address.rpartition(":")[2]))
    with in_thread(hostile.start):
        yield hostile


def body_of(name: str) -> bytes:
    return json.dumps({"name": name}).encode()


def post(running: Listener, name: str) -> bytes:
    body = body_of(name)
    assert running.post(body, signed(body, timestamp=str(int(time.time()))))[0] == 200
    return body


def await_message(running: Listener, offset: int) -> None:
    """Wait for the message at `offset`. One may come twice: its position is recorded a moment after it is saved."""
    while (running.record().get("kafka") or {}).get("offset") != offset:
        pass


def saved(folder: Path) -> Counter[bytes]:
    """Return the bodies of the captures whose signature is good."""
    with open_store(folder / ".port-hook" / "captures.db", folder) as store:
        return Counter(capture.invocation.body for capture in store.select(StoreFilter(status=Status.VALID)))


def test_listener_has_saved_acknowledged_messages_and_resumes_when_a_broker_ends_it(
    cluster: Cluster, org: str, broker: HostileBroker, tmp_path: Path
) -> None:
    env = {"KAFKA_CONSUMER_BROKERS": f"127.0.0.1:{broker.port}", "PORT_ORG_ID": org}
    messages = [a_message(RUN_ID=name) for name in ("before", "fatal", "after")]
    with listener(tmp_path, "--kafka", env=env, limit=LIMIT) as running:
        acknowledged = [post(running, f"before {number}") for number in range(20)]
        cluster.send(f"{org}.runs", messages[0])
        await_message(running, 0)
        broker.tampering = claim_four_gibibytes
        cluster.send(f"{org}.runs", messages[1])
        assert running.process.wait(30) == -signal.SIGABRT
    assert saved(tmp_path) == Counter([*acknowledged, messages[0]])  # each of them once

    broker.tampering = None
    with listener(tmp_path, "--kafka", env=env, limit=LIMIT) as running:
        acknowledged.append(post(running, "next"))
        cluster.send(f"{org}.runs", messages[2])
        await_message(running, 2)
        running.process.send_signal(signal.SIGTERM)
        _, notices = running.process.communicate(timeout=30)
    assert b"resuming where the last listener with this store stopped" in notices
    assert saved(tmp_path).keys() == {*acknowledged, *messages}


@pytest.mark.extended
def test_frames_of_a_hostile_broker_lose_no_acknowledged_message(cluster: Cluster, tmp_path: Path) -> None:
    ends: Counter[str] = Counter()
    frames = 0
    for number in rounds():
        folder = tmp_path / str(number)
        folder.mkdir()
        broker = HostileBroker(int(cluster.address.rpartition(":")[2]))
        with in_thread(broker.start):
            ends[attack(cluster, broker, folder, number)] += 1
        frames += broker.changed
    told = ", ".join(f"{count} times {end}" for end, count in sorted(ends.items()))
    report(f"Kafka: {frames} hostile frames in {number + 1} listeners, which ended {told}")
    assert frames


def attack(cluster: Cluster, broker: HostileBroker, folder: Path, number: int) -> str:
    """Change responses to one listener with requests and messages. Return how it ended."""
    rng = chance("broker", number)
    org = cluster.make_organization()
    env = {"KAFKA_CONSUMER_BROKERS": f"127.0.0.1:{broker.port}", "PORT_ORG_ID": org}
    acknowledged: list[bytes] = []
    messages = [a_message(RUN_ID=f"r_{index}") for index in range(10 * MESSAGES)]
    with listener(folder, "--kafka", env=env, limit=LIMIT) as running:
        broker.tampering = mutations(rng)
        for index, message in enumerate(messages):
            cluster.send(f"{org}.runs", message, partition=rng.randrange(4))
            with suppress(OSError, HTTPException):  # it has ended
                acknowledged.append(post(running, f"{number} {index}"))
            if running.process.poll() is not None or (index >= MESSAGES and broker.changed):
                break
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGTERM)
        running.process.communicate(timeout=60)
        code = running.process.returncode
    repeat = how_to_repeat(number)
    assert code in {0, -signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS}, (code, repeat)
    kept = saved(folder)
    assert not Counter(acknowledged) - kept, repeat
    assert kept.keys() <= {*messages, *(body_of(f"{number} {index}") for index in range(len(messages)))}, (
        repeat
    )  # the signature of a changed message is not good
    broker.tampering = None
    with listener(folder, "--kafka", env=env, limit=LIMIT) as running:
        acknowledged.append(post(running, f"{number} next"))
        running.process.send_signal(signal.SIGTERM)
        running.process.communicate(timeout=60)
        assert running.process.returncode == 0, repeat
    assert not Counter(acknowledged) - saved(folder), repeat
    return "as asked" if code == 0 else f"by {signal.Signals(-code).name}"
