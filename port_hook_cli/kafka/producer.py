"""Publishes messages to a Kafka topic, and waits until the broker confirms each message.

Starts brokers on this machine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Self

from port_hook_cli.errors import BrokerError, UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.kafka.connection import (
    KafkaConnection,
    SecurityProtocol,
    client_settings,
    is_broker_address,
    is_loopback_broker,
    reject_elsewhere,
)
from port_hook_cli.text.safe import brief

if TYPE_CHECKING:
    from port_hook_cli.kafka.client import KafkaError, Producer


PUBLISH_TIMEOUT_S = 10.0
_FIND_TIMEOUT_S = 5.0
_POLL_S = 0.05
_HINT = "Check the address, and that the broker is running."


_START_S = 10.0


EMBEDDED = "embedded"
"""The value of `--kafka` that starts a broker instead of using an existing broker."""


@frozen
class Published:
    """The position of a published message."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}, partition {self.partition}, offset {self.offset}"


class KafkaPublisher:
    """Publishes messages to the brokers of a connection. Use this class as an async context manager.

    A message is sent at most once, and has no key, because Port does not document whether its own messages have a key.
    """

    def __init__(self, connection: KafkaConnection, *, timeout_s: float = PUBLISH_TIMEOUT_S) -> None:
        self._connection, self._address = connection, connection.address
        self._timeout_s = timeout_s
        self._cause = ""
        self._producer = _producer(client_settings(connection), timeout_s, self._note)
        self._is_open = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_open = False
        self._producer.purge()
        await asyncio.to_thread(self._producer.flush, 1.0)

    async def find(self, topic: str) -> None:
        """Ask the brokers for a topic, so that they create the topic if they can.

        Raises BrokerError if there is no response, or if the brokers refer to another machine, because the messages
        would go there.
        """
        from port_hook_cli.kafka.client import KafkaException

        try:
            found = await asyncio.to_thread(self._producer.list_topics, topic, min(_FIND_TIMEOUT_S, self._timeout_s))
        except KafkaException as error:
            self._producer.poll(0)  # collects the cause, which the exception does not contain
            raise self._failure(f"Kafka at {self._address} cannot be reached", error.args[0]) from None
        reject_elsewhere(self._connection, ((broker.host, broker.port) for broker in found.brokers.values()))

    async def publish(self, topic: str, message: bytes) -> Published:
        """Publish `message`. Raises BrokerError if the broker does not confirm the message in time."""
        return await asyncio.to_thread(self._publish, topic, message)

    def _publish(self, topic: str, message: bytes) -> Published:
        from port_hook_cli.kafka.client import KafkaException

        outcomes: list[tuple[KafkaError | None, Any]] = []
        try:
            self._producer.produce(topic, message, on_delivery=lambda *outcome: outcomes.append(outcome))
        except (KafkaException, BufferError) as error:
            raise BrokerError(f"The message was not published: {brief(_text(error.args[0]))}.") from None
        end = time.monotonic() + self._timeout_s + 1
        while not outcomes and self._is_open and time.monotonic() < end:
            self._producer.poll(_POLL_S)  # another thread's poll may have taken this message's outcome
        rejection, sent = outcomes[0] if outcomes else (None, None)
        if rejection is not None or sent is None:
            raise self._failure(f"Kafka at {self._address} did not confirm the message", rejection)
        self._cause = ""
        return Published(topic, int(sent.partition()), int(sent.offset()))

    def _note(self, error: KafkaError) -> None:
        from port_hook_cli.kafka.client import KafkaError as Error
        from port_hook_cli.kafka.client import error_text

        if error.code() != Error._ALL_BROKERS_DOWN:  # noqa: SLF001 - librdkafka's own name, less specific than others
            self._cause = error_text(error)

    def _failure(self, what: str, error: Any) -> BrokerError:
        cause, self._cause = self._cause or _text(error), ""
        return BrokerError(f"{what}: {brief(cause)}.", hint=_HINT)


def _text(error: Any) -> str:
    return str(error.str()) if hasattr(error, "str") else str(error or "the connection was closed")


def _producer(settings: dict[str, Any], timeout_s: float, note: Callable[[KafkaError], None]) -> Producer:
    from port_hook_cli.kafka.client import Producer

    return Producer(
        {
            **settings,
            "acks": "all",
            "message.send.max.retries": 0,  # a second attempt could publish the message twice
            "message.timeout.ms": int(timeout_s * 1000),
            "log_level": 0,  # librdkafka would write to stderr
            "error_cb": note,
        }
    )


def brokers_in(to: str) -> tuple[str, ...]:
    """Return the brokers in `kafka://HOST:PORT,…`, the value of `--to`. Raises the errors of `read_bootstrap`."""
    brokers = to.removeprefix("kafka://").removesuffix("/")
    if not brokers:
        raise UsageError("--to kafka:// has no broker.", hint="Pass its address: --to kafka://HOST:PORT.")
    return read_bootstrap(brokers)


def read_bootstrap(text: str) -> tuple[str, ...]:
    """Return the brokers in `HOST:PORT,…`. Raises UsageError for other text and for brokers on other machines.

    Messages contain the inputs of users, travel unencrypted, and are not protected by a password.
    """
    brokers = tuple(part.strip() for part in text.split(","))
    for broker in brokers:
        if not is_broker_address(broker, needs_port=True):
            raise UsageError(
                f"{brief(text)} is not the address of a Kafka broker.",
                hint=f"Write it as 127.0.0.1:9092, or {EMBEDDED} to start one.",
            )
        if not is_loopback_broker(broker):
            raise UsageError(
                f"port-hook publishes messages only to brokers on this machine, and {brief(broker)} is not on it.",
                hint="Use a broker on 127.0.0.1.",
            )
    return brokers


@asynccontextmanager
async def local_publisher(
    brokers: tuple[str, ...] | None, *, timeout_s: float = PUBLISH_TIMEOUT_S
) -> AsyncIterator[tuple[KafkaPublisher, tuple[str, ...]]]:
    """Yield a publisher, and the addresses of its brokers. Without `brokers`, the publisher uses an embedded broker.

    `timeout_s` is how long a broker may take to confirm a message, in seconds.

    Raises BrokerError if the embedded broker does not start, or without confluent-kafka.
    """
    with embedded_broker() if brokers is None else nullcontext(brokers[0]) as address:
        found = brokers or (address,)
        connection = KafkaConnection(brokers=found, protocol=SecurityProtocol.PLAINTEXT)
        async with KafkaPublisher(connection, timeout_s=timeout_s) as publisher:
            yield publisher, found


@contextmanager
def embedded_broker() -> Iterator[str]:
    """Run a broker until the end of the block. Yield its `HOST:PORT`.

    Raises BrokerError if the broker does not start.
    """
    from port_hook_cli.kafka.client import KafkaException, Producer

    try:
        # This client does not publish messages. It exists only to run the cluster.
        cluster = Producer({"bootstrap.servers": "embedded", "test.mock.num.brokers": 1, "log_level": 0})
        brokers = cluster.list_topics(timeout=_START_S).brokers.values()
    except KafkaException as error:
        raise BrokerError(f"The embedded broker did not start: {error.args[0].str()}.") from None
    address = next(f"{broker.host}:{broker.port}" for broker in brokers)
    if not is_loopback_broker(address):
        raise BrokerError("The embedded broker would be reachable from other machines.")
    try:
        yield address
    finally:
        del cluster
