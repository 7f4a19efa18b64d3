"""The commands that a user can run with a key while `listen` runs on a terminal."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from port_hook_cli.captures.store.reader import open_reader
from port_hook_cli.captures.store.statements import StoreFilter
from port_hook_cli.errors import PortHookError, StoreError
from port_hook_cli.invocations.models import Capture
from port_hook_cli.invocations.source import SourceContext
from port_hook_cli.listener.holding import Holding
from port_hook_cli.listener.observers import Observer
from port_hook_cli.listener.view import replayed_line
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.replay.rewriting import Rewriter
from port_hook_cli.replay.sending import ListenerRecipient, announce, send
from port_hook_cli.replay.sources import from_capture
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import Signer
from port_hook_cli.terminal.echo import is_in_foreground
from port_hook_cli.text.secret import Secret

KEYS: Mapping[str, str] = {
    "r": "replay the latest request that listen did not reject",
    "c": "copy the URL to set in Port",
    "f": "show everything about each invocation, or one line",
    "i": "open the inspector",
    "p": "hold incoming requests, or release them",
    "?": "show these keys",
    "q": "quit",
}
_LOOPBACK = "127.0.0.1"
_READ_AT_ONCE = 256
_BACKGROUND_S = 0.5


class KeyCommands(Observer):
    """Reads keys from the terminal while a listener runs, and runs the commands of these keys.

    `toggle` switches the screen between full and compact, and returns whether the screen is now compact. `open_page`
    opens the inspector, and is None without an inspector. `access` announces replays to a sandbox. Until the first
    request arrives, `stored` returns the request to replay. It raises StoreError, and runs in a thread. Without
    `has_handler`, no request is replayed.
    """

    def __init__(
        self,
        runtime: Runtime,
        secret: Secret | None,
        access: PortAccess,
        *,
        toggle: Callable[[], bool],
        open_page: Callable[[], None] | None = None,
        stored: Callable[[], Capture | None] = lambda: None,
        has_handler: bool = True,
    ) -> None:
        self._runtime, self._secret, self._access = runtime, secret, access
        self._toggle, self._open_page = toggle, open_page
        self._stored, self._has_handler = stored, has_handler
        self._last: Capture | None = None
        self._loading: asyncio.Task[None] | None = None
        self._running: dict[str, asyncio.Task[None]] = {}

    def captured(self, capture: Capture) -> None:
        """Remember the capture for replays, unless it is a replay itself or was rejected.

        A rejected request comes from an untrusted sender. If it were newly signed, the listener would forward it.
        """
        if not capture.rejected and capture.invocation.replay_of is None:
            self._last = capture

    @contextmanager
    def reading(
        self,
        context: SourceContext,
        holding: Holding,
        notice: Callable[[str], None],
        url: Callable[[], str],
        stop: asyncio.Event,
    ) -> Iterator[None]:
        """Read keys until the context ends.

        `holding` holds and releases requests, `url` returns the URL to copy, and the key that quits sets `stop`.
        """
        loop, descriptor = asyncio.get_running_loop(), self._runtime.stdin.fileno()
        does: Mapping[str, Callable[[], None]] = {
            "r": lambda: self._start("r", lambda: self.replay(context, notice), notice),
            "c": lambda: self._start("c", lambda: self._copy(url(), notice), notice),
            "f": lambda: notice("Showing one line per invocation." if self._toggle() else "Showing everything."),
            "i": lambda: self._inspect(notice),
            "p": holding.toggle,
            "?": lambda: self._help(holding, notice),
            "q": stop.set,
        }

        def read() -> None:
            if not is_in_foreground(descriptor):  # after Ctrl-Z and `bg`, the shell reads the keys
                loop.remove_reader(descriptor)
                waiting.append(loop.call_later(_BACKGROUND_S, loop.add_reader, descriptor, read))
                return
            try:
                typed = os.read(descriptor, _READ_AT_ONCE)
            except OSError:  # the terminal was closed
                loop.remove_reader(descriptor)
                return
            # `typed` is empty if Ctrl-C or Ctrl-Z discarded the keys after the terminal became readable.
            for key in dict.fromkeys(typed.decode("ascii", "ignore")):  # a repeated key counts once
                if key in does:
                    does[key]()

        waiting: deque[asyncio.TimerHandle] = deque(maxlen=1)
        loop.add_reader(descriptor, read)
        self._loading = asyncio.create_task(self._load())
        notice("Press ? for the keys.")
        try:
            yield
        finally:
            for handle in waiting:
                handle.cancel()
            loop.remove_reader(descriptor)
            for task in (self._loading, *self._running.values()):
                task.cancel()

    def _start(self, key: str, action: Callable[[], Awaitable[None]], notice: Callable[[str], None]) -> None:
        """Start a slow command, unless the same command is already in progress."""

        async def run() -> None:
            try:
                await action()
            except PortHookError as problem:
                notice(f"error: {problem.message}")

        if key not in self._running or self._running[key].done():
            self._running[key] = asyncio.create_task(run())

    async def _load(self) -> None:
        """Read the latest request from the store, for the `r` key before the first request of this session."""
        with suppress(StoreError):  # the key then shows "Nothing to replay yet."
            found = await asyncio.to_thread(self._stored)
            self._last = self._last or found

    async def replay(self, context: SourceContext, notice: Callable[[str], None]) -> None:
        """Send the latest request through the pipeline again, newly signed. Raises StoreError.

        A listener without a secret verifies nothing, and gets the request unchanged, whether or not the request is
        signed.
        """
        if not self._has_handler:
            notice("`r` needs a handler. Start `listen` with --forward-to.")
            return
        if self._loading is not None:
            await self._loading
        if self._last is None:
            notice("Nothing to replay yet.")
            return
        notice(replayed_line(self._last))
        signer = None if self._secret is None else Signer(self._secret)
        rewriter = Rewriter(
            signer=signer, now=self._runtime.now, new_id=self._runtime.new_id, takes_unsigned=signer is None
        )
        url = f"http://{_LOOPBACK}"
        source = from_capture(self._last.invocation.id, self._last)
        ready = await asyncio.to_thread(rewriter.prepare, source, url)
        await announce([ready], self._access)
        request = await asyncio.to_thread(rewriter.finish, ready.draft)
        await send(request, url, ListenerRecipient(context))

    async def _copy(self, url: str, notice: Callable[[str], None]) -> None:
        from port_hook_cli.terminal.programs import copy_text

        environ, terminal = self._runtime.environ, self._runtime.stderr
        notice(await asyncio.to_thread(lambda: copy_text(url, environ=environ, terminal=terminal)))

    def _help(self, holding: Holding, notice: Callable[[str], None]) -> None:
        """Show the keys that the user can press now."""
        hidden = {"r"} if self._last is None or not self._has_handler else set[str]()
        if self._open_page is None:
            hidden.add("i")
        for key, meaning in KEYS.items():
            held = f" ({holding.count} held)" if key == "p" and holding.is_paused else ""
            if key not in hidden:
                notice(f"{key}  {meaning}{held}")

    def _inspect(self, notice: Callable[[str], None]) -> None:
        if self._open_page is None:
            notice("The inspector is not open. Start `listen` with --inspect.")
            return
        self._open_page()
        notice("Opening the inspector in the browser.")


def latest_request(option: Path | None, cwd: Path) -> Capture | None:
    """Return the latest request in a store that may be signed again: an accepted request that is not a replay.

    Raises StoreError.
    """
    with open_reader(option, cwd) as store:
        return next(store.select(StoreFilter(accepted=True, originals=True), limit=1), None)
