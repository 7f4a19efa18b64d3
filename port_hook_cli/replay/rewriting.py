"""Changes a request before port-hook sends it again, with notes for the user.

This module is pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from port_hook_cli.errors import UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.forwarding import HOP_BY_HOP
from port_hook_cli.invocations.headers import SIGNATURE_HEADER, TIMESTAMP_HEADER, Headers
from port_hook_cli.invocations.models import Delivery, Invocation, Kind
from port_hook_cli.invocations.payload import is_run_id, read_payload
from port_hook_cli.invocations.targets import target_url
from port_hook_cli.replay.sources import ReplaySource, contradiction
from port_hook_cli.signatures.signing import Signer
from port_hook_cli.text.secret import MASK

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110, section 5.6.2
_CONTROL = "[\x00-\x08\x0a-\x1f\x7f]"
# `expect` asks for a "100 Continue", which the first receiver has already sent.
_FULFILLED = frozenset({"expect"})
_OF_THE_FIRST_CONNECTION = frozenset({"host", "content-length", "forwarded", SIGNATURE_HEADER, TIMESTAMP_HEADER})

Edit = Callable[[bytes], tuple[bytes, Sequence[str]]]
"""A function that changes a body and returns the body with notes. Raises UsageError if a change is impossible."""


class UnsignedReplay(UsageError):
    """A request without a signature cannot be sent as captured."""


@frozen
class ReplayNote:
    """A note about a replay for the user. `about` tells a command which of its options to add to the note."""

    text: str
    about: str = ""


MASKED, CONTRADICTION = "masked", "contradiction"


@frozen
class ReadyReplay:
    """A request that is ready except for its signature, and its target URL.

    `run_id` is the ID of the request's run. `is_signed` means that the request gets a new signature.
    """

    source: ReplaySource
    draft: Invocation
    url: str
    run_id: str | None = None
    notes: tuple[ReplayNote, ...] = ()
    is_signed: bool = True


@frozen
class KeptReplay:
    """The ID of a replay's capture, or "" if the replay was not saved. `problem` explains why saving failed."""

    capture: str = ""
    problem: str = ""


NOT_KEPT = KeptReplay()


@frozen
class SentReplay:
    """A sent request with its delivery and its capture."""

    request: Invocation
    delivery: Delivery
    kept: KeptReplay = NOT_KEPT


@frozen(kw_only=True)
class Rewriter:
    """Prepares requests to be sent again.

    Without a `signer`, the body, timestamp and signature are sent as captured. Then `edit` must not change the body,
    and a request must have a signature, unless `takes_unsigned` is set for a listener without verification. `headers`
    replace headers with the same names. An empty value removes a header. A `method` of None leaves the method
    unchanged. `now` returns seconds since the epoch, and `new_id` returns a capture ID.
    """

    signer: Signer | None
    now: Callable[[], float]
    new_id: Callable[[], str]
    edit: Edit | None = None
    method: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    takes_unsigned: bool = False

    def prepare(self, source: ReplaySource, to: str) -> ReadyReplay:
        """Return the request for `to`, which does not have a new timestamp and signature yet.

        Raises UnsignedReplay, and UsageError for a body that cannot be edited.
        """
        captured = source.invocation
        if self.signer is None and not source.is_signed and not self.takes_unsigned:
            raise UnsignedReplay(f"{source.shown} has no signature to send as captured.")
        notes = list(self._notes(source))
        body = captured.body
        if self.edit is not None:
            body, more = self.edit(body)
            notes += map(ReplayNote, more)
        if self.signer is not None and source.is_message:
            body = self.signer.message(captured.body, body, self.now())
        url = target_url(to, captured.target)
        headers = _captured_headers(captured, url) if self.signer is None else _fresh_headers(captured)
        if body != captured.body:
            headers = headers.without("content-encoding", "content-length")
        return ReadyReplay(
            source=source,
            draft=replace(captured, method=self.method or captured.method, headers=headers, body=body),
            url=url,
            run_id=source.run_id,
            notes=tuple(notes),
            is_signed=self.signer is not None,
        )

    def finish(self, draft: Invocation) -> Invocation:
        """Return the draft as a request to send now, signed if `signer` is set."""
        now = self.now()
        return self.request(draft, self.headers_at(draft, now), now)

    def headers_at(self, draft: Invocation, now: float) -> Headers:
        """Return the headers for sending a draft at `now`, in seconds since the epoch."""
        items = draft.headers.items
        if self.signer is not None:
            items = (*items, *self.signer.fields(draft.body, now))
        if self.headers:
            replaced = {name.lower() for name, _ in self.headers}
            kept = tuple(item for item in items if item[0].lower() not in replaced)
            items = (*kept, *(item for item in self.headers if item[1]))
        return Headers(items)

    def request(self, draft: Invocation, headers: Headers, now: float) -> Invocation:
        """Return a new request: the draft with these headers, sent at `now`."""
        # `replace` takes twice as long, and a series creates thousands of requests a second.
        return Invocation(
            id=self.new_id(),
            received_at=now,
            method=draft.method,
            target=draft.target,
            headers=headers,
            body=draft.body,
            replay_of=draft.replay_of,
            truncated=draft.truncated,
            origin=draft.origin,
        )

    def _notes(self, source: ReplaySource) -> Iterator[ReplayNote]:
        yield from map(ReplayNote, source.notes)
        if self.signer is not None and (found := contradiction(source, self.signer.secret)):
            yield ReplayNote(found, CONTRADICTION)
        if masked := masked_fields(source.invocation.headers):
            yield ReplayNote(f"the store masks {', '.join(masked)}, so it was omitted", MASKED)
        if self.signer is None:
            yield ReplayNote("it is sent with its captured timestamp, so a target that checks the age may reject it")


