"""Publishing to a broker on this machine: the user's own, or an embedded one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext

from port_hook_cli.errors import BrokerError, UsageError
from port_hook_cli.kafka.connection import KafkaConnection, SecurityProtocol, is_broker_address, is_loopback_broker
from port_hook_cli.kafka.producer import PUBLISH_TIMEOUT_S, KafkaPublisher
from port_hook_cli.text.safe import brief

_START_S = 10.0
EMBEDDED = "embedded"
"""The value of `--kafka` that starts a broker instead of naming one."""


def read_bootstrap(text: str) -> tuple[str, ...]:
    """Return the brokers in `HOST:PORT,…`; raises UsageError for others and for brokers on other machines.

    Messages contain what a user entered, and they are neither encrypted on the way nor protected by a password.
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
                f"Messages are published only to brokers on this machine, and {brief(broker)} is not on it.",
                hint="Give a broker on 127.0.0.1.",
            )
    return brokers


@asynccontextmanager
async def local_publisher(
    brokers: tuple[str, ...] | None, *, timeout_s: float = PUBLISH_TIMEOUT_S
) -> AsyncIterator[tuple[KafkaPublisher, tuple[str, ...]]]:
    """Yield a publisher to `brokers`, or to an embedded broker if there are none, and the addresses.

    `timeout_s` is how long a broker may take to confirm a message.

    Raises BrokerError if the embedded broker does not start, or without confluent-kafka.
    """
    with embedded_broker() if brokers is None else nullcontext(brokers[0]) as address:
        found = brokers or (address,)
        connection = KafkaConnection(brokers=found, protocol=SecurityProtocol.PLAINTEXT)
        async with KafkaPublisher(connection, timeout_s=timeout_s) as publisher:
            yield publisher, found


@contextmanager
def embedded_broker() -> Iterator[str]:
    """Run a broker until the end of the block; yield its `HOST:PORT`. Raises BrokerError if it does not start."""
    from port_hook_cli.kafka.client import KafkaException, Producer

    try:
        # This client publishes nothing: it exists only to run the cluster.
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
