"""How a handler reacted to a request: the class of its response, and a description.

This module is pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.invocations.statuses import format_status
from port_hook_cli.text.safe import printable

_REFUSING = re.compile(
    rb"invalid|unauthori[sz]|forbidden|denied|signature|not signed|mismatch|bad request|expired", re.IGNORECASE
)
_CONTENT = re.compile(
    rb"\b(body|bodies|payload|json|fields?|propert(y|ies)|required|missing|schema|validation|validate|parse|parsing)\b",
    re.IGNORECASE,
)
_AUTHENTICATION = re.compile(
    rb"signature|signed|hmac|secret|timestamp|header|unauthori[sz]|forbidden|denied|expired|mismatch", re.IGNORECASE
)
_MAX_READ = 2_000
_DIGITS = re.compile(rb"\d+")
NO_ROUTE = frozenset({404, 405, 501})
"""Statuses of a wrong path or method."""
_TOO_MANY = 429
_CLASSES = 100
_MOST_LABELS = 3


def seems_rejected(delivery: Delivery) -> bool:
    """Return whether the response's body says that the request was rejected, regardless of the status."""
    return bool(_REFUSING.search(delivery.body[:_MAX_READ]))


def blames_content(delivery: Delivery) -> bool:
    """Return whether the response's body says that the content was rejected, and doesn't mention the signature."""
    body = delivery.body[:_MAX_READ]
    return bool(_CONTENT.search(body)) and not _AUTHENTICATION.search(body)


def blames_authentication(delivery: Delivery) -> bool:
    """Return whether the response's body is about the signature, the timestamp or another header."""
    return bool(_AUTHENTICATION.search(delivery.body[:_MAX_READ]))


def said(delivery: Delivery, run_id: str | None) -> bytes:
    """Return the text of a response without the run ID and numbers, so that the text is the same for every run."""
    body = delivery.body[:_MAX_READ]
    if run_id:
        body = body.replace(run_id.encode("utf-8", "surrogatepass"), b"ID")
    return _DIGITS.sub(b"0", body)


class Reaction(StrEnum):
    """What a handler did with a request."""

    ACCEPTED = "accepted"
    REDIRECTED = "redirected"
    REJECTED = "rejected"
    LIMITED = "limited"
    FAILED = "failed"
    HUNG = "hung"
    CLOSED = "closed"
    UNREACHABLE = "unreachable"


_BY_CLASS = {1: Reaction.FAILED, 2: Reaction.ACCEPTED, 3: Reaction.REDIRECTED, 4: Reaction.REJECTED}
_BY_FAULT = {"timeout": Reaction.HUNG, "unreachable": Reaction.UNREACHABLE}


class Probe(NamedTuple):
    """A request of a check, its outcome, and the run for which it was sent.

    `label` describes the request, as a noun phrase. `died` means that the handler stopped because of the request.
    `worked` means that the handler did not respond, but the sandbox saw the work of a valid run.
    """

    slug: str
    label: str
    request: Invocation
    delivery: Delivery
    run_id: str | None = None
    died: bool = False
    worked: bool = False

    @property
    def reaction(self) -> Reaction:
        """The class of the response, or why there was no response."""
        status = self.delivery.status
        if status is None:
            return _BY_FAULT.get(self.delivery.fault or "", Reaction.CLOSED)
        return Reaction.LIMITED if status == _TOO_MANY else _BY_CLASS.get(status // _CLASSES, Reaction.FAILED)

    @property
    def is_accepted(self) -> bool:
        """Whether the handler accepted the request."""
        return self.worked or self.reaction is Reaction.ACCEPTED

    @property
    def has_response(self) -> bool:
        """Whether the handler responded to the request."""
        return self.delivery.status is not None

    @property
    def seems_rejected(self) -> bool:
        """Whether the response's body says that the request was rejected, regardless of the status."""
        return seems_rejected(self.delivery)

    @property
    def response(self) -> tuple[int | None, bytes]:
        """The status of the response, and its text without the run ID and numbers."""
        return self.delivery.status, said(self.delivery, self.run_id)

    @property
    def outcome(self) -> str:
        """The status of the response, or why there was no response. The text continues "a request got …"."""
        if self.delivery.status is not None:
            return format_status(self.delivery.status)
        if self.worked:
            return "no response, but the handler did its work"
        if self.died:
            return "no response because the handler stopped"
        if self.reaction is Reaction.HUNG:
            return f"no response in {self.delivery.latency_ms / 1000:.1f} s"
        return f"no response ({printable(self.delivery.error or 'the connection was closed')})"

    @property
    def seen(self) -> str:
        """The request and its outcome, as a clause."""
        return f"{self.label} got {self.outcome}"


def first_seen(probes: Sequence[Probe]) -> str:
    """Return a clause with the outcome of the first probe and the number of the other probes."""
    more = len(probes) - 1
    return probes[0].seen + (f" (and {more} other request{'s' if more > 1 else ''})" if more > 0 else "")


def outcomes(probes: Iterable[Probe]) -> str:
    """Return the outcomes of several probes, each outcome once."""
    return ", ".join(dict.fromkeys(probe.outcome for probe in probes))


def stops_seen(stops: Sequence[Probe]) -> str:
    """Return a clause with the number of times that a handler stopped, and the requests after which it stopped."""
    labels = list(dict.fromkeys(probe.label for probe in stops))
    more = len(labels) - _MOST_LABELS
    shown = ", ".join(labels[:_MOST_LABELS]) + (f" and {more} other requests" if more > 0 else "")
    return f"it stopped {len(stops)} time{'' if len(stops) == 1 else 's'}, after {shown}"
