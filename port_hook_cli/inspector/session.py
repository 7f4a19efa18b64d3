"""Opens an inspector for a listener or for a store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import field
from pathlib import Path

from port_hook_cli.actions.encrypted_inputs import Decryption
from port_hook_cli.captures.database.files import check_files
from port_hook_cli.frozen import frozen
from port_hook_cli.inspector.api import Inspector
from port_hook_cli.inspector.door import recall, remember
from port_hook_cli.inspector.opening import OpenInspector, serving
from port_hook_cli.inspector.port_side import PortSide
from port_hook_cli.inspector.reading import CaptureReader
from port_hook_cli.inspector.sandbox_runs import SandboxRuns, SentRequests
from port_hook_cli.inspector.sending import InspectorTarget, ThroughTheListener, ToTheHandler
from port_hook_cli.inspector.setup import InspectorSetup
from port_hook_cli.inspector.triggering import Actions
from port_hook_cli.invocations.handlers import Handler, HandlerRule
from port_hook_cli.invocations.models import Capture, Payload
from port_hook_cli.invocations.source import SourceContext
from port_hook_cli.listener.holding import Holding
from port_hook_cli.listener.observers import Observer
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.remark import Say, plain, say_nothing, warning
from port_hook_cli.text.secret import Secret


@frozen(kw_only=True)
class InspectorOptions:
    """The options of an inspector besides its store: a port (0: any), files of actions, keys, and access to Port.

    The inspector doesn't use a remembered port that is in `avoided_ports`, which are the ports of handlers. `remembers`
    means that the home directory stores the port and the token for the next inspector of the same store. `handler` is
    the project's handler. `say` receives messages while the inspector runs. `sent` belongs to the sandbox. If it is
    set, runs start in the sandbox of `access`.
    """

    access: PortAccess = field(repr=False)
    port: int = 0
    avoided_ports: frozenset[int] = frozenset()
    remembers: bool = True
    actions: Sequence[Path] = ()
    secret: Secret | None = None
    handler: Handler | None = None
    decrypt: Callable[[Payload], list[Decryption]] | None = field(default=None, repr=False)
    say: Say = say_nothing
    sent: SentRequests | None = None


class InspectorObserver(Observer):
    """Wakes the inspector when the listener has captured a request. It does nothing else, so it costs little."""

    def __init__(self) -> None:
        self._touch: Callable[[], None] = lambda: None

    def attach(self, touch: Callable[[], None]) -> None:
        """Call `touch` for each capture from now on."""
        self._touch = touch

    def captured(self, capture: Capture) -> None:  # noqa: ARG002 - it is read from the store
        """Wake the inspector because the listener has captured a request."""
        self._touch()


@asynccontextmanager
async def inspecting_listener(
    options: InspectorOptions,
    runtime: Runtime,
    store: Path,
    context: SourceContext,
    observer: InspectorObserver,
    urls: Callable[[], tuple[str, str | None]],
    holding: Holding,
) -> AsyncIterator[OpenInspector]:
    """Serve the inspector of a listener. Replays go through the listener's pipeline. Raises PortHookError."""
    target = ThroughTheListener(context, urls()[0], takes_unsigned=options.secret is None)
    async with _opened(options, runtime, store, "listen", target, urls, holding) as inspector:
        observer.attach(inspector.feed.touch)
        async with _served(inspector, options, runtime, store) as running:
            yield running
            await inspector.feed.finish()


@asynccontextmanager
async def inspecting_store(
    options: InspectorOptions, runtime: Runtime, store: Path, *, mode: str = "store", url: str | None = None
) -> AsyncIterator[OpenInspector]:
    """Serve the inspector of a store. Replays go directly to the handler. Raises PortHookError.

    `mode` and `url` tell the page whose store it shows. Another user's store is rejected, as in other commands that
    send, because its captures would be signed with this user's secret.
    """
    await asyncio.to_thread(check_files, store, show_only=False)
    captures = CaptureReader(store)
    await captures.open()
    try:
        last = await captures.last_target()
        target = ToTheHandler(store, options.secret, HandlerRule(project=options.handler, last=lambda: last))
    finally:
        await captures.close()
    async with (
        _opened(options, runtime, store, mode, target, lambda: (url, None)) as inspector,
        _served(inspector, options, runtime, store) as running,
    ):
        yield running


@asynccontextmanager
async def _served(
    inspector: Inspector, options: InspectorOptions, runtime: Runtime, store: Path
) -> AsyncIterator[OpenInspector]:
    """Serve the page at the port of the store's last inspector if possible, and remember the new address."""
    known = recall(runtime.home, store) if options.remembers else None
    if known is not None and known.port in options.avoided_ports:
        known = None
    async with serving(inspector, port=options.port, remembered=known) as running:

        def keep() -> None:
            runtime.keep_secret(running.address.token)
            if options.remembers:
                remember(runtime.home, store, running.address)

        def replaced() -> None:
            keep()
            options.say(
                warning(
                    "The one-time URL of the inspector was opened a second time, so another user of this machine"
                    " may have seen captures. The inspector has a new token. Open pages need the new URL."
                )
            )
            options.say(plain(f"Inspector {running.url}"))

        keep()
        running.door.on_replaced(replaced)
        yield running


@asynccontextmanager
async def _opened(
    options: InspectorOptions,
    runtime: Runtime,
    store: Path,
    mode: str,
    target: InspectorTarget,
    urls: Callable[[], tuple[str | None, str | None]],
    holding: Holding | None = None,
) -> AsyncIterator[Inspector]:
    captures = CaptureReader(store)
    await captures.open()
    try:
        setup = InspectorSetup(
            mode=mode,
            store=store,
            runtime=runtime,
            target=target,
            access=options.access,
            port=PortSide(options.access, runtime),
            actions=_actions(options, runtime),
            secret=options.secret,
            handler=options.handler,
            decrypt=options.decrypt,
            urls=urls,
            holding=holding,
        )
        inspector = Inspector(setup, captures)
        await captures.catch_up()
        inspector.feed.start()
        try:
            yield inspector
        finally:
            inspector.desk.close()
            await inspector.feed.close()
    finally:
        await asyncio.shield(captures.close())


def _actions(options: InspectorOptions, runtime: Runtime) -> Actions:
    if options.sent is None:
        return Actions(options.actions, options.secret, runtime)
    return SandboxRuns(options.actions, options.secret, runtime, options.access, options.sent)
