"""The connection to a Kafka cluster, and the topics to read there. `client.py` uses these pure values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias

from port_hook_cli.errors import BrokerError, SettingsError, UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.targets import is_on_this_machine
from port_hook_cli.text.safe import brief
from port_hook_cli.text.secret import Secret

SCRAM = "SCRAM-SHA-512"
RUNS_SUFFIX = ".runs"
CHANGE_LOG_SUFFIX = ".change.log"
_CLIENT_ID = "port-hook"
_WATCH = "port-hook.watch"
# By default, librdkafka waits up to 10 s before it connects again.
_MAX_RECONNECT_PAUSE_MS = 2_000
_MAX_PORT = 65_535
_MAX_TEXT = 1_000
_address = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?"

TopicPart: TypeAlias = tuple[str, int]
"""A topic and the number of a partition."""


class SecurityProtocol(StrEnum):
    """The protection of a connection to a broker. The names are librdkafka's names."""

    PLAINTEXT = "PLAINTEXT"
    SASL_SSL = "SASL_SSL"


@frozen(kw_only=True)
class KafkaConnection:
    """A Kafka cluster, and the credentials for the cluster.

    `brokers` are `HOST:PORT`. `mechanism`, `username`, `password` and `ca_file` are only for SASL_SSL. Without
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
        """The addresses of the brokers, for messages to the user."""
        return brief(", ".join(self.brokers))


def client_settings(connection: KafkaConnection) -> dict[str, Any]:
    """Return the settings that confluent-kafka needs to connect. Raises SettingsError for an unprotected connection.

    The result contains the password, so it must never be printed.
    """
    if not connection.brokers:
        raise SettingsError("The Kafka broker is not set.", hint="Set KAFKA_CONSUMER_BROKERS to HOST:PORT.")
    for broker in connection.brokers:
        if not is_broker_address(broker):
            raise SettingsError(f"{brief(broker)} is not the address of a Kafka broker.", hint="Write it as HOST:PORT.")
    settings: dict[str, Any] = {
        "bootstrap.servers": ",".join(connection.brokers),
        "client.id": _CLIENT_ID,
        "security.protocol": str(connection.protocol),
        "reconnect.backoff.max.ms": _MAX_RECONNECT_PAUSE_MS,
    }
    if connection.protocol is SecurityProtocol.PLAINTEXT:
        _reject_unprotected(connection.brokers)
        return settings
    return settings | dict(_credentials(connection))


def _reject_unprotected(brokers: tuple[str, ...]) -> None:
    for broker in brokers:
        if not is_loopback_broker(broker):
            raise SettingsError(
                f"port-hook does not read Port's messages from {brief(broker)} without encryption.",
                hint="Use SASL_SSL. PLAINTEXT is only for a broker on this machine.",
            )


def is_broker_address(broker: str, *, needs_port: bool = False) -> bool:
    """Return whether `broker` is unambiguously `HOST:PORT`, or `HOST` if no port is needed.

    librdkafka and URL parsers would read other texts in different ways, and librdkafka truncates large ports.
    """
    match = re.fullmatch(_address, broker)
    return bool(match and (int(match[2]) <= _MAX_PORT if match[2] else not needs_port))


def is_usable_text(text: str) -> bool:
    """Return whether librdkafka accepts a name or password. For some text that is not UTF-8, it ends the process."""
    return 0 < len(text) <= _MAX_TEXT and "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text)


def is_loopback_broker(broker: str) -> bool:
    """Return whether the broker `HOST:PORT` is on this machine."""
    return is_broker_address(broker) and is_on_this_machine(f"http://{broker}")


def reject_elsewhere(connection: KafkaConnection, found: Iterable[tuple[str, int]]) -> None:
    """Raise BrokerError if an unencrypted cluster has brokers on other machines.

    `found` contains the hosts and ports to which the cluster refers its clients. Messages would pass through the
    network without encryption.
    """
    for host, port in found:
        if error := elsewhere(connection, f"{_bracketed(host)}:{port}"):
            raise error


def _bracketed(host: str) -> str:
    """Return a host in the form that URLs use. Some brokers advertise IPv6 addresses with brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def elsewhere(connection: KafkaConnection, broker: str) -> BrokerError | None:
    """Return an error if `broker` (HOST:PORT) is on another machine and the connection is not encrypted.

    Return None otherwise.
    """
    if connection.protocol is not SecurityProtocol.PLAINTEXT or is_loopback_broker(broker):
        return None
    return BrokerError(
        f"Kafka at {connection.address} refers to {brief(broker)}, which is not on this machine.",
        hint="Make the broker advertise 127.0.0.1 (in Kafka, the advertised.listeners setting).",
    )


def _credentials(connection: KafkaConnection) -> Mapping[str, Any]:
    if not connection.username or connection.password is None:
        raise SettingsError("The Kafka user name or password is missing.", hint="SASL_SSL needs both.")
    settings = {
        "sasl.mechanism": connection.mechanism,
        "sasl.username": connection.username,
        "sasl.password": connection.password.reveal(),
    }
    return settings | ({"ssl.ca.location": str(connection.ca_file)} if connection.ca_file else {})


@frozen(kw_only=True)
class KafkaPlan:
    """The topics to read, and how to read them.

    Without a `group`, the reader watches all partitions: other consumers still get their messages, and the reader
    doesn't commit offsets. Reading starts where the last listener with the same store stopped, or at the end if there
    was no such listener. With `since_s` (seconds since the epoch), reading starts at the first message from that time
    on. With `from_end`, reading always starts at the end. A group starts at its commits. A partition without a commit
    starts at the end, or at the time `since_s`. A watcher looks for new partitions and topics every
    `look_for_partitions_s` seconds. The brokers remove a group member after `session_timeout_s` seconds without a
    heartbeat.
    """

    org_id: str
    topics: tuple[str, ...]
    group: str | None = None
    since_s: float | None = None
    from_end: bool = False
    look_for_partitions_s: float = 30.0
    session_timeout_s: float = 10.0

    @property
    def group_id(self) -> str:
        """The group's ID for the client.

        Brokers let an organization use only groups whose ID starts with its own ID.
        """
        return self.group or f"{self.org_id}.{_WATCH}"


def is_agents_group(group: str, *, org_id: str, username: str) -> bool:
    """Return whether the execution agent may use this group.

    The name of the agent's group is the user name or the organization's ID.
    """
    return group in {org_id, username}


def check_group(group: str, *, org_id: str, username: str, user: str) -> None:
    """Raise UsageError if Port's brokers would reject the group. `user` is part of the suggested name."""
    if not (group.isprintable() and is_usable_text(group or "-")):
        raise UsageError(f"{brief(group)} is not a valid group name.", hint="Use letters, digits, dots and dashes.")
    if not group.startswith(org_id) and group != (username or org_id):
        raise UsageError(
            f"Port's brokers reject the group {brief(group)}: its name must start with {brief(org_id)}.",
            hint=f"Use, for example, --group {brief(org_id)}.port-hook.{brief(user)}",
        )
