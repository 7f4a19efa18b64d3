"""A Kafka cluster for tests: `python kafka_broker.py TOPIC…` prints its brokers, and ends when stdin does.

It is the mock cluster that librdkafka contains. It speaks Kafka's protocol, with groups and commits, but has no TLS, no
SASL and no files. A topic always has four partitions, and offsets cannot be found by time. The first member of a group
gets its partitions immediately. By default it waits three seconds for others, which only C code can change.
"""

from __future__ import annotations

import ctypes
import sys
from importlib.util import find_spec
from pathlib import Path

from confluent_kafka import Producer

_PRODUCER, _NO_ERROR_TEXT = 0, ctypes.c_size_t(0)
_SETTINGS = {"test.mock.num.brokers": "1", "log_level": "0"}
_FOLDERS = ("../confluent_kafka.libs", ".dylibs")
"""Where the wheels of confluent-kafka have librdkafka, relative to the package: on Linux, and on macOS."""


def _librdkafka() -> Path | None:
    """Return the file of librdkafka, or None if confluent-kafka was not installed from one of those wheels."""
    found = find_spec("confluent_kafka")
    assert found is not None
    assert found.origin is not None
    package = Path(found.origin).parent
    return next((path for folder in _FOLDERS for path in (package / folder).glob("librdkafka*")), None)


def _brokers_without_delay(library: Path) -> str:
    """Start a cluster that runs until this process ends. Return its brokers."""
    kafka = ctypes.CDLL(str(library))
    for function in (kafka.rd_kafka_conf_new, kafka.rd_kafka_new, kafka.rd_kafka_handle_mock_cluster):
        function.restype = ctypes.c_void_p
    kafka.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    settings = ctypes.c_void_p(kafka.rd_kafka_conf_new())
    for name, value in _SETTINGS.items():
        assert kafka.rd_kafka_conf_set(settings, name.encode(), value.encode(), None, _NO_ERROR_TEXT) == 0
    client = ctypes.c_void_p(kafka.rd_kafka_new(_PRODUCER, settings, None, _NO_ERROR_TEXT))
    cluster = ctypes.c_void_p(kafka.rd_kafka_handle_mock_cluster(client))
    kafka.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0)
    return str(kafka.rd_kafka_mock_cluster_bootstraps(cluster).decode())


def main() -> None:
    library = _librdkafka()
    own = _SETTINGS if library is None else {"log_level": "0"}
    cluster = Producer({"bootstrap.servers": "mock" if library is None else _brokers_without_delay(library), **own})
    for topic in sys.argv[1:]:
        cluster.list_topics(topic, timeout=30)  # creates it
    found = cluster.list_topics(timeout=30).brokers.values()
    sys.stdout.write(",".join(f"{broker.host}:{broker.port}" for broker in found) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
