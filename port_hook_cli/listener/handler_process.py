"""Starts the user's command as the handler, waits until it accepts connections, and ends all its processes."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from port_hook_cli.errors import TargetError, UsageError
from port_hook_cli.listener.supervised_run import LatestOutput, SupervisedRun
from port_hook_cli.text.safe import brief

MAX_OUTPUT = 64 * 1024
"""The number of bytes of the latest output to retain."""
GRACE_S = 2.0
Address = tuple[str, int]

_LOOK_EVERY_S = 0.01
_CONNECT_TIMEOUT_S = 1.0
_START_HINTS = {
    "FileNotFoundError": "Correct the name or path, or install the program. Pass each argument as a separate word.",
    "PermissionError": "Make the file executable, or pass its interpreter, such as `-- python app.py`.",
}
_INTERPRETER = "Pass its interpreter, such as `-- python app.py`."


class NotReadyError(TargetError):
    """The command ended or did not accept connections in time. All its processes have ended.

    `exit_code` is the exit code that a shell would show, or None if the command was still running. `output` is the
    latest output of the command.
    """

    def __init__(self, message: str, *, hint: str, exit_code: int | None, output: bytes) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code
        self.output = output


class HandlerProcess:
    """A command that accepts connections at an address. Create it with `started`, and use it in the same event loop."""

    def __init__(self, words: Sequence[str], cwd: Path, address: Address, timeout_s: float, grace_s: float) -> None:
        self._words, self._cwd, self._address = words, cwd, address
        self._timeout_s, self._grace_s = timeout_s, grace_s
        self._environ: Mapping[str, str] = {}
        self._output = LatestOutput(MAX_OUTPUT)
        self._run: SupervisedRun | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def started(
        cls,
        words: Sequence[str],
        environ: Mapping[str, str],
        cwd: Path,
        *,
        address: Address,
        timeout_s: float,
        grace_s: float = GRACE_S,
        output: LatestOutput | None = None,
    ) -> AsyncIterator[Self]:
        """Start a command in the directory `cwd`, and yield it when it accepts connections.

        On exit, end all its processes. Raises UsageError if something already listens at the address or the command
        cannot be started. Raises NotReadyError if the command ends or doesn't accept connections within `timeout_s`
        seconds, and TargetError if the host is unknown.

        After SIGTERM, the processes have `grace_s` seconds to end. If the task is canceled in that time, they are
        killed. `output` gets what the command writes.
        """
        handler = cls(words, cwd, address, timeout_s, grace_s)
        handler._output = output or handler._output
        try:
            await handler.restart(environ)
            yield handler
        finally:
            await handler.end()

    async def restart(self, environ: Mapping[str, str] | None = None) -> None:
        """Restart the command, with `environ` if it is not None, and wait until the command accepts connections.

        Raises the same errors as `started`. After an error, the command has ended, and can be started again.
        """
        await self.end()
        if environ is not None:
            self._environ = environ
        if await _accepts(self._address):
            raise self._taken()
        mark = self.mark()
        try:
            self._run = SupervisedRun(
                self._words, self._environ, self._cwd, grace_s=self._grace_s, on_output=self._output.add
            )
        except OSError as error:
            raise self._not_started(type(error).__name__, error.strerror or str(error)) from error
        problem = await self._wait_until_ready(self._run)
        if problem:
            exit_code = self._run.exit_code
            await self.end()
            if self._run.start_error:
                raise self._not_started(*self._run.start_error)
            raise self._not_ready(problem, exit_code, self.output_since(mark))

    async def end(self) -> None:
        """End all processes of the command. The command can be started again."""
        if self._run:
            await self._run.end()

    @property
    def has_ended(self) -> bool:
        """Whether the command has ended.

        If the command exits with 0, it has ended when all its processes have ended.
        """
        return self._run is None or self._run.ended.is_set()

    @property
    def exit_code(self) -> int | None:
        """The exit code that a shell would show, or None if the command is running or its exit code is unknown."""
        return self._run.exit_code if self._run else None

    async def wait_ended(self) -> int | None:
        """Wait until the command has ended and its last output has arrived. Return its exit code."""
        if self._run:
            await self._run.wait_ended()
        return self.exit_code

    def mark(self) -> int:
        """Return a mark for `output_since`: the number of bytes written so far, including before a restart."""
        return self._output.total

    def output(self) -> bytes:
        """Return the last 64 KiB that the command wrote to stdout and stderr, including before a restart."""
        return self._output.since(0)

    def output_since(self, mark: int) -> bytes:
        """Return the output that the command has written since a mark, at most the last 64 KiB."""
        return self._output.since(mark)

    async def _wait_until_ready(self, run: SupervisedRun) -> str:
        """Wait until the command accepts a connection, and return "". Otherwise, return what happened, as a clause."""
        try:
            async with asyncio.timeout(self._timeout_s):
                while not run.ended.is_set():
                    if await _accepts(self._address):
                        return ""
                    await asyncio.sleep(_LOOK_EVERY_S)
        except TimeoutError:
            return f"did not accept connections on {_shown(self._address)} within {self._timeout_s:g} s"
        how = "ended" if run.exit_code is None else f"ended with exit code {run.exit_code}"
        return f"{how} before it accepted connections on {_shown(self._address)}"

    def _taken(self) -> UsageError:
        from port_hook_cli.http.servers import describe_owner  # the import loads the HTTP server

        owner = describe_owner(*self._address)
        listens = f"Something already listens on {_shown(self._address)}" + (f" ({owner})" if owner else "")
        return UsageError(
            f"{listens}, so {self._command} was not started.",
            hint="End that process, or leave out the command to use the running handler.",
        )

    def _not_started(self, kind: str, message: str) -> UsageError:
        return UsageError(f"{self._command} cannot be started: {message}.", hint=_START_HINTS.get(kind, _INTERPRETER))

    def _not_ready(self, problem: str, exit_code: int | None, output: bytes) -> NotReadyError:
        hint = f"If the command listens on another host or port, pass them instead of {_shown(self._address)}."
        return NotReadyError(
            f"{self._command} {problem}.",
            hint=hint if exit_code is None else "Find the cause in its output.",
            exit_code=exit_code,
            output=output,
        )

    @property
    def _command(self) -> str:
        return brief(shlex.join(self._words), 100)


async def _accepts(address: Address) -> bool:
    """Return whether something accepts connections at an address. Raises TargetError if its host is unknown."""
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            _, writer = await asyncio.open_connection(*address)
    except (socket.gaierror, UnicodeError) as error:
        raise TargetError(f"The host {brief(address[0])} cannot be resolved.", hint="Correct --to.") from error
    except OSError:  # this includes TimeoutError
        return False
    # A connection to a free port can get the same port as its source. Such a connection connects to itself.
    own, other = writer.get_extra_info("sockname"), writer.get_extra_info("peername")
    writer.close()
    return bool(own != other)


def _shown(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
