from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from port_hook_cli.captures.store import open_store
from tests.kafka_clusters import Cluster, a_message, running_cluster
from tests.processes import environment, listener

ORG = "org_1"
RUNS = f"{ORG}.runs"


@pytest.fixture(scope="module")
def shared_cluster() -> Iterator[Cluster]:
    with running_cluster(RUNS, f"{ORG}.change.log") as cluster:
        yield cluster


@pytest.fixture
def kafka(shared_cluster: Cluster) -> dict[str, str]:
    """The environment of a listener that reads from the cluster."""
    return {"KAFKA_CONSUMER_BROKERS": shared_cluster.address, "PORT_ORG_ID": ORG}


def test_listen_kafka_shows_saves_and_verifies_a_message(
    shared_cluster: Cluster, kafka: dict[str, str], tmp_path: Path
) -> None:
    message = a_message(RUN_ID="r_1")
    with listener(tmp_path, "--kafka", env=kafka) as watching:
        shared_cluster.send(RUNS, message, partition=1)
        record = watching.record()
        status, rest = watching.stop()

    assert (status, rest[-1]["type"], rest[-1]["verified"], rest[-1]["waiting"]) == (0, "summary", 1, [])
    assert (record["verdict"]["status"], record["verdict"]["reading"]) == ("valid", "kafka")
    assert (record["kafka"]["topic"], record["kafka"]["partition"]) == (RUNS, 1)
    with open_store(tmp_path / ".port-hook" / "captures.db", tmp_path) as store:
        kept = store.get("last").invocation
    assert (kept.body, kept.origin and kept.origin[:2]) == (message, (RUNS, 1))


def test_a_killed_listener_goes_on_and_names_what_comes_again(
    shared_cluster: Cluster, kafka: dict[str, str], tmp_path: Path
) -> None:
    with listener(tmp_path, "--kafka", env=kafka) as first:
        shared_cluster.send(RUNS, a_message(RUN_ID="first"), partition=2)
        first.record()
        first.process.kill()
    shared_cluster.send(RUNS, a_message(RUN_ID="second"), partition=2)
    with listener(tmp_path, "--kafka", env=kafka) as second:
        records = [second.record()]
        if records[0]["kafka"] is not None and len(_captured(tmp_path)) < 2:
            records.append(second.record())
        second.process.terminate()
        _, notices = second.process.communicate(timeout=20)

    assert b"going on where the last listener with this store stopped" in notices
    assert {b"first" in body or b"second" in body for body in _captured(tmp_path)} == {True}
    assert any(b"second" in body for body in _captured(tmp_path))


def _captured(folder: Path) -> list[bytes]:
    with open_store(folder / ".port-hook" / "captures.db", folder) as store:
        return [exchange.invocation.body for exchange in store.find()]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--group", "other"), "its name must start with org_1"),
        (("--group", ORG), "is the execution agent's group: a listener in it takes the agent's messages away"),
        (("--group", ORG, "--take-over"), "needs confirmation, but there is no terminal"),
        (("--group", f"{ORG}.agent", "--take-over"), "needs confirmation, but there is no terminal"),
        (("--group", f"{ORG}.mine", "--take-over"), "so there is nothing to take over"),
        (("--take-over",), "--take-over"),
        (("--since", "10m", "--from-end"), "--from-end"),
    ],
)
def test_a_group_that_must_not_be_joined_is_refused(
    options: tuple[str, ...], message: str, kafka: dict[str, str], tmp_path: Path
) -> None:
    done = _listen(tmp_path, "--kafka", *options, **kafka, KAFKA_CONSUMER_GROUP_ID=f"{ORG}.agent")

    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_forwarding_warns_that_the_agent_handles_the_runs_too(kafka: dict[str, str], tmp_path: Path) -> None:
    done = _listen(tmp_path, "--kafka", "--forward-to", "9", "--timeout", "0", **kafka)

    assert "The execution agent handles these runs, too" in done.stderr


def test_settings_in_the_working_folder_are_not_read(kafka: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KAFKA_CONSUMER_BROKERS=127.0.0.1:9\nPORT_ORG_ID=another\nKAFKA_RUNS_TOPIC=x\n")
    done = _listen(tmp_path, "--kafka", "--timeout", "0", **kafka)

    assert done.returncode == 0, done.stderr
    assert RUNS in done.stderr


def test_an_unknown_organization_is_an_error_with_a_next_step(kafka: dict[str, str], tmp_path: Path) -> None:
    del kafka["PORT_ORG_ID"]
    done = _listen(tmp_path, "--kafka", **kafka)

    assert done.returncode == 4
    assert "The organization's id is not known." in done.stderr
    assert "Set PORT_ORG_ID" in done.stderr


def test_missing_topics_exit_5(kafka: dict[str, str], tmp_path: Path) -> None:
    done = _listen(tmp_path, "--kafka", **(kafka | {"PORT_ORG_ID": "nobody"}))

    assert done.returncode == 5
    assert "has no topic nobody.runs and nobody.change.log" in done.stderr


def test_a_listener_without_the_package_says_how_to_install_it(kafka: dict[str, str], tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['confluent_kafka'] = None\n"
        "from port_hook_cli.cli.app import main; sys.exit(main(['listen', '--kafka', '--port', '0']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(tmp_path, **kafka),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 5
    assert "Kafka needs confluent-kafka, which is not installed." in done.stderr
    assert "confluent-kafka" in done.stderr.splitlines()[-1]


def _listen(folder: Path, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "port_hook_cli", "listen", "--port", "0", *options],
        cwd=folder,
        env=environment(folder, **env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_capture_file_of_a_message_is_read_back(
    shared_cluster: Cluster, kafka: dict[str, str], tmp_path: Path
) -> None:
    with listener(tmp_path, "--kafka", "--once", env=kafka) as watching:
        shared_cluster.send(RUNS, a_message(), partition=3)
        record = watching.record()
    shown = subprocess.run(
        [sys.executable, "-m", "port_hook_cli", "show", record["id"], "--json"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert json.loads(shown.stdout)["kafka"]["topic"] == RUNS
