"""The source of a replay: a request in the capture store, in a file, or in Port."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf
from typing import Any

from port_hook_cli.captures.documents.capture_fields import require_whole
from port_hook_cli.errors import PortApiError, StoreError
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.headers import SIGNATURE_HEADER, Headers
from port_hook_cli.invocations.http_text import RawRequest
from port_hook_cli.invocations.models import Capture, Delivery, Invocation, Status, Verdict
from port_hook_cli.invocations.payload import marked_document, read_payload, refuse_other_format
from port_hook_cli.invocations.targets import path_and_query
from port_hook_cli.javascript.stringify import NotJson, stringify
from port_hook_cli.signatures.messages import verify_received, verify_received_without_diagnosis
from port_hook_cli.signatures.signing import as_port_sends
from port_hook_cli.text.safe import input_name
from port_hook_cli.text.secret import Secret

SIGNED = frozenset({Status.VALID, Status.REENCODED, Status.STALE})
"""The verdicts on requests that the owner of the secret has signed. A `STALE` timestamp is too old or too new."""

_CONTENT_TYPE = ("content-type", "application/json")
_HEADERS = Headers((_CONTENT_TYPE,))
_REDACTED = "it is redacted, so its values and its signature are not Port's"
KINDS = "Replay a payload as JSON, a file from `port-hook export ID --format capture`, or a raw HTTP request."


@frozen(kw_only=True)
class ReplaySource:
    """A request to replay. `name` is the user's name for the request, and `notes` are shown to the user.

    `invocation.replay_of` is the ID of the request's capture, if any. `recorded` is the outcome of the capture at its
    handler. `is_stored` means that the capture is in the store. `is_message` means that the request was a Kafka message
    with its signature inside its body. `verdict` is the capture's verdict, which may be forged, or None for a redacted
    capture and for other sources.
    """

    name: str
    invocation: Invocation
    notes: tuple[str, ...] = ()
    recorded: Delivery | None = None
    is_stored: bool = False
    is_message: bool = False
    verdict: Verdict | None = None

    @property
    def shown(self) -> str:
        """What messages call the source."""
        return input_name(self.name)

    @property
    def forwarded_to(self) -> str | None:
        """The URL of the capture's handler, or None. It may be on another machine, so pass it only to a HandlerRule."""
        return None if self.recorded is None else self.recorded.url

    @property
    def run_id(self) -> str | None:
        """The ID of the request's run, or None if the payload has none."""
        return read_payload(self.invocation.body, self.invocation.headers).run_id

    @property
    def is_signed(self) -> bool:
        """Whether the request has a signature."""
        return self.invocation.headers.get(SIGNATURE_HEADER) is not None


def from_capture(name: str, capture: Capture, *, is_stored: bool = False) -> ReplaySource:
    """Return a capture as a source. Raises StoreError if the body of the capture is incomplete."""
    whole = require_whole(input_name(name), capture.invocation)
    return ReplaySource(
        name=name,
        invocation=replace(whole, replay_of=capture.invocation.id, origin=None),
        notes=(*(() if capture.throwaway_secret is None else (_REDACTED,)), *_verdict_notes(capture.verdict)),
        recorded=capture.delivery,
        is_stored=is_stored,
        is_message=capture.invocation.origin is not None,
        verdict=capture.verdict if capture.throwaway_secret is None else None,
    )


def captured_verdict(source: ReplaySource, secret: Secret) -> Verdict:
    """Return the verdict on the captured signature with `secret`, ignoring the age of the timestamp.

    Never raises.
    """
    invocation = source.invocation
    return verify_received(invocation.headers, invocation.body, secret, **_when_captured(source))


def _when_captured(source: ReplaySource) -> dict[str, Any]:
    return {"is_message": source.is_message, "now": source.invocation.received_at, "tolerance_s": inf}


