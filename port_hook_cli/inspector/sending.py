"""Sends a capture again, as it was or edited: through the listener's pipeline, or straight to the handler."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from port_hook_cli.captures.store.replays import open_for_replays, save_replay
from port_hook_cli.errors import SettingsError, StoreError, UsageError
from port_hook_cli.http.client import HttpClient
from port_hook_cli.invocations.forwarding import BadTarget, is_below, is_on_this_machine, parse_target, target_url
from port_hook_cli.invocations.models import Delivery, Exchange, Invocation
from port_hook_cli.invocations.source import SourceContext
from port_hook_cli.javascript.paths import NoSuchValue
from port_hook_cli.javascript.stringify import NotJson, stringify
from port_hook_cli.replay.rewriting import Rewriting, draft, finish, masked_fields, signed_inside
from port_hook_cli.replay.sources import contradiction, from_exchange, handler_here
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import TimestampUnit
from port_hook_cli.text.secret import Secret

TIMEOUT_S = 40.0
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resend:
    """How to send a capture again. `body` replaces the body, `values` single values by JSON Pointer, `to` the target.

    Without `is_signed`, body, timestamp and signature are sent as they were captured.
    """

    body: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    is_signed: bool = True
    to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resent:
    """A request that was sent, what came back, and the id of its capture ("" if it is in no store)."""

    request: Invocation
    delivery: Delivery
    capture_id: str
    notes: Sequence[str] = ()


class BadJson(UsageError):
    """A body that is not JSON, and where: `line` and `column` count from 1, and are 0 if they are unknown."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message, hint="Fix the JSON at that position.")
        self.line, self.column = line, column


class ReplayDestination(Protocol):
    """Where requests of the inspector go."""

    def default_url(self, exchange: Exchange) -> str | None:
        """Return the URL that a capture is sent to if no other is given, or None if there is none."""
        ...

    async def send(self, request: Invocation, url: str) -> Resent:
        """Send a request; raises PortHookError."""
        ...


class ThroughTheListener:
    """Sends to the listener of this process: the request is verified, saved, forwarded and shown like any other."""

    def __init__(self, context: SourceContext, url: str) -> None:
        self._context, self._url = context, url

    def default_url(self, exchange: Exchange) -> str | None:
        """Return the listener's URL with the captured path."""
        return target_url(self._url, exchange.invocation.target)

    async def send(self, request: Invocation, url: str) -> Resent:
        """Send a request through the pipeline; raises StoreError, and UsageError for a body that is too large.

        A request for a path that the listener does not serve is sent to the one that it serves.
        """
        if not is_below(request.target, self._context.mount):
            request = replace(request, target=self._context.mount)
        clock = asyncio.get_running_loop().time
        started = clock()
        if len(request.body) > self._context.max_body:
            raise UsageError(
                f"The body has {len(request.body):,} bytes, and the listener takes {self._context.max_body:,}.",
                hint="Raise --max-body.",
            )
        response = await self._context.receive(request, _LOOPBACK)
        latency_ms = (clock() - started) * 1000
        if response is None:
            dropped = "the listener closed the connection without a response (--drop)"
            delivery = Delivery(url=url, latency_ms=latency_ms, fault="broken", error=dropped)
        else:
            delivery = Delivery(
                url=url,
                status=response.status,
                latency_ms=latency_ms,
                headers=response.headers,
                body=response.body,
            )
        return Resent(request=request, delivery=delivery, capture_id=request.id)


class ToTheHandler:
    """Sends straight to a handler on this machine, and adds the request and its outcome to the store."""

    def __init__(self, store: Path, secret: Secret | None, last_target: str | None) -> None:
        self._store, self._secret = store, secret
        self._last_target = handler_here(last_target)

    def default_url(self, exchange: Exchange) -> str | None:
        """Return the handler on this machine that got the capture, or else that of the store's last listener."""
        forwarded_to = handler_here(exchange.delivery.url) if exchange.delivery else None
        if forwarded_to:
            return forwarded_to
        return target_url(self._last_target, exchange.invocation.target) if self._last_target else None

    async def send(self, request: Invocation, url: str) -> Resent:
        """Send a request. If the store cannot be written to, the result has a note."""
        async with HttpClient(timeout_s=TIMEOUT_S) as client:
            delivery = await client.send(request, url)
        capture_id, notes = await asyncio.to_thread(self._save, request, delivery)
        return Resent(request=request, delivery=delivery, capture_id=capture_id, notes=notes)

    def _save(self, request: Invocation, delivery: Delivery) -> tuple[str, Sequence[str]]:
        """Return the id of the replay in the store, or "", and notes."""
        try:
            with open_for_replays(self._store) as store:
                return save_replay(store, request, delivery, secret=self._secret), ()
        except StoreError as error:
            return "", (f"The replay was sent but not saved: {error.message}",)


