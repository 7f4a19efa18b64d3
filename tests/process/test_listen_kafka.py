from __future__ import annotations

from pathlib import Path

import pytest

from port_hook_cli.captures.store.capture_store import open_store
from tests.factories import RUN_ID
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

    assert (status, rest[-1]["type"], rest[-1]["verified"], rest[-1]["waiting"]) == (0, "summary", 1, [RUN_ID])
    assert (record["verdict"]["status"], record["verdict"]["signed_form"]) == ("valid", "kafka")
    assert (record["kafka"]["topic"], record["kafka"]["partition"]) == (runs, 1)
    with open_store(tmp_path / ".port-hook" / "captures.db", tmp_path) as store:
        kept = store.get("last").invocation
    assert (kept.body, kept.origin and kept.origin[:2]) == (message, (runs, 1))
