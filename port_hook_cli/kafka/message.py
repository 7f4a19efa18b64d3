"""A message of a topic as an invocation: its value is the body, and `headers` in the value are the header fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from port_hook_cli.invocations.models import LATEST_TIMESTAMP_MS, Headers, MessageOrigin
from port_hook_cli.kafka.client import TIMESTAMP_NOT_AVAILABLE, Message
from port_hook_cli.kafka.connection import TopicPart
from port_hook_cli.signatures.signing import headers_in

_MAX_FIELDS = 1_000
_MAX_HEAD_BYTES = 256 * 1024
_is_token = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}").fullmatch
_has_control = re.compile("[\x00-\x08\x0a-\x1f\x7f]").search


def part_of(message: Message) -> TopicPart:
    """Return the topic and partition of a message."""
    return message.topic() or "", message.partition() or 0


def size_of(message: Message) -> int:
    """Return the size of a message's value in bytes."""
    return len(message.value() or b"")


def origin_of(message: Message) -> MessageOrigin:
    """Return where a message is in Kafka."""
    kind, moment = message.timestamp()
    is_known = kind != TIMESTAMP_NOT_AVAILABLE and 0 <= moment <= LATEST_TIMESTAMP_MS  # a producer can set any
    return MessageOrigin(*part_of(message), message.offset() or 0, moment if is_known else None)


def message_headers(value: bytes) -> Headers:
    """Return the header fields of a message, with the fields that any HTTP request with its value has. Never raises.

    A field that no HTTP request could have, because of its name or a line break, is left out.
    """
    fields = list(_bounded(_fields(value)))
    if all(name.lower() != "content-type" for name, _ in fields):
        fields.append(("content-type", "application/json"))
    return Headers((*fields, ("content-length", str(len(value)))))


def _bounded(fields: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    size = 0
    for number, (name, value) in enumerate(fields):
        size += len(name) + len(value)
        if number == _MAX_FIELDS or size > _MAX_HEAD_BYTES:
            return
        yield name, value


def _fields(value: bytes) -> Iterator[tuple[str, str]]:
    for name, field in (headers_in(value) or {}).items():
        text = field if isinstance(field, str) else json.dumps(field, ensure_ascii=False)
        if _is_token(name) and name.lower() != "content-length" and not _has_control(text):
            yield name, text.encode("utf-8", "surrogatepass").decode("latin-1")