async def resend(
    exchange: Exchange,
    wanted: Resend,
    destination: ReplayDestination,
    *,
    secret: Secret | None,
    runtime: Runtime,
    refused_ports: frozenset[int],
) -> Resent:
    """Send a capture again; raises UsageError, SettingsError, StoreError and BadJson.

    `refused_ports` are those of the inspector itself on this machine.
    """
    captured = from_exchange(exchange.invocation.id, exchange)
    source = captured.invocation
    url = _target(wanted.to, destination.default_url(exchange), source, refused_ports)
    rewriting = Rewriting(as_captured=not wanted.is_signed)
    if wanted.is_signed and secret is None:
        raise SettingsError(
            "There is no client secret to sign with.",
            hint="Set PORT_CLIENT_SECRET and start the inspector again. A listener with --no-verify reads no secret.",
        )
    body = await asyncio.to_thread(edited_body, source.body, wanted)
    if captured.is_message and wanted.is_signed and secret is not None:
        stamp = TimestampUnit.SECONDS.stamp(runtime.now())
        body = await asyncio.to_thread(signed_inside, source.body, body, secret, stamp)
    finishing = partial(
        finish,
        draft(source, rewriting, url=url, body=body),
        rewriting,
        id_=runtime.new_id(),
        now=runtime.now(),
        secret=secret if wanted.is_signed else None,
        unit=TimestampUnit.SECONDS,
    )
    request = await asyncio.to_thread(finishing)
    is_direct = wanted.to is not None and not isinstance(destination, ToTheHandler)
    sent = await (_directly(request, url) if is_direct else destination.send(request, url))
    dropped = masked_fields(exchange.invocation.headers)
    notes = [f"The store masks {', '.join(dropped)}, so the replay was sent without them."] if dropped else []
    if found := await asyncio.to_thread(contradiction, captured, secret if wanted.is_signed else None):
        notes.append(f"{found[0].upper()}{found[1:]}.")
    return replace(sent, notes=(*notes, *sent.notes))


async def _directly(request: Invocation, url: str) -> Resent:
    async with HttpClient(timeout_s=TIMEOUT_S) as client:
        return Resent(request=request, delivery=await client.send(request, url), capture_id="")


def edited_body(body: bytes, wanted: Resend) -> bytes:
    """Return the body to send: `body` unless something replaces it; raises BadJson and UsageError."""
    if wanted.body is not None:
        body = _stringified(wanted.body)
    if not wanted.values:
        return body
    import json

    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UsageError("The body is not JSON, so no value in it can be set.", hint="Edit it as text.") from error
    for pointer, value in wanted.values.items():
        document = _with_value(document, pointer, value)
    return _stringified(json.dumps(document))


def _with_value(document: Any, pointer: str, value: Any) -> Any:
    from port_hook_cli.javascript.paths import is_index, value_at

    if not pointer:
        return value
    parent, slash, token = pointer.rpartition("/")
    try:
        container = value_at(document, parent if slash else pointer)
    except NoSuchValue as error:
        raise UsageError(
            f"The body has nothing at {pointer[:200]}.", hint="Use the path that the page shows."
        ) from error
    key = token.replace("~1", "/").replace("~0", "~")
    if isinstance(container, dict):
        container[key] = value
    elif isinstance(container, list) and is_index(key, container):
        container[int(key)] = value
    else:
        raise UsageError(f"The body has nothing at {pointer[:200]}.", hint="Use the path that the page shows.")
    return document


def _stringified(text: str) -> bytes:
    try:
        # A lone surrogate is written as an escape, so the result is always UTF-8.
        return stringify(text).encode()
    except NotJson as error:
        line, column = _place_of_fault(text)
        at = f" (line {line}, column {column})" if line else ""
        raise BadJson(f"The body is not JSON{at}: {error.fault}.", line, column) from error


def _place_of_fault(text: str) -> tuple[int, int]:
    """Return line and column of the fault in a text that is not JSON, 0 where Python's parser finds none."""
    import json

    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.lineno, error.colno
    except (ValueError, RecursionError):
        pass
    return 0, 0


def _target(to: str | None, default: str | None, source: Invocation, refused_ports: frozenset[int]) -> str:
    url = default if to is None else _named_target(to, source)
    if url is None:
        raise UsageError(
            "There is no target: this capture was not forwarded to a handler on this machine.",
            hint="Name the handler's URL or port.",
        )
    if not is_on_this_machine(url) and to is not None:
        raise UsageError("The inspector sends only to this machine.", hint="Use `port-hook replay --to` for others.")
    if is_on_this_machine(url) and urlsplit(url).port in refused_ports:
        raise UsageError(f"{url[:200]} is the inspector itself.", hint="Give the port that your handler listens on.")
    return url


def _named_target(to: str, source: Invocation) -> str:
    try:
        url = parse_target(to)
    except BadTarget as error:
        raise UsageError(f"{to[:200]} is not a target: {str(error)[:200]}.", hint="Write a port or a URL.") from error
    return target_url(url, source.target)
