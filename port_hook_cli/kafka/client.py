"""confluent-kafka, an optional dependency, and the meaning of its errors.

Only this module imports confluent-kafka. Importing this module may raise BrokerError.
"""

from __future__ import annotations

import re

from port_hook_cli.errors import BrokerError, PackageError
from port_hook_cli.installed import install_hint
from port_hook_cli.kafka.connection import KafkaConnection
from port_hook_cli.text.safe import brief

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
    raise PackageError("confluent-kafka is not installed.", hint=install_hint("confluent-kafka")) from None

__all__ = [
    "OFFSET_BEGINNING",
    "OFFSET_END",
    "OFFSET_INVALID",
    "TIMESTAMP_NOT_AVAILABLE",
    "ConnectionTrouble",
    "Consumer",
    "KafkaError",
    "KafkaException",
    "Message",
    "Producer",
    "TopicPartition",
    "error_text",
    "is_about_the_connection",
    "referred_broker",
    "unusable",
]

# The first part of an error may end with a count of repetitions, in parentheses of its own.
_state = re.compile(r" \(after [0-9]+ms in state (?:[^()]|\([^()]*\))*\)|^\S+/(?:bootstrap|[0-9]+): ")
_referred = re.compile(r"(\S+)/[0-9]+: ")
# These names belong to librdkafka.
_REFUSED = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED})  # noqa: SLF001
_ENDED = frozenset({KafkaError._ALL_BROKERS_DOWN})  # noqa: SLF001
_CUT = "Local: Broker transport failure"
_ABOUT_A_CONNECTION = frozenset(
    {
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._RESOLVE,  # noqa: SLF001
        KafkaError._SSL,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._MAX_POLL_EXCEEDED,  # noqa: SLF001
    }
)


class ConnectionTrouble:
    """The problem of a connection that may be lost, and whether the problem was reported."""

    def __init__(self) -> None:
        self.reason = ""
        self.is_suspected = self.is_rejected = False
        self._is_told = self._is_rejection_told = self._is_certain = False

    def note(self, code: int, text: str) -> None:
        """Remember an error of librdkafka."""
        is_cut = _CUT in text  # a broker that ends during the handshake has not rejected credentials
        if code in _REFUSED and not is_cut:
            self.is_rejected = self.is_suspected = True
            self.reason = text
        elif code in _ENDED:
            self.is_suspected = True
            self.reason = self.reason or text
        elif (code in _ABOUT_A_CONNECTION or is_cut) and not self.is_rejected and not self._is_certain:
            self.reason = text
            self._is_certain = code == KafkaError._SSL  # noqa: SLF001 - other errors follow that say less

    def tell(self) -> bool:
        """Return whether to report the problem now.

        A problem is reported once, and again if a loss turns out to be a rejection.
        """
        is_new = not self._is_told or (self.is_rejected and not self._is_rejection_told)
        self._is_told = True
        self._is_rejection_told = self.is_rejected
        return is_new

    def clear(self) -> bool:
        """Forget the problem. Return whether it was reported."""
        was_told = self._is_told
        self.reason = ""
        self.is_suspected = self.is_rejected = False
        self._is_told = self._is_rejection_told = self._is_certain = False
        return was_told


def is_about_the_connection(code: int) -> bool:
    """Return whether `ConnectionTrouble` handles an error of librdkafka.

    Such an error ends when the connection is back.
    """
    return code in _REFUSED | _ENDED | _ABOUT_A_CONNECTION


def error_text(error: object) -> str:
    """Return the text of an error of librdkafka, without the address and the state at its start."""
    words = error.str() if isinstance(error, KafkaError) else str(error)
    return brief(_state.sub("", words), 300)


def referred_broker(error: KafkaError) -> str:
    """Return the broker (HOST:PORT) in an error if the cluster refers clients to this broker. Otherwise return ""."""
    match = _referred.match(error.str())
    return match[1] if match else ""


def unusable(connection: KafkaConnection, reason: str) -> BrokerError:
    """Return the error for brokers that cannot be used, with a hint."""
    lowered = reason.lower()
    if "ssl.ca.location" in lowered:
        hint = "KAFKA_CA_FILE must be the path of a file with certificates in PEM format."
    elif "certificate" in lowered:
        hint = "If the brokers have a certificate of your own authority, set KAFKA_CA_FILE to its path."
    elif "authentication" in lowered or "sasl" in lowered:
        hint = "Check KAFKA_USERNAME and KAFKA_PASSWORD, or unset them to use the credentials from Port's API."
    else:
        hint = "Check the address, and that no firewall blocks the connection."
    return BrokerError(f"Kafka at {connection.address} cannot be used: {reason}.", hint=hint)
