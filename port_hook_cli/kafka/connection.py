"""How to connect to a Kafka cluster. Pure values, which `client.py` uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from port_hook_cli.errors import SettingsError
from port_hook_cli.runs.urls import is_loopback_url
from port_hook_cli.text.safe import brief
from port_hook_cli.text.secret import Secret

SCRAM = "SCRAM-SHA-512"
RUNS_SUFFIX = ".runs"
CHANGE_LOG_SUFFIX = ".change.log"
_CLIENT_ID = "port-hook"
# By default, librdkafka waits up to 10 s before it connects again.
_MAX_RECONNECT_PAUSE_MS = 2_000


class SecurityProtocol(StrEnum):
    """How a connection to a broker is protected. The names are librdkafka's."""

    PLAINTEXT = "PLAINTEXT"
    SASL_SSL = "SASL_SSL"


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaConnection:
    """A Kafka cluster, and the credentials for it.

    `brokers` are `HOST:PORT`. `mechanism`, `username`, `password` and `ca_file` are for SASL_SSL only; without
    `ca_file`, the system's certificate authorities are trusted.
    """

    brokers: tuple[str, ...]
    protocol: SecurityProtocol = SecurityProtocol.SASL_SSL
    mechanism: str = SCRAM
    username: str = ""
    password: Secret | None = field(default=None, repr=False)
    ca_file: Path | None = None

    @property
    def address(self) -> str:
        """The brokers as messages name them."""
        return brief(", ".join(self.brokers))


def client_settings(connection: KafkaConnection) -> dict[str, Any]:
    """Return what confluent-kafka needs to connect; raises SettingsError if the connection would not be protected.

    The result contains the password: never print it.
    """
    if not connection.brokers:
        raise SettingsError("No Kafka broker is set.", hint="Set KAFKA_CONSUMER_BROKERS to HOST:PORT.")
    settings: dict[str, Any] = {
        "bootstrap.servers": ",".join(connection.brokers),
        "client.id": _CLIENT_ID,
        "security.protocol": str(connection.protocol),
        "reconnect.backoff.max.ms": _MAX_RECONNECT_PAUSE_MS,
    }
    if connection.protocol is SecurityProtocol.PLAINTEXT:
        _refuse_unprotected(connection.brokers)
        return settings
    return settings | dict(_credentials(connection))


def _refuse_unprotected(brokers: tuple[str, ...]) -> None:
    for broker in brokers:
        if not is_loopback_broker(broker):
            raise SettingsError(
                f"Port's messages are not read from {brief(broker)} without encryption.",
                hint="Use SASL_SSL; PLAINTEXT is only for a broker on this machine.",
            )


def is_loopback_broker(broker: str) -> bool:
    """Return whether `HOST:PORT` is on this machine. Names other than localhost are not resolved."""
    try:
        return is_loopback_url(f"http://{broker}")
    except ValueError:
        return False


def _credentials(connection: KafkaConnection) -> Mapping[str, Any]:
    if not connection.username or connection.password is None:
        raise SettingsError("The Kafka user name or password is missing.", hint="SASL_SSL needs both.")
    settings = {
        "sasl.mechanism": connection.mechanism,
        "sasl.username": connection.username,
        "sasl.password": connection.password.reveal(),
    }
    return settings | ({"ssl.ca.location": str(connection.ca_file)} if connection.ca_file else {})
