from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.conftest import Result, Run
from tests.factories import SECRET
from tests.kafka_clusters import Cluster
from tests.sandboxes import a_sandbox, environ_of

ORG = "org_listen"
RUNS = f"{ORG}.runs"


@pytest.fixture
def kafka(cluster: Cluster) -> dict[str, str]:
    """The environment of a listener that reads from the cluster. No test here sends messages."""
    cluster.make(RUNS, f"{ORG}.change.log")
    return {"KAFKA_CONSUMER_BROKERS": cluster.address, "PORT_ORG_ID": ORG, "PORT_CLIENT_SECRET": SECRET.reveal()}


def test_forbidden_consumer_group_is_rejected(kafka: dict[str, str], run: Run) -> None:
    for options, message in (
        (("--group", "other"), f"its name must start with {ORG}"),
        (("--group", ORG), "is the execution agent's group: a listener in it consumes the agent's messages"),
        (("--group", ORG, "--take-over"), "cannot ask for confirmation of --take-over"),
        (("--group", f"{ORG}.agent", "--take-over"), "cannot ask for confirmation of --take-over"),
        (("--group", f"{ORG}.mine", "--take-over"), "so there is nothing to take over"),
    ):
        done = _listen(run, kafka | {"KAFKA_CONSUMER_GROUP_ID": f"{ORG}.agent"}, *options)

        assert (done.code, done.out) == (2, "")
        assert message in done.err
        assert "Traceback" not in done.err


def test_forwarding_warns_when_the_agent_handles_the_runs_too(kafka: dict[str, str], run: Run) -> None:
    done = _listen(run, kafka, "--forward-to", "9", "--stop-after", "0")

    assert "The execution agent handles these runs too" in done.err


def test_settings_in_the_current_directory_are_not_read(kafka: dict[str, str], run: Run, folder: Path) -> None:
    (folder / ".env").write_text("KAFKA_CONSUMER_BROKERS=127.0.0.1:9\nPORT_ORG_ID=another\nKAFKA_RUNS_TOPIC=x\n")
    done = _listen(run, kafka, "--stop-after", "0")

    assert done.code == 0, done.err
    assert RUNS in done.err


def test_current_directory_does_not_choose_the_agents_group(kafka: dict[str, str], run: Run, folder: Path) -> None:
    (folder / ".env").write_text(f"KAFKA_CONSUMER_GROUP_ID={ORG}.mine\n")
    done = _listen(run, kafka, "--group", f"{ORG}.mine", "--take-over")

    assert (done.code, done.out) == (2, "")
    assert "so there is nothing to take over" in done.err


def test_kafka_credentials_from_the_current_directory_are_not_used(
    kafka: dict[str, str], run: Run, folder: Path
) -> None:
    (folder / ".env").write_text("KAFKA_USERNAME=me\nKAFKA_PASSWORD=a-password-of-the-folder\n")
    done = _listen(run, kafka | {"KAFKA_CONSUMER_SECURITY_PROTOCOL": "SASL_SSL"}, "--stop-after", "0")

    assert (done.code, done.out) == (4, "")
    assert "PORT_CLIENT_ID" in done.err  # for the credentials that Port's API issues


@pytest.mark.parametrize("name", ["KAFKA_CONSUMER_BROKERS", "PORT_ORG_ID"])
def test_kafka_setting_is_missing_when_only_the_current_directory_has_it(
    name: str, kafka: dict[str, str], run: Run, folder: Path
) -> None:
    (folder / ".env").write_text(f"{name}={kafka.pop(name)}\n")
    done = _listen(run, kafka, "--stop-after", "0")

    assert (done.code, done.out) == (4, "")


def test_unknown_organization_is_an_error_with_a_next_step(kafka: dict[str, str], run: Run) -> None:
    del kafka["PORT_ORG_ID"]
    done = _listen(run, kafka)

    assert done.code == 4
    assert "The organization ID is unknown." in done.err
    assert "Set PORT_ORG_ID" in done.err


def test_missing_topics_exit_5(kafka: dict[str, str], run: Run) -> None:
    done = _listen(run, kafka | {"PORT_ORG_ID": "nobody"})

    assert done.code == 5
    assert "has no topic nobody.runs and nobody.change.log" in done.err


@pytest.mark.parametrize("command", [("listen", "--port", "0"), ("port-agent",)])
def test_secret_from_stdin_is_used_for_messages_and_for_the_api(
    command: tuple[str, ...], cluster: Cluster, run: Run
) -> None:
    with a_sandbox(kafka_brokers=[cluster.address]) as sandbox:
        env = environ_of(sandbox)
        secret = env.pop("PORT_CLIENT_SECRET")
        done = run(*command, "--kafka", "--secret-file", "-", stdin=secret.encode(), env=env)

    assert done.code == 5, done.err
    assert f"Kafka at {cluster.address} has no topic org_" in done.err


def _listen(run: Run, env: dict[str, str], *options: str) -> Result:
    return run("listen", "--port", "0", "--kafka", *options, env=env)


def test_missing_package_is_an_error_before_any_setting_is_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    monkeypatch.delitem(sys.modules, "port_hook_cli.kafka.client", raising=False)
    result = run("listen", "--kafka", "--port", "0", env={"PORT_CLIENT_SECRET": SECRET.reveal()})
    assert (result.code, result.out) == (4, "")
    assert "confluent-kafka is not installed." in result.err
