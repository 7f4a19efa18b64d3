"""A reader's consumer, and the consumer's connection to the brokers. Only the reader's thread uses this module."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Event
from time import monotonic
from typing import Any

from port_hook_cli.errors import BrokerError
from port_hook_cli.frozen import frozen
from port_hook_cli.kafka.client import (
    ConnectionTrouble,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
    error_text,
    is_about_the_connection,
    referred_broker,
    unusable,
)
from port_hook_cli.kafka.connection import (
    KafkaConnection,
    KafkaPlan,
    TopicPart,
    client_settings,
    elsewhere,
    is_loopback_broker,
    reject_elsewhere,
)
from port_hook_cli.text.safe import brief

_CONNECT_TIMEOUT_S = 10.0
_FIRST_TRY_S = 0.5
_MAX_CLUSTER_ID = 200


@frozen(kw_only=True)
class ReaderTimes:
    """The times that a topic reader waits, in seconds.

    - `poll_s`: for a message, before the reader checks whether it should stop.
    - `tend_s`: between checks of the connection and the lag.
    - `pause_after_s`: while too many messages are in progress, before the reader pauses the partitions.
    - `check_s`: for the brokers' response when the connection may be lost.
    - `rejected_after_s`: before the first connection fails if all brokers reject it.
    """

    poll_s: float = 0.2
    tend_s: float = 0.5
    pause_after_s: float = 2.0
    check_s: float = 1.0
    rejected_after_s: float = 1.5


READER_TIMES = ReaderTimes()


class BrokerLink:
    """A consumer of the topics in `plan`. `on_failed` receives the problems that are not about the connection."""

    def __init__(
        self,
        connection: KafkaConnection,
        plan: KafkaPlan,
        on_failed: Callable[[str], None],
        times: ReaderTimes = READER_TIMES,
    ) -> None:
        self._connection, self._plan, self._on_failed, self._times = connection, plan, on_failed, times
        self._consumer: Consumer | None = None
        self.trouble = ConnectionTrouble()
        self.cluster = ""
        # The broker (HOST:PORT) to which the cluster refers, from the last error that contains a broker.
        self._referred = ""

    @property
    def consumer(self) -> Consumer:
        """The consumer that `connect` has created."""
        assert self._consumer is not None
        return self._consumer

    def connect(self, stopping: Event) -> list[TopicPart]:
        """Connect and return the partitions. There is at least one partition. Raises BrokerError."""
        self._consumer = self._new_consumer()
        found = self._first_data(stopping)
        self.cluster = str(found.cluster_id)[:_MAX_CLUSTER_ID]
        if not (parts := self._parts(found)):
            raise _no_topics(self._connection, self._plan)
        return parts

    def parts(self) -> list[TopicPart]:
        """Return the partitions that exist now. Raises KafkaException if the brokers do not respond."""
        return self._parts(self._cluster_data(self._times.check_s))

    def known_end(self, part: TopicPart) -> int | None:
        """Return the offset after the last message of a partition, if it is known without asking the brokers."""
        try:
            _, end = self.consumer.get_watermark_offsets(TopicPartition(*part), cached=True)
        except (KafkaException, TypeError):
            return None
        return int(end)

    def responds(self) -> bool:
        """Return whether the brokers respond. Raises BrokerError for brokers that must not be used."""
        try:
            self._cluster_data(self._times.check_s)
        except KafkaException:
            return False
        return True

    def problem(self, error: KafkaException) -> BrokerError:
        """Return the error for unusable brokers. This method must be called before any partition is assigned."""
        self.consumer.poll(0)  # calls `note` with the reasons
        # librdkafka may connect to the brokers that a cluster refers to before it returns their list.
        if self._referred and (error_elsewhere := elsewhere(self._connection, self._referred)):
            return error_elsewhere
        return unusable(self._connection, self.trouble.reason or error_text(error.args[0]))

    def note(self, error: KafkaError) -> None:
        """Handle an error of librdkafka."""
        code = error.code()
        self.trouble.note(code, error_text(error))
        self._referred = referred_broker(error) or self._referred
        if not is_about_the_connection(code):
            self._on_failed(error_text(error))

    def renew(self, connection: KafkaConnection) -> None:
        """Use other credentials for connections from now on."""
        if connection.password is not None:
            self.consumer.set_sasl_credentials(connection.username, connection.password.reveal())

    def close(self, finish: Callable[[Consumer], None]) -> None:
        """Call `finish`, and then disconnect. A member of a group leaves the group."""
        if self._consumer is not None:
            with suppress(KafkaException, RuntimeError):
                finish(self._consumer)
                self._consumer.close()

    def _new_consumer(self) -> Consumer:
        settings = client_settings(self._connection) | _reading(self._connection, self._plan)
        try:
            return Consumer({**settings, "error_cb": self.note}, logger=_silent_logger())
        except KafkaException as error:
            raise unusable(self._connection, error_text(error.args[0])) from None

    def _first_data(self, stopping: Event) -> Any:
        """Return the cluster's topics.

        Stop trying early if the brokers reject the client, and later if they do not respond.
        """
        started = monotonic()
        while True:
            try:
                return self._cluster_data(_FIRST_TRY_S)
            except KafkaException as error:
                problem = self.problem(error)
                took_s = monotonic() - started
                is_over = took_s > _CONNECT_TIMEOUT_S or stopping.is_set()
                if (
                    is_over
                    or self.trouble.is_rejected
                    or (self.trouble.is_suspected and took_s > self._times.rejected_after_s)
                ):
                    raise problem from None

    def _cluster_data(self, timeout_s: float) -> Any:
        """Return the cluster's brokers and topics. Raises BrokerError for brokers that must not be used."""
        found = self.consumer.list_topics(timeout=timeout_s)
        reject_elsewhere(self._connection, ((broker.host, broker.port) for broker in found.brokers.values()))
        self._referred = ""
        return found

    def _parts(self, found: Any) -> list[TopicPart]:
        return [(topic, number) for topic in self._plan.topics for number in _partitions(found.topics.get(topic))]


