"""The values that flow through port-hook. All are frozen: a capture is never edited.

request bytes -> Invocation -> Verdict -> Answer -> Exchange (what console and store look at)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from port_hook_cli.invocations.header_names import SIGNATURE_HEADER as SIGNATURE_HEADER  # noqa: PLC0414 - a re-export
from port_hook_cli.invocations.header_names import TIMESTAMP_HEADER as TIMESTAMP_HEADER  # noqa: PLC0414 - a re-export


@dataclass(frozen=True, slots=True)
class Headers:
    """HTTP header fields in wire order, with their case and duplicates.

    Names and values are the wire's bytes decoded as Latin-1, which is total and reversible; a view that shows a
    value tries UTF-8 first. Lookup ignores case, as RFC 9110 section 5.1 says.
    """

    items: tuple[tuple[str, str], ...] = ()
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """The fields' names in lower case, in the same order: every look-up needs them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple([name.lower() for name, _ in self.items]))

    @classmethod
    def from_raw(cls, raw: Iterable[tuple[bytes, bytes]]) -> Headers:
        """Return headers from wire bytes."""
        return cls(tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw]))

    def raw(self) -> list[tuple[bytes, bytes]]:
        """Return the wire bytes that `from_raw` was given."""
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.items]

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of the field `name`, in wire order."""
        wanted = name.lower()
        count = self.names.count(wanted)
        if count <= 1:  # nearly always, and on the listener's path
            return (self.items[self.names.index(wanted)][1],) if count else ()
        return tuple([item[1] for key, item in zip(self.names, self.items, strict=True) if key == wanted])

    def get(self, name: str) -> str | None:
        """Return the first value of the field `name`, or None."""
        wanted = name.lower()
        return self.items[self.names.index(wanted)][1] if wanted in self.names else None

    def without(self, *names: str) -> Headers:
        """Return these headers less every field called one of `names`."""
        dropped = {name.lower() for name in names}
        return Headers(tuple(item for item in self.items if item[0].lower() not in dropped))

    def plus(self, *items: tuple[str, str]) -> Headers:
        """Return these headers with `items` appended."""
        return Headers((*self.items, *items))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.items)


class Truncation(NamedTuple):
    """What is known of a body that was not kept whole: its size in bytes, and its SHA-256 in hexadecimal."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One HTTP request as it arrived.

    `received_at` is seconds since the epoch, `target` the request line's path and query untouched, `body` the
    exact bytes. `replay_of` names the capture that a replay was made from. Where `truncated` is set, `body` is only
    the beginning of what was received.
    """

    id: str
    received_at: float
    method: str
    target: str
    headers: Headers
    body: bytes
    replay_of: str | None = None
    truncated: Truncation | None = None


class Status(StrEnum):
    """What the signature says of a request."""

    VALID = "valid"
    REENCODED = "reencoded"
    STALE = "stale"
    INVALID = "invalid"
    MISSING = "missing"
    MALFORMED = "malformed"
    UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True)
class Cause:
    """One established reason: a stable slug, what was seen, and what to do about it."""

    slug: str
    words: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What `judge` found. `reading` names the form of the body that the signature matches, if one did.

    `age_s` is the receiver's clock minus the signed timestamp, in seconds: negative when the timestamp lies in
    the future, None when there is no readable timestamp.
    """

    status: Status
    reading: str | None = None
    causes: tuple[Cause, ...] = ()
    age_s: float | None = None

    @property
    def slugs(self) -> tuple[str, ...]:
        """The causes' slugs, in order."""
        return tuple(cause.slug for cause in self.causes)

    @property
    def hint(self) -> str:
        """What to do next: the first cause's fix, or an empty string."""
        return self.causes[0].fix if self.causes else ""


class Kind(StrEnum):
    """What sort of delivery a payload is."""

    ACTION_RUN = "action-run"
    AUTOMATION = "automation"
    CHANGE_LOG = "change-log"
    UNKNOWN = "unknown"


class Change(NamedTuple):
    """One difference between the two sides of an automation's event: a dotted path and both values."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What could be read of a body. Every field is None or empty where the body does not say.

    `document` is the parsed JSON (None when `problem` says why it could not be read).
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
    inputs: dict[str, Any] = field(default_factory=dict)
    censored: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    document: Any = None
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One attempt to hand a request to a target.

    `status` is the target's HTTP status; when it is None, `error` says in words why there is none and `fault`
    is its slug (`unreachable`, `timeout`, `broken`, `too-large`). `latency_ms` is milliseconds from the first byte
    sent to the last byte received, or to the failure.
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
        """Whether the target answered with a 2xx status."""
        return self.status is not None and self.status // 100 == 2  # noqa: PLR2004 - the class of 2xx


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back to Port."""

    status: int
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """An invocation with all that became of it so far.

    `delivery` is None when nothing was forwarded, `answer` is None until the answer has been decided. `refused` says
    that the listener did not accept the request because of its verdict; the store does not keep it.
    """

    invocation: Invocation
    verdict: Verdict
    payload: Payload
    delivery: Delivery | None = None
    answer: Answer | None = None
    refused: bool = False
