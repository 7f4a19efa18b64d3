from __future__ import annotations

from pathlib import Path

import pytest

from port_hook_cli.captures.store.capture_store import open_store
from tests.kafka_clusters import Cluster, a_message
from tests.processes import listener


@pytest.fixture
def runs(org: str) -> str:
    """The topic of the organization's runs."""
    return f"{org}.runs"


@pytest.fixture
def kafka(cluster: Cluster, org: str) -> dict[str, str]:
    """The environment of a listener that reads from the cluster."""
    return {"KAFKA_CONSUMER_BROKERS": cluster.address, "PORT_ORG_ID": org}


def test_listen_kafka_shows_saves_and_verifies_a_message(
    cluster: Cluster, runs: str, kafka: dict[str, str], tmp_path: Path
) -> None:
    message = a_message(RUN_ID="r_1")
    with listener(tmp_path, "--kafka", env=kafka) as watching:
        cluster.send(runs, message, partition=1)
        record = watching.record()
        status, rest = watching.stop()

    assert (status, rest[-1]["type"], rest[-1]["verified"], rest[-1]["waiting"]) == (0, "summary", 1, [])
    assert (record["verdict"]["status"], record["verdict"]["reading"]) == ("valid", "kafka")
    assert (record["kafka"]["topic"], record["kafka"]["partition"]) == (runs, 1)
    with open_store(tmp_path / ".port-hook" / "captures.db", tmp_path) as store:
        kept = store.get("last").invocation
    assert (kept.body, kept.origin and kept.origin[:2]) == (message, (runs, 1))


def test_a_killed_listener_resumes_and_names_repeated_messages(
    cluster: Cluster, runs: str, kafka: dict[str, str], tmp_path: Path
) -> None:
    with listener(tmp_path, "--kafka", env=kafka) as first:
        cluster.send(runs, a_message(RUN_ID="first"), partition=2)
        first.record()
        first.process.kill()
    cluster.send(runs, a_message(RUN_ID="second"), partition=2)
    with listener(tmp_path, "--kafka", env=kafka) as second:
        records = [second.record()]
        if records[0]["kafka"] is not None and len(_captured(tmp_path)) < 2:
            records.append(second.record())
        second.process.terminate()
        _, notices = second.process.communicate(timeout=20)

    assert b"resuming where the last listener with this store stopped" in notices
    assert {b"first" in body or b"second" in body for body in _captured(tmp_path)} == {True}
    assert any(b"second" in body for body in _captured(tmp_path))


def _captured(folder: Path) -> list[bytes]:
    with open_store(folder / ".port-hook" / "captures.db", folder) as store:
        return [exchange.invocation.body for exchange in store.select()]
