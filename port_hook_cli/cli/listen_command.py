"""The command after `listen HANDLER --`: starts the handler, shows what it writes, and ends it with the listener."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from port_hook_cli.invocations.models import Capture
from port_hook_cli.listener.handler_check import handler_address
from port_hook_cli.listener.handler_process import MAX_OUTPUT, HandlerProcess
from port_hook_cli.listener.observers import Observer
from port_hook_cli.listener.screen import JsonScreen, TextScreen
from port_hook_cli.listener.serving import Serving
from port_hook_cli.listener.supervised_run import LatestOutput
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.safe import brief, plain_output, shorten
from port_hook_cli.text.secret import Masker

_MAX_LINES = 200
_MAX_COLUMNS = 2_000
_START_S = 30.0
# Lines that follow a response within this time are shown below its request, and lines of a flood are shown together.
_GATHER_S = 0.05
_LEFT_OUT = f"… Earlier output is not shown (limit {_MAX_LINES} lines, {MAX_OUTPUT // 1024} KiB)."


class CommandOutput(Observer):
    """Passes on the lines of a command: after the capture of the request in flight, or soon if there is none.

    Put it behind the observer that shows captures. `written` belongs to the threads that read the output.
    """

    def __init__(self, show: Callable[[Sequence[str]], None], masker: Masker) -> None:
        self._show, self._masker = show, masker
        self._loop = asyncio.get_running_loop()
        self._is_due = False
        self._read = 0
        self.written = LatestOutput(MAX_OUTPUT, on_added=self._added)
        self.in_flight: Callable[[], int] = lambda: 0

    def captured(self, capture: Capture) -> None:
        """Show the lines that the command has written up to its response."""
        if capture.delivery is not None:
            self.show()

    def show(self, *, is_over: bool = False) -> None:
        """Show all complete lines that were not shown yet. If the output `is_over`, its last line may be incomplete."""
        content, total = self.written.read(self._read)
        has_lost = total - self._read > len(content)
        rest = b"" if is_over or has_lost else content[content.rfind(b"\n") + 1 :]
        self._read = total - len(rest)
        content = content.removesuffix(rest)
        if has_lost:  # the first line is incomplete, and may contain a part of a secret
            content = content[content.find(b"\n") + 1 :]
        if content:
            lines = plain_output(self._masker.content(content)).removesuffix("\n").split("\n")
            note = [_LEFT_OUT] if has_lost or len(lines) > _MAX_LINES else []
            self._show([*note, *(shorten(line.rstrip(), _MAX_COLUMNS) for line in lines[-_MAX_LINES:])])

    def _added(self) -> None:
        if not self._is_due:
            self._is_due = True
            with suppress(RuntimeError):  # the event loop has ended
                self._loop.call_soon_threadsafe(self._loop.call_later, _GATHER_S, self._show_if_idle)

    def _show_if_idle(self) -> None:
        self._is_due = False  # set before reading, so that output that arrives now is not forgotten
        if not self.in_flight():
            self.show()


class HandlerCommand:
    """The command that serves the handler at `target` while a listener runs.

    If the command ends before the listener, `exit_code` is its exit code, and `stop` is set.
    """

    def __init__(
        self, words: Sequence[str], target: str, runtime: Runtime, screen: TextScreen | JsonScreen, stop: asyncio.Event
    ) -> None:
        self._words, self._target, self._runtime, self._screen, self._stop = words, target, runtime, screen, stop
        self.output = CommandOutput(screen.command_output, Masker(runtime.memory.secrets))
        self.exit_code: int | None = None

    @asynccontextmanager
    async def companion(self, serving: Serving, _: Callable[[], str | None]) -> AsyncIterator[tuple[str, str]]:
        """Run the command beside a listener. Raises the errors of `HandlerProcess.started`."""
        self.output.in_flight = lambda: serving.flow.in_flight
        starting = HandlerProcess.started(
            self._words,
            {"PYTHONUNBUFFERED": "1", **self._runtime.environ},  # otherwise, Python buffers the handler's output
            self._runtime.cwd,
            address=handler_address(self._target),
            timeout_s=_START_S,
            output=self.output.written,
        )
        try:
            async with starting as handler:
                watching = asyncio.create_task(self._watch(handler))
                try:
                    yield "Handler", self._name
                finally:
                    watching.cancel()
        finally:
            self.output.show(is_over=True)

    async def _watch(self, handler: HandlerProcess) -> None:
        code = await handler.wait_ended()
        self.output.show(is_over=True)
        self.exit_code = 1 if code is None else code
        how = "ended" if code is None else f"ended with exit code {code}"
        self._screen.notice(f"note: {self._name} {how}.")
        self._stop.set()

    @property
    def _name(self) -> str:
        return brief(shlex.join(self._words), 100)
