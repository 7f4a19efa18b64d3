"""Publishing the sandbox's invocations to a Kafka topic, as Port does for its execution agent and for KAFKA actions."""

from __future__ import annotations

from typing import Any, Protocol

from port_hook_cli.kafka.connection import CHANGE_LOG_SUFFIX, RUNS_SUFFIX
from port_hook_cli.sandbox.state import SandboxState
from port_hook_cli.signatures.signing import TimestampUnit, signed_message


class Publishes(Protocol):
    """Publishes messages; `kafka.producer.KafkaPublisher` is one."""

    async def find(self, topic: str) -> None:
        """Create a topic, or raise BrokerError if no broker responds."""
        ...

    async def publish(self, topic: str, message: bytes) -> object:
        """Publish a message; the result says where it is. Raises BrokerError if it is not confirmed."""
        ...


class RunsTopic:
    """The topic of an organization's invocations. Its messages are signed like Port's."""

    def __init__(self, state: SandboxState, publisher: Publishes, unit: TimestampUnit) -> None:
        self._state = state
        self._publisher = publisher
        self._unit = unit

    @property
    def name(self) -> str:
        """The name of the topic."""
        return f"{self._state.organization['id']}{RUNS_SUFFIX}"

    async def open(self) -> None:
        """Make sure that a consumer finds the topic, and that of the change log; raises BrokerError."""
        for name in (self.name, f"{self._state.organization['id']}{CHANGE_LOG_SUFFIX}"):
            await self._publisher.find(name)

    async def publish(self, document: Any) -> str:
        """Publish a message and return where it is; raises BrokerError if it is not confirmed."""
        stamp = self._unit.stamp(self._state.now())
        return str(await self._publisher.publish(self.name, signed_message(document, self._state.client_secret, stamp)))
