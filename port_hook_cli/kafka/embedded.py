"""A Kafka broker in this process: the mock cluster that librdkafka contains for tests.

It listens on 127.0.0.1 only. It keeps messages in memory, has no TLS and no passwords, gives each topic four
partitions, and does not find offsets by time. More than one consumer in a group may fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from port_hook_cli.errors import BrokerError
from port_hook_cli.kafka.connection import is_loopback_broker

_START_S = 10.0


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
