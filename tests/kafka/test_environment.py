from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.errors import PortApiError, SettingsError
from port_hook_cli.kafka.connection import KafkaConnection, SecurityProtocol, client_settings
from port_hook_cli.kafka.environment import read_credentials, read_kafka_settings
from port_hook_cli.text.secret import Secret

GIVEN = KafkaConnection(brokers=("b.example.com:9196",), username="org_1", password=Secret("from-port"))


def test_connection_needs_only_ports_api(tmp_path: Path) -> None:
    settings = read_kafka_settings({}, tmp_path)

    assert settings.needs_api
    assert settings.connection(GIVEN) == GIVEN
    assert settings.topics("org_1") == ("org_1.runs", "org_1.change.log")


def test_settings_with_the_agents_names_are_read(tmp_path: Path) -> None:
    settings = read_kafka_settings(
        {
            "PORT_ORG_ID": "org_2",
            "KAFKA_CONSUMER_BROKERS": "127.0.0.1:9092, localhost:9093",
            "KAFKA_CONSUMER_SECURITY_PROTOCOL": "plaintext",
            "KAFKA_CONSUMER_AUTHENTICATION_MECHANISM": "none",
            "KAFKA_CONSUMER_GROUP_ID": "org_2.agent",
            "KAFKA_RUNS_TOPIC": "my.runs",
            "KAFKA_CHANGE_LOG_TOPIC": "my.log",
        },
        tmp_path,
    )

    assert (settings.org_id, settings.agents_group, settings.needs_api) == ("org_2", "org_2.agent", False)
    assert settings.topics("org_2") == ("my.runs", "my.log")
    assert settings.connection() == KafkaConnection(
        brokers=("127.0.0.1:9092", "localhost:9093"), protocol=SecurityProtocol.PLAINTEXT
    )


def test_brokers_on_this_machine_are_plaintext_by_default(tmp_path: Path) -> None:
    local = {"KAFKA_CONSUMER_BROKERS": "127.0.0.1:9092"}

    assert read_kafka_settings(local, tmp_path).connection().protocol is SecurityProtocol.PLAINTEXT
    secured = read_kafka_settings(local | {"KAFKA_CONSUMER_SECURITY_PROTOCOL": "SASL_SSL"}, tmp_path)
    assert secured.connection(GIVEN).protocol is SecurityProtocol.SASL_SSL
    assert secured.needs_api


def test_other_brokers_are_never_plaintext_by_default(tmp_path: Path) -> None:
    remote = {"KAFKA_CONSUMER_BROKERS": "127.0.0.1:9092,kafka.example.com:9092"}

    assert read_kafka_settings(remote, tmp_path).connection(GIVEN).protocol is SecurityProtocol.SASL_SSL
    plain = read_kafka_settings(remote | {"KAFKA_CONSUMER_SECURITY_PROTOCOL": "PLAINTEXT"}, tmp_path)
    with pytest.raises(
        SettingsError, match=r"does not read Port's messages from kafka\.example\.com:9092 without encryption"
    ):
        client_settings(plain.connection())


def test_own_credentials_and_authority_are_used_together(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.touch()
    environ = {
        "KAFKA_CONSUMER_BROKERS": "kafka.example.com:9096",
        "KAFKA_USERNAME": "me",
        "KAFKA_PASSWORD": "my-password",
        "KAFKA_CA_FILE": "~/ca.pem",
    }
    settings = read_kafka_settings(environ, tmp_path)

    assert not settings.needs_api
    assert settings.connection() == KafkaConnection(
        brokers=("kafka.example.com:9096",), username="me", password=Secret("my-password"), ca_file=authority
    )
    assert "my-password" not in repr(settings)


def test_users_own_password_is_not_sent_to_brokers_from_an_api(tmp_path: Path) -> None:
    settings = read_kafka_settings({"KAFKA_USERNAME": "me", "KAFKA_PASSWORD": "my-own-password"}, tmp_path)

    assert settings.needs_api
    assert settings.connection(GIVEN) == GIVEN


@pytest.mark.parametrize("name", ["KAFKA_USERNAME", "KAFKA_PASSWORD", "KAFKA_RUNS_TOPIC", "PORT_ORG_ID"])
@pytest.mark.parametrize("value", ["not-utf-8-\udcff", "x" * 1_001])
def test_text_is_rejected_when_it_would_end_the_process(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"{name} is too long, or not UTF-8") as refused:
        read_kafka_settings({name: value}, tmp_path)
    assert value not in str(refused.value)


def test_user_name_without_a_password_is_not_combined_with_ports_password(tmp_path: Path) -> None:
    connection = read_kafka_settings({"KAFKA_USERNAME": "me"}, tmp_path).connection(GIVEN)

    assert (connection.username, connection.password) == ("org_1", Secret("from-port"))


def test_users_own_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / ".port").mkdir(mode=0o700)
    file = tmp_path / ".port" / ".env"
    file.write_text("PORT_ORG_ID=org_file\nKAFKA_CONSUMER_BROKERS=127.0.0.1:1\n")
    file.chmod(0o600)
    settings = read_kafka_settings({"KAFKA_CONSUMER_BROKERS": "127.0.0.1:2"}, tmp_path)

    assert (settings.org_id, settings.brokers) == ("org_file", ("127.0.0.1:2",))


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"KAFKA_CONSUMER_SECURITY_PROTOCOL": "SSL"}, "KAFKA_CONSUMER_SECURITY_PROTOCOL is SSL"),
        ({"KAFKA_CONSUMER_AUTHENTICATION_MECHANISM": "PLAIN"}, "MECHANISM is PLAIN"),
        ({"KAFKA_CA_FILE": "/no/such.pem"}, "not a file"),
        ({"KAFKA_CA_FILE": "ca.pem"}, "relative"),
    ],
)
def test_invalid_setting_is_an_error(environ: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=message):
        read_kafka_settings(environ, tmp_path)


def test_credentials_are_read_from_ports_response() -> None:
    given = {"brokers": ["b.example.com:9196"], "username": "org_1", "password": "from-port"}

    assert read_credentials({"ok": True, "credentials": given}) == GIVEN


@pytest.mark.parametrize(
    "given",
    [
        None,
        {},
        {"brokers": [], "username": "u", "password": "p"},
        {"brokers": ["a:1,b:2"], "username": "u", "password": "p"},
        {"brokers": ["x" * 1_000], "username": "u", "password": "p"},
        {"brokers": ["a:1"], "username": 1, "password": "p"},
        {"brokers": ["a:1"], "username": "u"},
    ],
)
def test_response_without_credentials_is_an_error(given: Any) -> None:
    with pytest.raises(PortApiError, match="returned no credentials for Kafka"):
        read_credentials({"credentials": given})
