"""Random kills and connection losses of a listener that reads topics: nothing acknowledged is lost.

The suite sends a few messages. `tests/campaign kafka` sends 9,000. `test_kafka_group_kills.py` kills members of a
consumer group.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from tests.kafka_clusters import running_tansu, tansu_program
from tests.kafka_front import KafkaFront, kafka_front
from tests.processes import KILLS, Listener, listener

pytestmark = pytest.mark.skipif(tansu_program() is None, reason="there is no Tansu for this system")
ORG = "org_1"
RUNS = f"{ORG}.runs"
PARTITIONS = 4
MESSAGES, ROUNDS = (9_000, 3) if KILLS else (300, 1)
ROUND_S = 2 if KILLS else 1
"""How long messages are sent for each kill."""
PATIENCE_S = 120


@asynccontextmanager
async def broker() -> AsyncIterator[KafkaFront]:
    """A broker whose connections can be cut."""
    async with kafka_front(None) as front:
        with running_tansu(front.address) as cluster:
            front.backend_port = int(cluster.address.rpartition(":")[2])
            await asyncio.to_thread(_make_topic, front.address)
            yield front


def _make_topic(address: str) -> None:
    client = AdminClient({"bootstrap.servers": address})
    for made in client.create_topics([NewTopic(RUNS, num_partitions=PARTITIONS, replication_factor=1)]).values():
        made.result(30)


@asynccontextmanager
async def reading(folder: Path, front: KafkaFront) -> AsyncIterator[Listener]:
    """Run a listener that reads the topic into the store of `folder`."""
    env = {"KAFKA_CONSUMER_BROKERS": front.address, "PORT_ORG_ID": ORG}
    context = listener(folder, "--kafka", "--store", str(folder / "captures.db"), env=env)
    running = await asyncio.to_thread(context.__enter__)  # the front serves it meanwhile
    try:
        yield running
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


def _body(number: int) -> bytes:
    return json.dumps({"number": number, "padding": "x" * 200}).encode()


def _send(address: str, count: int, *, per_second: int) -> None:
    """Send messages to all partitions at a pace that takes some time."""
    producer = Producer({"bootstrap.servers": address, "log_level": 0, "enable.idempotence": False})
    started = time.monotonic()
    for number in range(count):
        producer.produce(RUNS, _body(number), partition=number % PARTITIONS)
        while time.monotonic() < started + number / per_second:
            producer.poll(0.002)
    assert producer.flush(PATIENCE_S) == 0


def _stored(folder: Path) -> tuple[dict[int, set[int]], set[bytes]]:
    """Return the saved offsets by partition, and the bodies."""
    with closing(sqlite3.connect(f"file:{folder / 'captures.db'}?mode=ro", uri=True)) as store:
        rows = store.execute("SELECT kafka, body FROM captures").fetchall()
    offsets: dict[int, set[int]] = {}
    for kafka, _ in rows:
        origin = json.loads(kafka)
        offsets.setdefault(origin["partition"], set()).add(origin["offset"])
    return offsets, {body for _, body in rows}


def _kept(folder: Path) -> dict[int, int]:
    with closing(sqlite3.connect(f"file:{folder / 'captures.db'}?mode=ro", uri=True)) as store:
        return dict(store.execute("SELECT part, next_offset FROM kafka_positions WHERE topic = ?", [RUNS]).fetchall())


def _assert_nothing_acknowledged_is_missing(folder: Path) -> None:
    saved, _ = _stored(folder)
    for partition, position in _kept(folder).items():
        assert set(range(position)) <= saved.get(partition, set()), partition


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await asyncio.to_thread(is_so):  # noqa: ASYNC110 - another process makes it so
            await asyncio.sleep(0.1)


@pytest.mark.extended
async def test_killed_watcher_misses_nothing_and_commits_only_saved_messages(tmp_path: Path) -> None:
    async with broker() as front:
        async with reading(tmp_path, front) as first:  # the store has the positions from here on
            await asyncio.to_thread(first.stop)
        chance = random.Random()  # noqa: S311 - not a secret
        sent_all = asyncio.create_task(
            asyncio.to_thread(_send, front.address, MESSAGES, per_second=MESSAGES // (ROUNDS * ROUND_S))
        )
        for round_ in range(ROUNDS):
            saved_before = len(_stored(tmp_path)[1])
            async with reading(tmp_path, front) as running:
                # A listener that had caught up before it was killed gets nothing new once all are sent.
                await _until(lambda before=saved_before: sent_all.done() or len(_stored(tmp_path)[1]) > before)  # type: ignore[misc]
                await asyncio.sleep(chance.random() * ROUND_S / 2)
                if round_ == 0:
                    front.cut()
                    await asyncio.sleep(chance.random() * ROUND_S / 4)
                running.process.kill()
                running.process.wait()
            await asyncio.to_thread(_assert_nothing_acknowledged_is_missing, tmp_path)
        async with reading(tmp_path, front):
            await sent_all
            expected = {_body(number) for number in range(MESSAGES)}
            await _until(lambda: expected <= _stored(tmp_path)[1])
        await asyncio.to_thread(_assert_nothing_acknowledged_is_missing, tmp_path)
