from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from port_hook_cli.errors import BrokerError, SettingsError
from port_hook_cli.kafka.connection import (
    KafkaConnection,
    SecurityProtocol,
    client_settings,
    is_loopback_broker,
    reject_elsewhere,
)
from port_hook_cli.text.secret import Secret

PORTS_OWN = KafkaConnection(
    brokers=("b-1.example.com:9196", "b-2.example.com:9196"), username="org_1", password=Secret("not-for-the-screen")
)
LOCAL = KafkaConnection(brokers=("127.0.0.1:1",), protocol=SecurityProtocol.PLAINTEXT)


def test_connection_is_sasl_ssl_with_scram_by_default() -> None:
    settings = client_settings(PORTS_OWN)

    assert settings["bootstrap.servers"] == "b-1.example.com:9196,b-2.example.com:9196"
    assert (settings["security.protocol"], settings["sasl.mechanism"]) == ("SASL_SSL", "SCRAM-SHA-512")
    assert (settings["sasl.username"], settings["sasl.password"]) == ("org_1", "not-for-the-screen")
    assert "ssl.ca.location" not in settings  # the system's authorities


def test_ca_file_is_passed_on() -> None:
    connection = KafkaConnection(
        brokers=("127.0.0.1:1",), username="u", password=Secret("p" * 8), ca_file=Path("/ca.pem")
    )

    assert client_settings(connection)["ssl.ca.location"] == "/ca.pem"


def test_password_is_not_in_the_repr() -> None:
    assert "not-for-the-screen" not in repr(PORTS_OWN)


@pytest.mark.parametrize("broker", ["127.0.0.1:9092", "localhost:9092", "[::1]:9092"])
def test_plaintext_is_for_a_broker_on_this_machine(broker: str) -> None:
    connection = KafkaConnection(brokers=(broker,), protocol=SecurityProtocol.PLAINTEXT)

    settings = client_settings(connection)

    assert settings["security.protocol"] == "PLAINTEXT"
    assert "sasl.password" not in settings


@pytest.mark.parametrize("broker", ["kafka.example.com:9092", "10.0.0.1:9092", "127.0.0.1.example.com:9092"])
def test_plaintext_to_another_machine_is_rejected(broker: str) -> None:
    connection = KafkaConnection(brokers=("127.0.0.1:9092", broker), protocol=SecurityProtocol.PLAINTEXT)

    with pytest.raises(SettingsError, match="without encryption"):
        client_settings(connection)


def test_connection_without_brokers_or_credentials_is_rejected() -> None:
    with pytest.raises(SettingsError, match="Kafka broker is not set"):
        client_settings(KafkaConnection(brokers=()))
    with pytest.raises(SettingsError, match="password is missing"):
        client_settings(KafkaConnection(brokers=("127.0.0.1:1",), username="u"))


@pytest.mark.parametrize(
    "broker",
    [
        "", "[::1", ":9092", "localhost:", "localhost:65536", "localhost#.example.com:1", "localhost?.example.com:1",
        "localhost/.example.com:1", "localhost@example.com:1", "localhost\\.example.com:1", "localhost:1\n", "a b:1",
        "PLAINTEXT://localhost:1", "localhost,example.com:1",
    ],
)  # fmt: skip
def test_ambiguous_address_is_rejected(broker: str) -> None:
    assert not is_loopback_broker(broker)
    for protocol in SecurityProtocol:
        with pytest.raises(SettingsError, match="is not the address of a Kafka broker"):
            client_settings(replace(PORTS_OWN, brokers=(broker,), protocol=protocol))


@pytest.mark.parametrize("broker", ["localhost", "kafka_1.example.com", "[fe80::1]:9092"])
def test_address_may_be_a_name_or_have_no_port(broker: str) -> None:
    assert client_settings(replace(PORTS_OWN, brokers=(broker,)))["bootstrap.servers"] == broker


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]"])
def test_cluster_may_refer_to_this_machine(host: str) -> None:
    reject_elsewhere(LOCAL, [(host, 9092)])


@pytest.mark.parametrize(
    ("host", "shown"),
    [("kafka.example.com", "kafka.example.com"), ("2001:db8::1", "[2001:db8::1]"), ("[::2]", "[::2]")],
)
def test_cluster_without_encryption_must_not_refer_to_another_machine(host: str, shown: str) -> None:
    with pytest.raises(BrokerError, match=re.escape(f"refers to {shown}:9092, which is not on this machine")):
        reject_elsewhere(LOCAL, [("127.0.0.1", 1), (host, 9092)])
    reject_elsewhere(replace(PORTS_OWN, brokers=("127.0.0.1:1",)), [(host, 9092)])
