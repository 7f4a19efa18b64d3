"""The values that flow through port-hook. All of them are frozen, because a capture is never edited.

request bytes -> Invocation -> Verdict -> Response -> Capture (which the observers and the store receive)
"""

from __future__ import annotations

from dataclasses import field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.headers import Headers

if TYPE_CHECKING:
    from port_hook_cli.text.secret import Secret


@frozen
class Truncation:
    """The size in bytes and the SHA-256 (in hexadecimal) of an incompletely saved body."""

    size: int
    sha256: str


class Partition(NamedTuple):
    """A partition of a topic in a Kafka cluster."""

    cluster: str
    topic: str
    number: int


LATEST_TIMESTAMP_MS = int(2.5e14)
"""The latest time that is a valid date in every time zone, in milliseconds."""


class MessageOrigin(NamedTuple):
    """The place of a message in Kafka. `timestamp_ms` is the broker's or producer's time, or None if it is unusable."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int | None = None

    @property
    def name(self) -> str:
        """The name of the message, such as `ORG.runs[0]@42`."""
        return f"{self.topic}[{self.partition}]@{self.offset}"


@frozen(kw_only=True)
class Invocation:
    """A received HTTP request, or a Kafka message in the same form.

    `received_at` is in seconds since the epoch. `target` is the unchanged path and query of the request line, and
    `body` is the raw body. `replay_of` is the ID of the replayed capture. If `truncated` is set, `body` is only the
    beginning of the received body. `origin` is set for a Kafka message. The body is then the message's value, and the
    headers are the `headers` in that value.
    """

    id: str
    received_at: float
    method: str
    target: str
    headers: Headers
    body: bytes
    replay_of: str | None = None
    truncated: Truncation | None = None
    origin: MessageOrigin | None = None

    @property
    def recorded_at(self) -> float | None:
        """The time of a message's Kafka record, in seconds since the epoch, or None if it is unknown."""
        return None if self.origin is None or self.origin.timestamp_ms is None else self.origin.timestamp_ms / 1000

    @property
    def compared_at(self) -> float:
        """The time with which a signed timestamp is compared. For a message, it is the time when it was sent to Kafka.

        A message may wait in its topic for days, and Port's execution agent accepts the message even then.
        """
        return self.received_at if self.recorded_at is None else self.recorded_at


class Status(StrEnum):
    """The result of verifying a request's signature."""

    VALID = "valid"
    REENCODED = "reencoded"
    STALE = "stale"
    INVALID = "invalid"
    MISSING = "missing"
    MALFORMED = "malformed"
    UNCHECKED = "unchecked"


class Cause(NamedTuple):
    """One reason for a verdict: a stable slug, an explanation, and a fix."""

    slug: str
    explanation: str
    fix: str


KAFKA_VALUE = "kafka"
"""The signed form of a Kafka message, which is its value without the two signature headers."""


@frozen(kw_only=True)
class Verdict:
    """The result of `verify_signature`. `signed_form` is the encoding that the signature matches, or None.

    `age_s` is the receiver's clock minus the signed timestamp, in seconds. It is negative if the timestamp is in the
    future, and None without a readable timestamp.
    """

    status: Status
    signed_form: str | None = None
    causes: tuple[Cause, ...] = ()
    age_s: float | None = None

    @property
    def slugs(self) -> tuple[str, ...]:
        """The slugs of the causes, in order."""
        return tuple(cause.slug for cause in self.causes)

    @property
    def hint(self) -> str:
        """The next step for the user: the fix for the first cause, or an empty string."""
        return self.causes[0].fix if self.causes else ""


class Side(StrEnum):
    """The side whose code a verdict explains: the code that signed the request, or the user's code that verifies it."""

    SENDER = "sender"
    VERIFIER = "verifier"


class Kind(StrEnum):
    """The kind of invocation to which a payload belongs."""

    ACTION_RUN = "action-run"
    AUTOMATION = "automation"
    CHANGE_LOG = "change-log"
    WORKFLOW_NODE = "workflow-node"
    UNKNOWN = "unknown"


@frozen
class EventChange:
    """One difference between the two sides of an automation's event: a dotted path, and the value on each side."""

    path: str
    before: Any
    after: Any


WAITS_FOR_REPORT = "stays IN_PROGRESS until the handler reports its result"
"""What happens to an asynchronous run, as the end of a sentence."""


NODE_MARK = "#"


