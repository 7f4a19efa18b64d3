"""Runs a session of `listen` in this process: the screen, Ctrl-C, the exit code, and the tuning of the process."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.listen_additions import Addition
from port_hook_cli.heap import tune_heap
from port_hook_cli.listener.ended_runs import EndedRuns
from port_hook_cli.listener.ending import EndReason
from port_hook_cli.listener.keys import KeyCommands, latest_request
from port_hook_cli.listener.screen import Display, JsonScreen, TextScreen
from port_hook_cli.listener.session import Interaction, Session, StoppedEarly, listening
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.signals import stop_signal
from port_hook_cli.terminal.threads import UnwaitedThreads, switching_often

if TYPE_CHECKING:
    from port_hook_cli.port_api.access import PortAccess

_REPEAT_S = 10.0
_EXIT_CODES = {
    EndReason.STOPPED: ExitCode.OK,
    EndReason.UNMET: ExitCode.FAILED,
    EndReason.TUNNEL_LOST: ExitCode.TUNNEL_LOST,
}


async def run_session(
    session: Session,
    runtime: Runtime,
    display: Display | None,
    interaction: Interaction,
    access: PortAccess,
    addition: Addition,
    words: Sequence[str] = (),
) -> int:
    """Listen until Ctrl-C or SIGTERM, until the session ends, or until the reader of stdout closes the pipe.

    If `display` is None, print JSON records. At the end, port-hook asks Port or a sandbox, through `access`, which runs
    have ended. `words` are the command that serves the default target. If it ends first, so does the session, and the
    result is the command's exit code.
    """
    loop = asyncio.get_running_loop()
    with _tuned(), stop_signal() as stop:

        def on_broken() -> None:
            loop.call_soon_threadsafe(stop.set)

        screen: TextScreen | JsonScreen
        if display is None:
            screen = JsonScreen(runtime.stdout, runtime.stderr, on_broken=on_broken)
        else:
            screen = TextScreen(
                runtime.stdout, runtime.stderr, environ=runtime.environ, display=display, on_broken=on_broken
            )
        loop.set_exception_handler(_LoopProblems(screen.notice, runtime.now))
        loop.set_default_executor(UnwaitedThreads())
        settled, still_open = set[str](), set[str]()
        observers = addition.observers
        if isinstance(screen, TextScreen):
            secret = session.plan.policy.secret
            keys = KeyCommands(
                runtime,
                secret,
                access,
                toggle=screen.toggle,
                open_page=addition.open_page,
                stored=partial(latest_request, session.plan.store, runtime.cwd),
                has_handler=bool(session.plan.policy.routes.targets),
            )
            interaction, observers = replace(interaction, keys=keys), [*observers, keys]
        command = None
        if words and (target := session.plan.policy.routes.default):
            from port_hook_cli.cli.listen_command import HandlerCommand

            command = HandlerCommand(words, target, runtime, screen, stop)
            observers = [command.output, *observers]
            session = replace(session, companions=(command.companion, *session.companions))
        session = replace(session, settled=settled, still_open=still_open)
        watching = addition.watching(screen, settled) if addition.watching else ()
        # A run is reported and followed to its end before the last observer asks whether it has ended.
        everyone = [screen, *observers, *watching, EndedRuns(access, settled, still_open)]
        try:
            async with listening(session, runtime, everyone, stop, interaction) as listener:
                ended = await listener.wait()
        except StoppedEarly:
            return ExitCode.OK
    return _EXIT_CODES[ended.reason] if command is None or command.exit_code is None else command.exit_code


@contextmanager
def _tuned() -> Iterator[None]:
    """Tune the process for many requests, and switch between threads more often until the context ends."""
    tune_heap()
    # Objects from startup live until the end, and requests don't create cycles, so garbage collection can be rare.
    gc.freeze()
    gc.set_threshold(20_000)
    with switching_often():  # rendering for a terminal takes milliseconds in a thread
        yield


class _LoopProblems:
    """Reports each problem of the event loop in one line, without a traceback, at most once in 10 seconds."""

    def __init__(self, notice: Callable[[str], None], now: Callable[[], float]) -> None:
        self._notice, self._now = notice, now
        self._last: tuple[str, float] = ("", 0.0)

    def __call__(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        message = f"{context['message']} ({context.get('exception') or 'no details'})"
        last, reported_at = self._last
        if message == last and self._now() - reported_at < _REPEAT_S:
            return
        self._last = (message, self._now())
        self._notice(message)
