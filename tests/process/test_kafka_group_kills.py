"""Two listeners in a consumer group that are killed repeatedly while messages arrive: the group loses no message.

Each listener has its own store. The broker, which has the messages and the commits, is a process that is never killed.
It detects a killed member after ten seconds, so 100 kills take about 20 minutes, most of them idle.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count, islice
from pathlib import Path
from random import Random
from typing import TypeAlias

import pytest
from confluent_kafka import KafkaError, Message

from tests.hostile.fuzzing import chance, how_to_repeat, report
from tests.kafka_clusters import Cluster, a_message, running_tansu, tansu_program
from tests.processes import KILLS, PORT_HOOK, environment

pytestmark = [
    pytest.mark.skipif(tansu_program() is None, reason="there is no Tansu for this system"),
    pytest.mark.skipif(not KILLS, reason="`tests/campaign kill` runs this: it takes minutes"),
    pytest.mark.timeout(300 + 60 * KILLS),
]
ORG = "org_1"
RUNS, GROUP = f"{ORG}.runs", f"{ORG}.port-hook.me"
PARTITIONS = 4
# Messages are sent in batches, because Tansu stops responding when it has about 28,000 batches.
BATCH, PAUSE_S = 20, 0.5
PATIENCE_S = 180

Place: TypeAlias = tuple[int, int]
"""A partition and an offset."""


@contextmanager
def feeding(cluster: Cluster) -> Iterator[dict[Place, bytes]]:
    """Send messages to all partitions until the end of the context. Yield the messages that the broker has stored."""
    sent: dict[Place, bytes] = {}
    producer, numbers, stopping = cluster.producer(), count(), threading.Event()

    def delivered(error: KafkaError | None, message: Message) -> None:
        assert error is None, error
        sent[message.partition() or 0, message.offset() or 0] = message.value() or b""

    def run() -> None:
        while not stopping.wait(PAUSE_S):
            for number in islice(numbers, BATCH):
                body = a_message({"number": number})
                producer.produce(RUNS, body, partition=number % PARTITIONS, on_delivery=delivered)
            assert producer.flush(PATIENCE_S) == 0

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield sent
    finally:
        stopping.set()
        thread.join()


class Member:
    """A listener in the group, whose store outlives its processes. `saved` has the messages in the store, in order."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        folder.mkdir()
        self._folder = folder
        self._env = environment(folder, KAFKA_CONSUMER_BROKERS=cluster.address, PORT_ORG_ID=ORG)
        self.saved: list[tuple[Place, bytes]] = []
        self._seq = self._saved_before = 0

    def start(self) -> None:
        options = ("--group", GROUP, "--store", "captures.db")
        with (self._folder / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                [*PORT_HOOK, "listen", "--json", "--port", "0", "--kafka", *options],
                cwd=self._folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
        self._saved_before = len(self.saved)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def is_reading(self) -> bool:
        """Return whether this process has saved messages."""
        self.look()
        return len(self.saved) > self._saved_before

    def has_partitions(self) -> bool:
        """Return whether the group has given partitions to this process."""
        told = (self._folder / "stderr").read_bytes()
        assert self._process.poll() is None, told
        return b"gave this listener" in told

    def look(self) -> None:
        """Read the new captures of the store."""
        path = self._folder / "captures.db"
        if path.exists():
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
                query = "SELECT seq, kafka, body FROM captures WHERE seq > ? ORDER BY seq"
                for seq, kafka, body in store.execute(query, [self._seq]).fetchall():
                    origin = json.loads(kafka)
                    self.saved.append(((origin["partition"], origin["offset"]), body))
                    self._seq = seq


@contextmanager
def two_members(folder: Path, cluster: Cluster) -> Iterator[tuple[Member, Member]]:
    first, second = Member(folder / "first", cluster), Member(folder / "second", cluster)
    first.start()
    try:
        until(first.has_partitions)
        second.start()
        try:
            until(second.has_partitions)
            yield first, second
        finally:
            second.kill()
    finally:
        first.kill()


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_for_a_moment(victim: Member, rng: Random) -> None:
    """Wait until the listener reads, until it has partitions, or for a time in which it may not have any."""
    kind = rng.choice(["reading", "reading", "given", "any"])
    if kind == "reading":
        until(victim.is_reading)
    elif kind == "given":
        until(victim.has_partitions)
    time.sleep(rng.random() * {"reading": PAUSE_S, "given": 0.05, "any": 4}[kind])


def times_saved(members: Sequence[Member]) -> Counter[Place]:
    """Return how often each message was saved."""
    for member in members:
        member.look()
    return Counter(place for member in members for place, _ in member.saved)


def kill_repeatedly(cluster: Cluster, members: Sequence[Member], rng: Random) -> tuple[Counter[Place], int]:
    """Return at how many kills each message was saved and not committed, and how many killed listeners were reading."""
    uncommitted: Counter[Place] = Counter()
    reading = 0
    for number in range(KILLS):
        victim = rng.choice(members)
        wait_for_a_moment(victim, rng)
        victim.kill()
        reading += victim.is_reading()
        committed = cluster.committed(GROUP, RUNS)
        saved = times_saved(members)
        for part, offset in committed.items():
            assert all((part, before) in saved for before in range(offset)), how_to_repeat(number)
        uncommitted.update(place for place in saved if place[1] >= committed[place[0]])
        time.sleep(rng.choice([0, 0, rng.random() * 3, 12]))  # after ten seconds, the other listener gets everything
        victim.start()
    return uncommitted, reading


@pytest.mark.extended
def test_two_killed_group_members_lose_no_message(tmp_path: Path) -> None:
    with running_tansu() as cluster:
        cluster.make_with_partitions(RUNS, PARTITIONS)
        with two_members(tmp_path, cluster) as members:
            with feeding(cluster) as sent:
                uncommitted, reading = kill_repeatedly(cluster, members, chance("Kafka group"))
            ends = Counter(part for part, _ in sent)
            until(lambda: cluster.committed(GROUP, RUNS) == ends)
    saved = times_saved(members)
    lost = sent.keys() - saved.keys()
    again = saved - Counter(saved.keys())
    unexplained = again - uncommitted
    report(
        f"Kafka group: {len(sent)} messages, {KILLS} kills, {reading} of them while reading, {len(lost)} lost, "
        f"{again.total()} saved again, {unexplained.total()} of them although they were committed at each kill"
    )
    assert not lost, how_to_repeat()
    assert not unexplained, how_to_repeat()
    assert all(sent[place] == body for member in members for place, body in member.saved)
    assert reading
