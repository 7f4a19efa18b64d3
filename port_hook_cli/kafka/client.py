"""confluent-kafka, an optional dependency. Only this module imports it; importing it may raise BrokerError."""

from __future__ import annotations

from port_hook_cli.errors import BrokerError
from port_hook_cli.extras import install_hint

try:
    from confluent_kafka import (
        OFFSET_BEGINNING,
        OFFSET_END,
        OFFSET_INVALID,
        TIMESTAMP_NOT_AVAILABLE,
        Consumer,
        KafkaError,
        KafkaException,
        Message,
        Producer,
        TopicPartition,
    )
except ModuleNotFoundError as error:
    if error.name != "confluent_kafka":
        raise
    raise BrokerError(
        "Kafka needs confluent-kafka, which is not installed.", hint=install_hint("confluent-kafka")
    ) from None

__all__ = [
    "OFFSET_BEGINNING",
    "OFFSET_END",
    "OFFSET_INVALID",
    "TIMESTAMP_NOT_AVAILABLE",
    "Consumer",
    "KafkaError",
    "KafkaException",
    "Message",
    "Producer",
    "TopicPartition",
]
