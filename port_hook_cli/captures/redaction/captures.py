"""Redact a capture: its request, the handler's response, and its signature."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple, TypeVar

from port_hook_cli.captures.redaction.bodies import redacted_body
from port_hook_cli.captures.redaction.names import (
    AGENTS,
    ERROR_WORDS,
    FAULTS,
    HEADER_NAMES,
    METHODS,
    PROTOCOL_HEADERS,
    PROTOCOL_WORDS,
)
from port_hook_cli.captures.redaction.pseudonyms import HARMLESS, Pseudonyms
from port_hook_cli.captures.redaction.texts import Texts, applied
from port_hook_cli.invocations.headers import SECRET_HEADERS, SIGNATURE_HEADER, TIMESTAMP_HEADER, Headers
from port_hook_cli.invocations.models import Capture, Delivery, Invocation, MessageOrigin, Response, Verdict
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.invocations.probes import is_probe
from port_hook_cli.signatures.causes import REPLAYED, of_one_request
from port_hook_cli.signatures.headers import whole_number
from port_hook_cli.signatures.messages import signed_value, verify_received
from port_hook_cli.signatures.resigning import Resigned, sign_alike
from port_hook_cli.signatures.signing import headers_in
from port_hook_cli.text.secret import MASK, Secret

T = TypeVar("T", Delivery, Response)

_is_capture_id = re.compile("[0-9a-f]{12}").fullmatch
_is_agent = re.compile(rf"{AGENTS}(?:/[0-9]{{1,3}}(?:\.[0-9]{{1,3}}){{0,3}})?").fullmatch
_is_http_date = re.compile(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT").fullmatch
_inner_signatures = re.compile(
    rf'"{SIGNATURE_HEADER}"\s*+:\s*+"((?:[^"\\]|\\.)*+)"', re.IGNORECASE | re.DOTALL
).finditer
_TOPICS = re.compile(r"\.(?:runs|change\.log)\Z")


class Redacted(NamedTuple):
    """A redacted capture, with its throwaway secret and its verdict. `is_same` means that the verdict is unchanged."""

    capture: Capture
    verdict: Verdict
    is_same: bool


def redact(capture: Capture, wanted: Verdict, pseudonyms: Pseudonyms, *, new_secret: Callable[[], str]) -> Redacted:
    """Return a capture without names, IDs and other values, signed again so that its verdict is like `wanted`.

    `new_secret` returns a new throwaway secret at each call. A listener's simulation is left out.
    """
    wanted = of_one_request(wanted)
    request = _request(capture.invocation, pseudonyms)
    resigned = _resigned(request, wanted, pseudonyms, new_secret)
    body = request.body
    if request.origin is not None:
        body = _with_signature(body, resigned.headers)
    request = replace(request, headers=resigned.headers, body=body)
    causes = tuple(cause for cause in wanted.causes if cause.slug == REPLAYED.slug)
    redacted = Capture(
        invocation=request,
        verdict=replace(resigned.verdict, causes=(*resigned.verdict.causes, *causes)),
        payload=read_payload(request.body, request.headers),
        delivery=_delivery(capture.delivery, pseudonyms),
        response=None if capture.response is None else _outcome(capture.response, pseudonyms),
        rejected=capture.rejected,
        throwaway_secret=resigned.secret,
    )
    return Redacted(redacted, resigned.verdict, resigned.is_same)


def _resigned(request: Invocation, wanted: Verdict, pseudonyms: Pseudonyms, new_secret: Callable[[], str]) -> Resigned:
    is_message = request.origin is not None

    def verify(headers: Headers, secret: Secret) -> Verdict:
        return verify_received(headers, request.body, secret, is_message=is_message, now=request.compared_at)

    body = signed_value(request.body) if is_message else request.body
    scrub = Texts(pseudonyms, narrow=True).redacted
    return sign_alike(request.headers, body, wanted, verify, new_secret=new_secret, scrub=scrub)


def _request(invocation: Invocation, pseudonyms: Pseudonyms) -> Invocation:
    texts = Texts(pseudonyms)
    timestamps = frozenset(filter(whole_number, invocation.headers.all(TIMESTAMP_HEADER)))
    body = redacted_body(invocation.body, invocation.headers, pseudonyms, timestamps)
    return Invocation(
        id=_own_id(invocation.id, texts),
        received_at=invocation.received_at,
        method=invocation.method if invocation.method in METHODS else texts.redacted(invocation.method),
        target=applied(invocation.target, texts.text(invocation.target)),
        headers=_headers(invocation.headers, pseudonyms, {len(invocation.body): len(body)}),
        body=body,
        replay_of=None if invocation.replay_of is None else _own_id(invocation.replay_of, texts),
        origin=_origin(invocation.origin, pseudonyms),
    )


def _own_id(text: str, texts: Texts) -> str:
    return text if _is_capture_id(text) else texts.redacted(text)


def _origin(origin: MessageOrigin | None, pseudonyms: Pseudonyms) -> MessageOrigin | None:
    if origin is None:
        return None
    suffix = _TOPICS.search(origin.topic)
    name = origin.topic[: suffix.start()] if suffix else origin.topic
    offset = pseudonyms.number(str(origin.offset))
    return origin._replace(
        topic=Texts(pseudonyms).redacted(name) + (suffix[0] if suffix else ""), offset=min(int(offset), 2**63 - 1)
    )


def _delivery(delivery: Delivery | None, pseudonyms: Pseudonyms) -> Delivery | None:
    if delivery is None:
        return None
    texts = Texts(pseudonyms)
    return replace(
        _outcome(delivery, pseudonyms),
        url=applied(delivery.url, texts.text(delivery.url)),
        error=None if delivery.error is None else texts.redacted(delivery.error, ERROR_WORDS),
        fault=delivery.fault
        if delivery.fault is None or delivery.fault in FAULTS
        else texts.redacted(delivery.fault, ERROR_WORDS),
    )


def _outcome(outcome: T, pseudonyms: Pseudonyms) -> T:
    body = redacted_body(outcome.body, outcome.headers, pseudonyms)
    return replace(outcome, headers=_headers(outcome.headers, pseudonyms, {len(outcome.body): len(body)}), body=body)


def _headers(headers: Headers, pseudonyms: Pseudonyms, lengths: Mapping[int, int]) -> Headers:
    """Redact headers. `lengths` maps the original length of each body to its new length, for `content-length`."""
    keeps_agent = is_probe(headers)

    def field(name: str, value: str) -> tuple[str, str]:
        kind = name.lower()
        is_kept = kind in {SIGNATURE_HEADER, TIMESTAMP_HEADER} or (keeps_agent and kind == "user-agent")
        return _field_name(name, pseudonyms), value if is_kept else _field(kind, value, pseudonyms, lengths)

    return Headers(tuple(field(name, value) for name, value in headers))


def _field_name(name: str, pseudonyms: Pseudonyms) -> str:
    if name.lower() in HEADER_NAMES:
        return name
    prefix = name[:2] if name.lower().startswith("x-") else ""
    texts = Texts(pseudonyms, narrow=True)
    return prefix + applied(name[len(prefix) :], texts.text(name[len(prefix) :]))


def _field(kind: str, value: str, pseudonyms: Pseudonyms, lengths: Mapping[int, int]) -> str:
    if kind in SECRET_HEADERS:
        return MASK
    if kind == "content-length" and value.isascii() and value.isdigit() and len(value) <= HARMLESS:
        return str(lengths.get(int(value), value))
    if _is_http_date(value) or (kind == "user-agent" and _is_agent(value)):
        return value
    try:
        text, codec = value.encode("latin-1").decode(), "utf-8"
    except UnicodeDecodeError:
        text, codec = value, "latin-1"
    texts = Texts(pseudonyms, narrow=codec == "latin-1")
    if kind in {"host", "x-forwarded-host"}:
        new = applied(text, texts.authority(text))
    else:
        new = texts.redacted(text, PROTOCOL_WORDS if kind in PROTOCOL_HEADERS else frozenset())
    return new.encode(codec).decode("latin-1")


def _with_signature(message: bytes, headers: Headers) -> bytes:
    """Write the signature from a Kafka message's headers into its value, where Port writes it. Return the message."""
    signature = headers.get(SIGNATURE_HEADER)
    fields = headers_in(message)
    if not signature or fields is None:
        return message
    try:
        text, signed = message.decode(), signed_value(message)
    except UnicodeDecodeError:
        return message
    for match in _inner_signatures(text):
        new = (text[: match.start(1)] + signature + text[match.end(1) :]).encode()
        if signed_value(new) == signed:
            return new
    return message