@frozen(kw_only=True)
class Payload:
    """The fields of a body. A missing field is None or empty.

    `workflow`, `node` and `workflow_run` belong to a workflow node's run. `via_agent` means that Port's execution agent
    sent the request. `document` is the parsed JSON, or None if the body could not be parsed. `problem` is then the
    reason.
    """

    kind: Kind = Kind.UNKNOWN
    run_id: str | None = None
    action: str | None = None
    operation: str | None = None
    user: str | None = None
    origin: str | None = None
    blueprint: str | None = None
    entity: str | None = None
    event: str | None = None
    synchronized: bool | None = None
    workflow: str | None = None
    node: str | None = None
    workflow_run: str | None = None
    via_agent: bool = False
    inputs: dict[str, Any] = field(default_factory=dict)
    censored: tuple[str, ...] = ()
    changes: tuple[EventChange, ...] = ()
    document: Any = None
    problem: str | None = None

    @property
    def name(self) -> str | None:
        """The action, or `WORKFLOW#NODE`, as options take it, or None if the body names neither."""
        if self.workflow or self.node:
            return f"{self.workflow or ''}{NODE_MARK}{self.node or ''}"
        return self.action

    def called(self, name: str | None) -> Payload:
        """Return the payload with the action or `WORKFLOW#NODE` `name`, unless its body names one."""
        if not name or self.name:
            return self
        identifier, mark, node = name.partition(NODE_MARK)
        if not mark:
            return replace(self, action=identifier)
        return replace(self, workflow=identifier or None, node=node or None)


def is_2xx(status: int | None) -> bool:
    """Return whether `status` is set and in the class 2xx."""
    return status is not None and status // 100 == 2  # noqa: PLR2004


INTERRUPTED = "interrupted"
"""The fault of a request that got no response because its listener ended or its sender disconnected."""

FAILED_FROM = 400
"""A handler that responds with this status or a higher status has failed the request."""


@frozen(kw_only=True)
class Delivery:
    """One attempt to send a request to a target.

    `status` is the target's HTTP status. If it is None, `error` explains the reason, and `fault` is the reason's slug
    (`unreachable`, `timeout`, `broken`, `too-large`, `interrupted`). `latency_ms` is the time in milliseconds from the
    first byte of the request to the last byte of the response, or to the failure. The time for connecting doesn't
    count. If no connection could be opened, `latency_ms` is the time until that failure. For an interrupted request, it
    is the time that the request waited for the handler or for its turn.
    """

    url: str
    status: int | None = None
    latency_ms: float = 0.0
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    fault: str | None = None
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the target responded with a 2xx status."""
        return is_2xx(self.status)

    @property
    def failed(self) -> bool:
        """Whether the target responded with a 4xx or 5xx status, or did not respond."""
        return self.status is None or self.status >= FAILED_FROM

    @property
    def outcome(self) -> str:
        """The target's status, or without a status, the slug of the reason."""
        return self.fault or "failed" if self.status is None else str(self.status)


@frozen(kw_only=True)
class Response:
    """The HTTP response that the listener returns to the sender."""

    status: int
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    @property
    def ok(self) -> bool:
        """Whether the response has a 2xx status."""
        return is_2xx(self.status)


FAIL_FIRST, DROP = "fail-first", "drop"


@frozen(kw_only=True)
class Simulated:
    """A listener's simulation for one request.

    `failure` is FAIL_FIRST, DROP or None. `failures_left` is the number of further requests that `--fail-first` makes
    fail, which the store does not save. `dropped` means that the connection is closed without a response. `delay_s` is
    the delay of the response in seconds. With `manual`, the user responded to the held request by hand, after
    `delay_s` seconds.
    """

    failure: str | None = None
    failures_left: int = 0
    dropped: bool = False
    delay_s: float = 0.0
    manual: bool = False


@frozen(kw_only=True)
class Capture:
    """An invocation with its verdict, its payload and its outcome so far.

    `delivery` is None if nothing was forwarded, and `response` is None until the response is decided. `rejected` means
    that the listener rejected the request because of its verdict. The store does not save this field. `simulated` is
    the simulation for this request, or None. `throwaway_secret` is set only for a redacted capture, whose file contains
    the secret. Anyone can sign with it, so it doesn't identify the sender and is used only if the user asks for it.
    """

    invocation: Invocation
    verdict: Verdict
    payload: Payload
    delivery: Delivery | None = None
    response: Response | None = None
    rejected: bool = False
    simulated: Simulated | None = None
    throwaway_secret: Secret | None = None

    @property
    def handler_failed(self) -> bool:
        """Whether the handler failed the request: it responded with a 4xx or 5xx status, or did not respond.

        The handler has not failed a request that the listener rejected or responded to itself. A capture without any
        outcome counts as failed, because its listener was killed. `captures.database.conditions.handler_failed` is the
        same condition in SQL, except for captures of the last minute without an outcome, because the handler may still
        be working on them.
        """
        if self.delivery is not None:
            return self.delivery.failed
        return self.response is None and not (self.simulated is not None and self.simulated.dropped)

    @property
    def is_message(self) -> bool:
        """Whether the invocation was a Kafka message."""
        return self.invocation.origin is not None