@frozen
class _Signed:
    draft: Invocation
    stamp: str
    headers: Headers


class SeriesRewriter:
    """Finishes drafts like `rewriter`, but signs each draft only once for each timestamp.

    A series sends a few drafts thousands of times a second, and a signature covers only the body and the timestamp.
    """

    def __init__(self, rewriter: Rewriter) -> None:
        self._rewriter = rewriter
        # The key is the draft's `id()`. The entry references the draft, so no other draft can get the same `id()`.
        self._signed: dict[int, _Signed] = {}

    def finish(self, draft: Invocation) -> Invocation:
        """Return the draft as a request to send now. The request has its own ID and time, but may share its headers."""
        rewriter = self._rewriter
        now = rewriter.now()
        stamp = rewriter.signer.unit.stamp(now) if rewriter.signer is not None else ""
        signed = self._signed.get(id(draft))
        if signed is None or signed.stamp != stamp:
            signed = self._signed[id(draft)] = _Signed(draft, stamp, rewriter.headers_at(draft, now))
        return rewriter.request(draft, signed.headers, now)


def announced_runs(readies: Iterable[ReadyReplay]) -> list[dict[str, Any]]:
    """Return the data that a sandbox needs about each run: its action and the inputs in the request.

    Requests with a captured signature are omitted.
    """
    found = []
    for ready in {ready.run_id: ready for ready in readies if ready.is_signed}.values():
        payload = read_payload(ready.draft.body, ready.draft.headers)
        if payload.kind is Kind.ACTION_RUN and is_run_id(payload.run_id) and payload.action:
            found.append(
                {
                    "runId": payload.run_id,
                    "action": payload.action,
                    "blueprint": payload.blueprint,
                    "entity": payload.entity,
                    "properties": payload.inputs,
                }
            )
    return found


def parse_method(text: str) -> str:
    """Return an HTTP method in capitals. Raises UsageError for an invalid method."""
    if not re.fullmatch(_NAME, text):
        raise UsageError(f"{text!r} is not an HTTP method.", hint="Use a method such as POST or PUT.")
    return text.upper()


def parse_header(text: str) -> tuple[str, str]:
    """Return the name and the value in `NAME:VALUE`. Raises UsageError if they are not a valid header.

    The value is its UTF-8 bytes, decoded as Latin-1.
    """
    name, colon, value = text.partition(":")
    value = value.strip(" \t")
    if not colon or not re.fullmatch(_NAME, name) or re.search(_CONTROL, value):
        raise UsageError(f"--header {name!r} is not a valid header.", hint="Write it like --header 'x-tenant: blue'.")
    return name, value.encode("utf-8", "surrogateescape").decode("latin-1")


def masked_fields(headers: Headers) -> tuple[str, ...]:
    """Return the names of the headers that the store masked. A replay omits these headers."""
    return tuple(name for name, value in headers if value == MASK)


def _fresh_headers(invocation: Invocation) -> Headers:
    return Headers(
        tuple(
            (name, value)
            for name, value in _end_to_end(invocation.headers)
            if name.lower() not in _OF_THE_FIRST_CONNECTION and not name.lower().startswith("x-forwarded-")
        )
    )


def _captured_headers(invocation: Invocation, url: str) -> Headers:
    """Return the captured headers in order, with the host of `url`, and without an incorrect content-length."""
    lengths = invocation.headers.all("content-length")
    headers = _end_to_end(invocation.headers)
    if lengths != (str(len(invocation.body)),):
        headers = headers.without("content-length")
    host = urlsplit(url).netloc
    return Headers(tuple((name, host if name.lower() == "host" else value) for name, value in headers))


def _end_to_end(headers: Headers) -> Headers:
    named = {name.strip().lower() for value in headers.all("connection") for name in value.split(",")}
    dropped = HOP_BY_HOP | _FULFILLED | named
    return Headers(tuple(item for item in headers if item[0].lower() not in dropped and item[1] != MASK))
