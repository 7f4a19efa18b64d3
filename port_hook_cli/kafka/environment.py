"""The Kafka settings, under the names that Port's execution agent reads.

The settings come from the environment or from `~/.port/.env`, never from the current directory, because they decide
where a password and Port's messages go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from port_hook_cli.errors import PortApiError, SettingsError
from port_hook_cli.files.dotenv import home_dotenv
from port_hook_cli.frozen import frozen
from port_hook_cli.kafka.connection import (
    CHANGE_LOG_SUFFIX,
    RUNS_SUFFIX,
    SCRAM,
    KafkaConnection,
    SecurityProtocol,
    is_loopback_broker,
    is_usable_text,
)
from port_hook_cli.text.safe import brief
from port_hook_cli.text.secret import Secret

ORG_ID = "PORT_ORG_ID"
BROKERS = "KAFKA_CONSUMER_BROKERS"
PROTOCOL = "KAFKA_CONSUMER_SECURITY_PROTOCOL"
MECHANISM = "KAFKA_CONSUMER_AUTHENTICATION_MECHANISM"
GROUP_ID = "KAFKA_CONSUMER_GROUP_ID"
RUNS_TOPIC = "KAFKA_RUNS_TOPIC"
CHANGE_LOG_TOPIC = "KAFKA_CHANGE_LOG_TOPIC"
USERNAME, PASSWORD, CA_FILE = "KAFKA_USERNAME", "KAFKA_PASSWORD", "KAFKA_CA_FILE"
"""The settings that only port-hook reads. The agent gets the user name and password from Port's API."""

_MOST_BROKERS = 100
_MAX_BROKER = 300


@frozen(kw_only=True)
class KafkaSettings:
    """The settings in the user's own places. A missing setting is None."""

    org_id: str | None = None
    brokers: tuple[str, ...] = ()
    protocol: SecurityProtocol | None = None
    username: str | None = None
    password: Secret | None = field(default=None, repr=False)
    ca_file: Path | None = None
    agents_group: str | None = None
    runs_topic: str | None = None
    change_log_topic: str | None = None

    @property
    def needs_api(self) -> bool:
        """Whether brokers or credentials must come from Port's API."""
        if not self.brokers:
            return True
        return self._protocol(self.brokers) is SecurityProtocol.SASL_SSL and not (self.username and self.password)

    @property
    def is_complete(self) -> bool:
        """Whether the brokers, the credentials and the organization's ID are known without Port's API."""
        return not self.needs_api and self.org_id is not None

    def topics(self, org_id: str) -> tuple[str, ...]:
        """Return the topics of the runs and of the change log."""
        return self.runs_topic or org_id + RUNS_SUFFIX, self.change_log_topic or org_id + CHANGE_LOG_SUFFIX

    def connection(self, given: KafkaConnection | None = None) -> KafkaConnection:
        """Return the connection. `given` is what Port's API returned, or None if port-hook did not call the API.

        The user's own password is only for the user's own brokers, not for brokers that an API names.
        """
        brokers = self.brokers or (given.brokers if given else ())
        is_own = bool(self.brokers) and self.username is not None and self.password is not None
        return KafkaConnection(
            brokers=brokers,
            protocol=self._protocol(brokers),
            username=(self.username if is_own else given.username if given else "") or "",
            password=self.password if is_own else given.password if given else None,
            ca_file=self.ca_file,
        )

    def _protocol(self, brokers: tuple[str, ...]) -> SecurityProtocol:
        if self.protocol is not None:
            return self.protocol
        is_local = bool(brokers) and all(map(is_loopback_broker, brokers))
        return SecurityProtocol.PLAINTEXT if is_local else SecurityProtocol.SASL_SSL


def read_kafka_settings(environ: Mapping[str, str], home: Path) -> KafkaSettings:
    """Return the settings in the environment and in `~/.port/.env`. Raises SettingsError."""
    values = {**home_dotenv(home, "KAFKA_").values, **home_dotenv(home, ORG_ID).values}
    values |= {name: value for name, value in environ.items() if name.startswith("KAFKA_") or name == ORG_ID}
    said = {name: value.strip() for name, value in values.items() if value.strip()}
    for name, value in said.items():
        if not is_usable_text(value):
            raise SettingsError(f"{name} is too long, or not UTF-8 text.", hint="Correct or unset it.")
    _check_mechanism(said.get(MECHANISM))
    ca_file = said.get(CA_FILE)
    return KafkaSettings(
        org_id=said.get(ORG_ID),
        brokers=tuple(broker.strip() for broker in said.get(BROKERS, "").split(",") if broker.strip()),
        protocol=_read_protocol(said.get(PROTOCOL)),
        username=said.get(USERNAME),
        password=Secret(values[PASSWORD]) if said.get(PASSWORD) else None,
        ca_file=None if ca_file is None else _existing(home, ca_file),
        agents_group=said.get(GROUP_ID),
        runs_topic=said.get(RUNS_TOPIC),
        change_log_topic=said.get(CHANGE_LOG_TOPIC),
    )


def read_credentials(response: Mapping[str, Any]) -> KafkaConnection:
    """Return the connection in a response of `GET /v1/kafka-credentials`. Raises PortApiError."""
    given = response.get("credentials")
    found = given if isinstance(given, dict) else {}
    brokers, username, password = found.get("brokers"), found.get("username"), found.get("password")
    if not (
        isinstance(brokers, list)
        and 0 < len(brokers) <= _MOST_BROKERS
        and all(isinstance(broker, str) and 0 < len(broker) <= _MAX_BROKER and "," not in broker for broker in brokers)
        and isinstance(username, str)
        and isinstance(password, str)
        and all(map(is_usable_text, (*brokers, username, password)))
    ):
        raise PortApiError(
            "Port's API returned no credentials for Kafka.",
            hint="Ask Port to enable Kafka for your organization, or set KAFKA_CONSUMER_BROKERS.",
        )
    return KafkaConnection(brokers=tuple(brokers), username=username, password=Secret(password))


def _read_protocol(text: str | None) -> SecurityProtocol | None:
    if text is None:
        return None
    try:
        return SecurityProtocol(text.upper())
    except ValueError:
        raise SettingsError(
            f"{PROTOCOL} is {brief(text)}, which port-hook does not use.", hint="Set it to SASL_SSL or PLAINTEXT."
        ) from None


def _check_mechanism(text: str | None) -> None:
    if text is not None and text.upper() not in {SCRAM, "NONE"}:
        raise SettingsError(
            f"{MECHANISM} is {brief(text)}, which port-hook does not use.", hint=f"Set it to {SCRAM}, or unset it."
        )


def _existing(home: Path, name: str) -> Path:
    path = home / name[2:] if name.startswith("~/") else Path(name)
    if not path.is_absolute():
        raise SettingsError(f"{CA_FILE} is {brief(name)}, which is a relative path.", hint="Write the absolute path.")
    if not path.is_file():
        raise SettingsError(f"{CA_FILE} is {brief(name)}, which is not a file.", hint="Correct or unset it.")
    return path