def _partitions(topic: Any) -> Iterator[int]:
    """Yield the numbers of a topic's partitions. A topic that does not exist has no partitions."""
    if topic is not None and topic.error is None:
        yield from sorted(topic.partitions)


def _reading(connection: KafkaConnection, plan: KafkaPlan) -> dict[str, Any]:
    """Return the settings for reading: low latency, bounded memory, and commits only for saved messages."""
    # Brokers respond immediately if they have messages. Embedded brokers and test clusters always wait this long.
    wait_ms = 5 if all(map(is_loopback_broker, connection.brokers)) else 100
    return {
        "group.id": plan.group_id,
        "enable.auto.commit": plan.group is not None,
        "auto.commit.interval.ms": 200,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": wait_ms,
        "fetch.error.backoff.ms": 50,
        "fetch.queue.backoff.ms": 20,
        "queued.min.messages": 50_000,
        "queued.max.messages.kbytes": 16 * 1024,
        "fetch.max.bytes": 8 * 1024 * 1024,
        "session.timeout.ms": round(plan.session_timeout_s * 1000),
        "heartbeat.interval.ms": round(plan.session_timeout_s * 300),
        "log_level": 0,
    }


def _silent_logger() -> logging.Logger:
    """Return a logger that discards what librdkafka would write to stderr."""
    logger = logging.getLogger("port-hook-kafka")
    logger.propagate = False
    logger.setLevel(logging.CRITICAL + 1)
    return logger


def _no_topics(connection: KafkaConnection, plan: KafkaPlan) -> BrokerError:
    names = " and ".join(brief(topic) for topic in plan.topics)
    return BrokerError(
        f"Kafka at {connection.address} has no topic {names}.",
        hint="Check PORT_ORG_ID. Port creates the topics when the execution agent uses Kafka.",
    )