def contradiction(source: ReplaySource, secret: Secret | None) -> str:
    """Return a note if a capture's verdict says that an invalid signature is valid. Otherwise, return ""."""
    if secret is None or source.verdict is None or source.verdict.status is not Status.VALID:
        return ""
    headers, body = source.invocation.headers, source.invocation.body
    # The diagnosis is skipped, because it may take a long time for many captures.
    found = verify_received_without_diagnosis(headers, body, secret, **_when_captured(source), seen=False)
    if found is not None and found.status in SIGNED:
        return ""
    return "its signature does not match the client secret in use, but the capture says that it was valid"


def from_request(name: str, raw: RawRequest) -> ReplaySource:
    """Return a raw HTTP request as a source."""
    invocation = _request(raw.body, method=raw.method, target=raw.target, headers=raw.headers)
    return ReplaySource(name=name, invocation=invocation, notes=raw.remarks)


def from_payload(name: str, content: bytes) -> ReplaySource:
    """Return a file's payload as a source, in Port's format.

    Raises StoreError if the file does not contain a payload, and UsageError for another tool's request.
    """
    shown = input_name(name)
    refuse_other_format(shown, content)
    try:
        signable = as_port_sends(content)
    except NotJson as problem:
        raise StoreError(f"{shown} is neither a payload nor a capture file: {problem.fault}.", hint=KINDS) from problem
    notes = (f"it is sent {signable.difference}",) if signable.difference else ()
    return ReplaySource(
        name=name, invocation=_request(signable.body), notes=(*notes, *_definition_notes(signable.body))
    )


def _definition_notes(body: bytes) -> tuple[str, ...]:
    """Return a note if a payload looks like the definition of an action or a workflow, otherwise no notes."""
    document = marked_document(body, b'"identifier"')
    if not isinstance(document, dict) or not (
        isinstance(document.get("invocationMethod"), dict) or isinstance(document.get("nodes"), list)
    ):
        return ()
    return (
        "it looks like a definition, not a payload. `port-hook trigger` makes the request of an action or workflow",
    )


def from_run(name: str, kept: Any) -> ReplaySource:
    """Return Port's request for a run as a source. `kept` is the run's `payload` in Port's API.

    Raises PortApiError for a run without a readable request.
    """
    if not isinstance(kept, dict) or "body" not in kept:
        raise PortApiError(
            f"Port has no request for the run {name}.",
            hint="Only runs of webhook actions have a request. Check the action's invocation method.",
        )
    body = kept["body"]
    try:
        content = (body if isinstance(body, str) else stringify(json.dumps(body))).encode("utf-8", "replace")
    except (NotJson, RecursionError) as problem:
        raise PortApiError(f"port-hook cannot read Port's request for {name}: {problem}.") from problem
    method, target = str(kept.get("method") or "POST").upper(), path_and_query(str(kept.get("url") or ""))
    invocation = _request(content, method=method, target=target, headers=_kept_headers(kept.get("headers")))
    return ReplaySource(name=name, invocation=invocation)


def _verdict_notes(verdict: Verdict) -> tuple[str, ...]:
    if verdict.status is Status.VALID:
        return ()
    if verdict.status is Status.UNCHECKED:
        return ("its signature was not checked when it was captured",)
    causes = f" ({', '.join(verdict.slugs)})" if verdict.slugs else ""
    return (f"its signature was {verdict.status}{causes} when it was captured",)


def _request(body: bytes, *, method: str = "POST", target: str = "/", headers: Headers = _HEADERS) -> Invocation:
    """Return a request for content that port-hook did not capture. The request has neither an ID nor a time."""
    return Invocation(id="", received_at=0.0, method=method, target=target, headers=headers, body=body)


def _kept_headers(fields: Any) -> Headers:
    items = fields.items() if isinstance(fields, dict) else ()
    headers = Headers.from_raw(
        (name.encode("utf-8", "replace"), str(value).encode("utf-8", "replace")) for name, value in items
    )
    return headers if headers.get("content-type") else Headers((_CONTENT_TYPE, *headers))
