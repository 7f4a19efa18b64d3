from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from port_hook_cli.kafka.client import (
    ConnectionTrouble,
    error_text,
    is_about_the_connection,
    referred_broker,
    unusable,
)
from port_hook_cli.kafka.connection import KafkaConnection

# librdkafka's own names.
LOST, ALL_DOWN = KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001
REFUSED, TLS = KafkaError._AUTHENTICATION, KafkaError._SSL  # noqa: SLF001


def test_loss_is_reported_once_with_the_last_reason() -> None:
    trouble = ConnectionTrouble()
    trouble.note(LOST, "refused")
    assert not trouble.is_suspected  # one of several brokers may be gone
    trouble.note(ALL_DOWN, "1/1 brokers are down")

    assert (trouble.is_suspected, trouble.reason) == (True, "refused")
    assert [trouble.tell(), trouble.tell()] == [True, False]
    assert trouble.clear()


def test_rejection_after_a_loss_is_reported() -> None:
    trouble = ConnectionTrouble()
    trouble.note(ALL_DOWN, "down")
    assert trouble.tell()
    trouble.note(REFUSED, "wrong password")

    assert (trouble.is_rejected, trouble.tell(), trouble.tell()) == (True, True, False)
    assert trouble.reason == "wrong password"


def test_trouble_is_not_reported_when_it_passes_before_the_report() -> None:
    trouble = ConnectionTrouble()
    trouble.note(ALL_DOWN, "down")

    assert not trouble.clear()
    assert not trouble.is_suspected


def test_loss_has_the_reason_of_librdkafka_when_no_other_reason_is_known() -> None:
    trouble = ConnectionTrouble()
    trouble.note(ALL_DOWN, "1/1 brokers are down")
    trouble.note(ALL_DOWN, "2/2 brokers are down")
    assert trouble.reason == "1/1 brokers are down"


def test_past_trouble_is_reported_again_when_it_returns() -> None:
    trouble = ConnectionTrouble()
    trouble.note(REFUSED, "wrong password")
    assert trouble.tell()
    assert trouble.clear()
    assert (trouble.reason, trouble.is_suspected, trouble.is_rejected) == ("", False, False)
    assert not trouble.clear()

    trouble.note(REFUSED, "wrong password")
    assert [trouble.tell(), trouble.tell()] == [True, False]


def test_loss_does_not_replace_the_reason_of_a_rejection() -> None:
    trouble = ConnectionTrouble()
    trouble.note(REFUSED, "wrong password")
    trouble.note(LOST, "closed")
    assert trouble.reason == "wrong password"


def test_tls_reason_is_not_replaced_by_a_less_specific_reason() -> None:
    trouble = ConnectionTrouble()
    for code, text in ((TLS, "certificate verify failed"), (LOST, "closed"), (ALL_DOWN, "down")):
        trouble.note(code, text)

    assert trouble.reason == "certificate verify failed"


def test_other_errors_are_not_about_the_connection() -> None:
    assert is_about_the_connection(REFUSED)
    assert not is_about_the_connection(KafkaError.TOPIC_AUTHORIZATION_FAILED)


def test_error_text_has_no_address_state_or_control_characters() -> None:
    words = "sasl_ssl://b.example.com:9196/bootstrap: SASL error: no\x1b (after 8ms in state AUTH_REQ)"

    assert error_text(words) == "SASL error: no\\x1b"
    assert error_text("refused (after 0ms in state CONNECT, 1 identical error(s) suppressed)") == "refused"
    assert error_text("refused (after 0ms in state CONNECT, 1 ident") == "refused (after 0ms in state CONNECT, 1 ident"
    assert len(error_text("x" * 10_000)) <= 300
    assert error_text(KafkaError(LOST, "b:1/1: Disconnected (after 8ms in state UP)")) == "Disconnected"


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("certificate verify failed", "KAFKA_CA_FILE"),
        ("ssl.ca.location failed: no certificate found", "PEM"),
        ("SASL failed", "KAFKA_PASSWORD"),
        ("Authentication failed", "KAFKA_PASSWORD"),
        ("refused", "firewall"),
    ],
)
def test_error_has_a_hint(reason: str, hint: str) -> None:
    assert hint in unusable(KafkaConnection(brokers=("b:1",)), reason).hint


def test_interrupted_handshake_is_not_a_rejection() -> None:
    trouble = ConnectionTrouble()
    trouble.note(REFUSED, "SASL SCRAM-SHA-512 mechanism handshake failed: Local: Broker transport failure: broker's …")
    trouble.note(ALL_DOWN, "1/1 brokers are down")

    assert (trouble.is_suspected, trouble.is_rejected) == (True, False)
    assert trouble.reason.startswith("SASL")
    trouble.note(REFUSED, "wrong password")
    assert trouble.is_rejected


@pytest.mark.parametrize(
    ("words", "broker"),
    [
        ("192.0.2.1:9092/111: Connect to ipv4#192.0.2.1:9092 failed: refused", "192.0.2.1:9092"),
        ("127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: refused", ""),
        ("1/1 brokers are down", ""),
        ("", ""),
    ],
)
def test_referred_broker_is_read_from_the_error(words: str, broker: str) -> None:
    assert referred_broker(KafkaError(LOST, words)) == broker
