"""The command `port-hook inspect`."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from port_hook_cli.actions.encryption import KeyUnreadable
from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.handlers import project_handler
from port_hook_cli.cli.option_groups import command, short_option
from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.models import Capture, Delivery, Invocation, Response
from port_hook_cli.invocations.targets import is_on_this_machine, request_target
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import ONLY_THE_SECRET, Settings
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import sayer, tell
from port_hook_cli.text.secret import Secret

if TYPE_CHECKING:
    from port_hook_cli.actions.encrypted_inputs import Decryption
    from port_hook_cli.captures.store.capture_store import CaptureStore
    from port_hook_cli.inspector.opening import OpenInspector
    from port_hook_cli.inspector.sandbox_runs import SentRequests
    from port_hook_cli.inspector.session import InspectorOptions
    from port_hook_cli.invocations.models import Payload
    from port_hook_cli.listener.observers import Observer
    from port_hook_cli.listener.serving import ListenPlan, Serving
    from port_hook_cli.listener.session import Companion


_MOST_UNSAVED = 1_000
_DEFINITIONS = ("actions", "workflows")
"""The directories whose actions and workflows `listen --inspect` offers."""


@command
def inspect(
    ctx: typer.Context,
    port: Annotated[
        int,
        short_option(
            "--port", "-p", metavar="N", help="The inspector's port; 0 chooses a free port.", min=0, max=65535
        ),
    ] = 0,
    actions: options.InspectActions = None,
    no_open: Annotated[bool, short_option("--no-open", help="Don't open the browser.")] = False,
    store: options.Store = None,
    org: options.Org = None,
    secret_file: options.SecretFile = None,
    private_key: options.PrivateKey = None,
) -> ExitCode:
    """Search, explain and replay captures in the browser.

    On a desktop, opens the browser. Otherwise, open the printed URL.
    """
    from port_hook_cli.captures.database.opening import store_path
    from port_hook_cli.inspector.session import InspectorOptions

    runtime: Runtime = ctx.obj
    chosen = partial(PortAccess, runtime, sayer(runtime), org=org, secret_file=secret_file)
    secret = chosen(needs=ONLY_THE_SECRET).settings.client_secret
    inspector = InspectorOptions(
        port=port,
        actions=[runtime.cwd / path for path in actions or []],
        secret=secret,
        handler=project_handler(ctx),
        access=chosen(),
        say=sayer(runtime),
        decrypt=_decrypt(secret, private_key, runtime),
    )
    return asyncio.run(_inspect(inspector, runtime, store_path(store, runtime.cwd), opens=not no_open))


async def _inspect(inspector: InspectorOptions, runtime: Runtime, store: Path, *, opens: bool) -> ExitCode:
    from port_hook_cli.inspector.session import inspecting_store
    from port_hook_cli.terminal.signals import stop_signal

    with stop_signal() as stop:
        async with inspecting_store(inspector, runtime, store) as serving:
            print(serving.url, file=runtime.stdout, flush=True)
            tell(
                "The inspector runs until you press Ctrl-C."
                " Do not share the URL: it lets anyone read and send captures.",
                runtime,
            )
            if opens:
                _open_on_desktop(serving, runtime)
            await stop.wait()
    return ExitCode.OK


def beside_listener(
    plan: ListenPlan,
    runtime: Runtime,
    *,
    port: int,
    access: PortAccess,
    private_key: str | None,
) -> tuple[Observer, Companion, Callable[[], None]]:
    """Return the parts that `listen --inspect` adds to a session: observer, companion, and the opener of the page."""
    from port_hook_cli.captures.database.opening import store_path
    from port_hook_cli.inspector.session import InspectorObserver, InspectorOptions, inspecting_listener

    secret, observer = plan.policy.secret, InspectorObserver()
    inspector = InspectorOptions(
        port=port,
        avoided_ports=frozenset(parsed for url in _handlers_here(plan) if (parsed := urlsplit(url).port)),
        actions=[path for name in _DEFINITIONS if (path := runtime.cwd / name).is_dir()],
        secret=secret,
        access=access,
        say=sayer(runtime),
        decrypt=_decrypt(secret, private_key, runtime),
    )

    pages: list[OpenInspector] = []

    @asynccontextmanager
    async def companion(serving: Serving, public_url: Callable[[], str | None]) -> AsyncIterator[tuple[str, str]]:
        store = store_path(plan.store, runtime.cwd)
        urls = lambda: (serving.url, public_url())  # noqa: E731 - called again for each page
        holding = serving.flow.holding
        async with inspecting_listener(inspector, runtime, store, serving.context, observer, urls, holding) as opened:
            _refuse_to_inspect_itself(plan, opened.port)
            pages.append(opened)
            _open_on_desktop(opened, runtime)
            yield "Inspector", opened.url

    return observer, companion, lambda: _open_soon(pages[-1])


class SandboxInspector:
    """The inspector of `sandbox --inspect`. It shows the requests that the sandbox sends, in a temporary store."""

    def __init__(self, runtime: Runtime, *, port: int, actions: list[Path]) -> None:
        self._runtime, self._port, self._actions = runtime, port, actions
        self._sent: asyncio.Queue[tuple[Invocation, Delivery]] = asyncio.Queue(_MOST_UNSAVED)

    def add(self, invocation: Invocation, delivery: Delivery) -> None:
        """Record a sent request, unless too many requests are waiting to be saved."""
        with suppress(asyncio.QueueFull):
            self._sent.put_nowait((invocation, delivery))

    @asynccontextmanager
    async def opened(self, api_url: str, client_id: str, secret: Secret) -> AsyncIterator[str]:
        """Serve the inspector with the sandbox's credentials, and yield the inspector's URL."""
        from port_hook_cli.captures.store.capture_store import open_store
        from port_hook_cli.inspector.sandbox_runs import SentRequests
        from port_hook_cli.inspector.session import InspectorOptions, inspecting_store

        sent = SentRequests()
        settings = Settings(client_id=client_id, client_secret=secret, api_url=api_url, app_url="")
        inspector = InspectorOptions(
            port=self._port,
            actions=[self._runtime.cwd / path for path in self._actions],
            secret=secret,
            remembers=False,
            access=PortAccess.known(settings, self._runtime),
            say=sayer(self._runtime),
            decrypt=_decrypt(secret, None, self._runtime),
            sent=sent,
        )
        with tempfile.TemporaryDirectory(prefix="port-hook-") as folder:
            path = Path(folder, "sent.db")
            with open_store(path, path.parent, create=True) as store:
                saving = asyncio.create_task(self._save(store, secret, sent))
                try:
                    async with inspecting_store(inspector, self._runtime, path, mode="sandbox", url=api_url) as serving:
                        _open_on_desktop(serving, self._runtime)
                        yield serving.url
                finally:
                    saving.cancel()
                    with suppress(asyncio.CancelledError):
                        await saving

    async def _save(self, store: CaptureStore, secret: Secret, sent: SentRequests) -> None:
        while True:
            invocation, delivery = await self._sent.get()
            capture = self._capture(invocation, delivery, secret)
            await asyncio.to_thread(store.add, [capture])
            sent.note(invocation.id, capture.invocation.id, is_named=capture.payload.run_id is not None)

    def _capture(self, invocation: Invocation, delivery: Delivery, secret: Secret) -> Capture:
        from port_hook_cli.invocations.payload import read_payload
        from port_hook_cli.signatures.verification import verify_signature

        response = None
        if delivery.status is not None:
            response = Response(status=delivery.status, headers=delivery.headers, body=delivery.body)
        return Capture(
            # In the sandbox, the ID of a request is the ID of its run, and a run may be sent again.
            invocation=replace(
                invocation, id=self._runtime.new_id(), target=request_target(delivery.url).decode("latin-1")
            ),
            verdict=verify_signature(invocation.headers, invocation.body, secret, now=invocation.received_at),
            payload=read_payload(invocation.body, invocation.headers),
            delivery=delivery,
            response=response,
        )


def _decrypt(
    secret: Secret | None, private_key: str | None, runtime: Runtime
) -> Callable[[Payload], list[Decryption]] | None:
    """Return the function that decrypts inputs, or None without a key. Raises KeyUnreadable for a bad --private-key."""
    from port_hook_cli.cli.encryption import build_decrypter

    if secret is None and private_key is None:
        return None
    try:
        return build_decrypter(secret, private_key, runtime).decrypt
    except KeyUnreadable:
        if private_key is not None:
            raise
        return None  # the secret is too short for a client secret, but everything else works


def _refuse_to_inspect_itself(plan: ListenPlan, port: int) -> None:
    for target in _handlers_here(plan):
        if urlsplit(target).port == port:
            raise UsageError(f"{target} is the inspector itself.", hint="Use the port that your handler listens on.")


def _handlers_here(plan: ListenPlan) -> list[str]:
    """Return the targets of a listener that are on this machine."""
    return [url for url in plan.policy.routes.targets if is_on_this_machine(url)]


def _open_on_desktop(inspector: OpenInspector, runtime: Runtime) -> None:
    from port_hook_cli.terminal.desktop import has_desktop

    if has_desktop(runtime):
        _open_soon(inspector)


def _open_soon(inspector: OpenInspector) -> None:
    """Open the page from a separate thread. A browser in the terminal would block the event loop until it ends.

    Other users of the machine can read the arguments of the browser, so the URL contains a code that works only once.
    """
    import webbrowser

    url = inspector.url_for_once()
    Thread(target=webbrowser.open, args=(url,), name="port-hook-browser", daemon=True).start()
