"""A Kafka cluster for tests: `python kafka_broker.py TOPIC…` prints its brokers, and ends when stdin does.

It is the mock cluster that librdkafka contains. It speaks Kafka's protocol, with groups and commits, but has no TLS, no
SASL and no files; a topic always has four partitions, and offsets cannot be found by time.
"""

from __future__ import annotations

import sys

from confluent_kafka import Producer


def main() -> None:
    cluster = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
    for topic in sys.argv[1:]:
        cluster.list_topics(topic, timeout=30)  # creates it
    brokers = cluster.list_topics(timeout=30).brokers.values()
    sys.stdout.write(",".join(f"{broker.host}:{broker.port}" for broker in brokers) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
