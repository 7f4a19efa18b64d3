"""Sends a capture again, unchanged or edited, through the listener's pipeline or directly to the handler."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from port_hook_cli.errors import SettingsError, UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.http.client import HttpClient
from port_hook_cli.invocations.handlers import HandlerRule, handler_of
from port_hook_cli.invocations.models import Capture, Invocation
from port_hook_cli.invocations.source import SourceContext
from port_hook_cli.invocations.targets import BadTarget, is_below, is_on_this_machine, parse_target, target_url
from port_hook_cli.javascript.json_fault import JsonFault
from port_hook_cli.javascript.paths import NoSuchValue, path_to, set_at
from port_hook_cli.javascript.stringify import NotJson, stringify
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.replay.editing import load_body, write_body
from port_hook_cli.replay.rewriting import CONTRADICTION, ReadyReplay, Rewriter, SentReplay, masked_fields
from port_hook_cli.replay.sending import (
    ListenerRecipient,
    announce,
    send,
)
from port_hook_cli.replay.sources import from_capture
from port_hook_cli.replay.store import keep_in_thread, kept_by_listener
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import Signer
from port_hook_cli.text.secret import Secret

TIMEOUT_S = 40.0


@frozen(kw_only=True)
class Resend:
    """The settings for sending a capture again.

    `body` replaces the whole body, `values` replaces single values by JSON Pointer, and `to` replaces the target.
    Without `is_signed`, the captured body, timestamp and signature are sent.
    """

    body: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    is_signed: bool = True
    to: str | None = None


class BadJson(UsageError):
    """An error in a JSON body, and its position.

    `line` and `column` start at 1, and are 0 if the position is unknown.
    """

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message, hint="Fix the JSON at that position.")
        self.line, self.column = line, column


class InspectorTarget(Protocol):
    """The target of the inspector's requests. `takes_unsigned` means that the target doesn't verify signatures."""

    takes_unsigned: bool

    def default_url(self, capture: Capture) -> str | None:
        """Return the default URL for a capture, or None if there is no default."""
        ...

    async def send(self, request: Invocation, url: str) -> SentReplay:
        """Send a request, and return it with its response. Raises PortHookError."""
        ...


class ThroughTheListener:
    """Sends requests to the listener in this process.

    The listener verifies, saves, forwards and shows these requests like any other requests.
    """

    def __init__(self, context: SourceContext, url: str, *, takes_unsigned: bool) -> None:
        self._context, self._url, self.takes_unsigned = context, url, takes_unsigned

    def default_url(self, capture: Capture) -> str | None:
        """Return the listener's URL with the path of the capture."""
        return target_url(self._url, capture.invocation.target)

    async def send(self, request: Invocation, url: str) -> SentReplay:
        """Send a request through the pipeline. Raises StoreError, or UsageError if the body is too large.

        If the listener doesn't serve the path of the request, the request goes to the listener's own path.
        """
        if not is_below(request.target, self._context.mount):
            request = replace(request, target=self._context.mount)
        return await send(request, url, ListenerRecipient(self._context), kept_by_listener)


class ToTheHandler:
    """Sends requests directly to a handler on this machine, and adds each request and its outcome to the store."""

    takes_unsigned = False

    def __init__(self, store: Path, secret: Secret | None, rule: HandlerRule) -> None:
        self._store, self._secret, self._rule = store, secret, rule

    def default_url(self, capture: Capture) -> str | None:
        """Return the URL of the handler for a capture, or None if no handler on this machine is known."""
        to = self._rule.url(handler_of(capture))
        return target_url(to, capture.invocation.target) if to else None

    async def send(self, request: Invocation, url: str) -> SentReplay:
        """Send a request, and save it in the store if possible."""
        async with HttpClient(timeout_s=TIMEOUT_S) as client:
            return await send(request, url, client, partial(keep_in_thread, self._store, self._secret))


def page_rewriter(wanted: Resend, target: InspectorTarget, secret: Secret | None, runtime: Runtime) -> Rewriter:
    """Return the rewriter that prepares a capture for sending.

    Raises SettingsError if there is no secret for the signature.
    """
    if wanted.is_signed and secret is None:
        raise SettingsError(
            "The inspector has no client secret to sign with.",
            hint="Set PORT_CLIENT_SECRET and start the inspector again. `listen --verify off` doesn't read it.",
        )
    return Rewriter(
        signer=Signer(secret) if wanted.is_signed and secret is not None else None,
        now=runtime.now,
        new_id=runtime.new_id,
        edit=lambda body: (edited_body(body, wanted), ()),
        takes_unsigned=target.takes_unsigned and wanted.to is None,
    )


async def resend(
    capture: Capture,
    to: str | None,
    rewriter: Rewriter,
    target: InspectorTarget,
    access: PortAccess,
    refused_ports: frozenset[int],
) -> tuple[SentReplay, list[str]]:
    """Send a capture again, and return the sent request and notes. Raises UsageError, StoreError and BadJson.

    `refused_ports` are the inspector's own ports.
    """
    source = from_capture(capture.invocation.id, capture, is_stored=True)
    url = _target(to, target.default_url(capture), source.invocation, refused_ports)
    ready = await asyncio.to_thread(rewriter.prepare, source, url)
    await announce([ready], access)
    request = await asyncio.to_thread(rewriter.finish, ready.draft)
    sent = await sender(target, to)(request, url)
    return sent, [*_notes(ready), *kept_notes(sent)]


def sender(target: InspectorTarget, to: str | None) -> Callable[[Invocation, str], Awaitable[SentReplay]]:
    """Return the function that sends requests: to the session's target, or directly to the user's target `to`."""
    is_direct = to is not None and not isinstance(target, ToTheHandler)
    return _directly if is_direct else target.send


def newly_signed(capture: Capture, url: str, secret: Secret | None, runtime: Runtime) -> Capture | None:
    """Return a capture with a newly signed request to `url`. Return None without a secret or without the whole body."""
    if secret is None or capture.invocation.truncated is not None:
        return None
    rewriter = Rewriter(signer=Signer(secret), now=runtime.now, new_id=lambda: capture.invocation.id)
    ready = rewriter.prepare(from_capture(capture.invocation.id, capture, is_stored=True), url)
    return replace(capture, invocation=rewriter.finish(ready.draft))


def kept_notes(sent: SentReplay) -> list[str]:
    """Return a note if a request was not saved. Otherwise return no notes."""
    return [f"The replay was sent but not saved: {sent.kept.problem}"] if sent.kept.problem else []


def _notes(ready: ReadyReplay) -> Iterator[str]:
    """Yield notes about the differences between the sent request and the capture on the page."""
    if dropped := masked_fields(ready.source.invocation.headers):
        yield f"The store masks {', '.join(dropped)}, so the replay was sent without them."
    for note in ready.notes:
        if note.about == CONTRADICTION:
            yield f"{note.text[0].upper()}{note.text[1:]}."


async def _directly(request: Invocation, url: str) -> SentReplay:
    async with HttpClient(timeout_s=TIMEOUT_S) as client:
        return await send(request, url, client)


def edited_body(body: bytes, wanted: Resend) -> bytes:
    """Return the body to send, which is `body` or its replacement. Raises BadJson and UsageError."""
    if wanted.body is not None:
        body = _stringified(wanted.body)
    if not wanted.values:
        return body
    document = load_body(body)
    for pointer, value in wanted.values.items():
        try:
            path = path_to(document, pointer)
        except NoSuchValue as error:
            message = f"The body has no value at {pointer[:200]}."
            raise UsageError(message, hint="Use the path that the page shows.") from error
        document = set_at(document, path, value)
    return write_body(document)


def json_problem(text: str) -> dict[str, Any] | None:
    """Return why text is not JSON, with `line` and `column` as in BadJson. Return None for JSON.

    port-hook's own parser takes seconds for a megabyte, and slows the listener in this process meanwhile. So Python's
    parser reads long texts. Python's parser is just as strict, except about the depth of the document.
    """
    if len(text) > _LONG_TEXT:
        return _problem_of_long_text(text)
    try:
        stringify(text)
    except NotJson as error:
        return _problem(error.syntax or error.fault)
    return None


def _problem_of_long_text(text: str) -> dict[str, Any] | None:
    import json

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    try:
        json.loads(text, parse_constant=refuse, parse_int=len, parse_float=len)
    except json.JSONDecodeError as error:
        return _problem(JsonFault.of(error))
    except ValueError as error:
        return _problem(str(error))
    except RecursionError:
        return _problem("nested too deep")
    return None


def _problem(fault: JsonFault | str) -> dict[str, Any]:
    reason, line, column = (fault, 0, 0) if isinstance(fault, str) else (fault.reason, fault.line, fault.column)
    return {"error": f"{reason[:1].upper()}{reason[1:]}.", "line": line, "column": column}


def _stringified(text: str) -> bytes:
    try:
        # A lone surrogate is written as an escape, so the result is always UTF-8.
        return stringify(text).encode()
    except NotJson as error:
        found = error.syntax
        line, column = (found.line, found.column) if found else (0, 0)
        raise BadJson(f"The body is not JSON: {error.fault}.", line, column) from error


_LONG_TEXT = 64 * 1024


def _target(to: str | None, default: str | None, source: Invocation, refused_ports: frozenset[int]) -> str:
    url = default if to is None else named_target(to, source)
    if url is None:
        raise UsageError(
            "The request needs a target, because this capture was not forwarded to a handler on this machine.",
            hint="Enter the handler's URL or port.",
        )
    if not is_on_this_machine(url) and to is not None:
        raise UsageError("The inspector sends only to this machine.", hint="Use `port-hook replay --to`.")
    if is_on_this_machine(url) and urlsplit(url).port in refused_ports:
        raise UsageError(f"{url[:200]} is the inspector itself.", hint="Use the port of your handler.")
    return url


def named_target(to: str, source: Invocation | None = None) -> str:
    """Return the user's target URL. If it has no path, add the path of `source`. Raises UsageError."""
    try:
        url = parse_target(to)
    except BadTarget as error:
        raise UsageError(f"{to[:200]} is not a target: {str(error)[:200]}.", hint="Write a port or a URL.") from error
    return url if source is None else target_url(url, source.target)
