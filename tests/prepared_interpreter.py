"""The interpreter of tests/prepared.py: it imports what port-hook imports, and forks for each program to run."""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import fcntl
import gc
import importlib
import io
import json
import os
import runpy
import signal
import socket
import sys
import tempfile
import termios
import time
from pathlib import Path
from types import ModuleType
from typing import Any

# What most commands import, and what a command imports late, by a word of its command line. The other modules of a
# command, or of pytest, are imported when it is first run.
_OFTEN = (
    "anyio._backends._asyncio",
    "certifi",
    "ctypes",
    "encodings.idna",
    "encodings.utf_8_sig",
    "http.server",
    "httpcore",
    "jsonschema",
    "port_hook_cli.cli.app",
    "port_hook_cli.cli.entry",
    "port_hook_cli.cli.failures",
    "port_hook_cli.cli.listen_process",
    "port_hook_cli.cli.listen_requests",
    "port_hook_cli.port_api.client",
    "port_hook_cli.port_api.org_file",
    "port_hook_cli.terminal.console",
    "yaml",
)
_LATER = {
    "check": (
        "port_hook_cli.listener.handler_process",
        "port_hook_cli.check.outbound",
        "port_hook_cli.check.session",
        "port_hook_cli.cli.check_handler",
    ),
    "demo": ("aiohttp.web", "port_hook_cli.engines.renderer", "port_hook_cli.listener.server"),
    "inspect": ("port_hook_cli.inspector.server", "port_hook_cli.inspector.session"),
    "listen": ("port_hook_cli.listener.ended_runs", "port_hook_cli.listener.server"),
    "port-agent": (
        "port_hook_cli.agent.predictor",
        "port_hook_cli.agent.sources",
        "port_hook_cli.cli.agent_screen",
        "port_hook_cli.cli.agent_streams",
        "port_hook_cli.prediction.view",
    ),
    "sandbox": (
        "aiohttp.web",
        "port_hook_cli.engines.renderer",
        "port_hook_cli.sandbox.definition_files",
        "port_hook_cli.trigger.open_invoker",
    ),
    "trigger": ("port_hook_cli.cli.trigger_action", "port_hook_cli.engines.renderer"),
    "ssh": ("port_hook_cli.tunnels.ssh.tunnel",),
    "--inspect": ("port_hook_cli.inspector.server", "port_hook_cli.inspector.session"),
    "--kafka": ("port_hook_cli.kafka.client", "port_hook_cli.kafka.opening"),
}
_OF_THE_PLUGIN = ("pytest", "port_hook_cli.pytest_plugin.hook", "port_hook_cli.pytest_plugin.world")


def next_start(connection: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Return what to run in this process, a fork. Return None in the parent, when nobody asks for anything anymore."""
    for name in _OFTEN:
        importlib.import_module(name)
    gc.collect()
    while True:
        size, descriptors, _, _ = socket.recv_fds(connection, 4, 4)
        if not size:
            return None
        rest = int.from_bytes(size, "big")
        text = b""
        while len(text) < rest:
            text += connection.recv(rest - len(text))
        start = json.loads(text)
        _import_modules_of(start["command"])
        gc.freeze()
        adopted, is_adopted = os.pipe()
        parent = os.fork()
        if not parent:
            if os.fork():
                os._exit(0)  # so that the fork gets another parent
            os.read(adopted, 1)
            return start, descriptors
        os.waitpid(parent, 0)
        os.write(is_adopted, b"-")
        for descriptor in (adopted, is_adopted, *descriptors):
            os.close(descriptor)


def _import_modules_of(command: list[str]) -> None:
    if "port_hook_cli" in command:
        from port_hook_cli.cli.commands import ROWS

        names = [ROWS[name].run.partition(":")[0] for name in set(ROWS).intersection(command[3:])]
        words = {word.partition(":")[0] for word in command[3:]}
        names += [name for word in _LATER.keys() & words for name in _LATER[word]]
    elif command[1:3] == ["-m", "pytest"]:
        from _pytest.config import default_plugins

        names = [*(f"_pytest.{name}" for name in default_plugins), *_OF_THE_PLUGIN]
    else:
        names = []
    for name in names:
        importlib.import_module(name)


def become(start: dict[str, Any], descriptors: list[int]) -> None:
    """Make this process what a new interpreter would be."""
    *streams, started = descriptors
    if start["has_session"]:
        os.setsid()
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    if start["has_terminal"]:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.chdir(start["cwd"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.write(started, str(os.getpid()).encode())
    os.closerange(3, 1 << 16)
    coerced, path = os.environ.get("LC_CTYPE"), os.environ.get("PYTHONPATH")
    os.environ.clear()
    os.environ.update(start["environ"])
    if coerced:
        os.environ.setdefault("LC_CTYPE", coerced)
    if os.environ.get("PYTHONPATH") != path:
        sys.path.insert(0, os.environ["PYTHONPATH"])
    time.tzset()
    tempfile.tempdir = None
    is_unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    sys.stdin = sys.__stdin__ = _stream(sys.stdin, 0, is_unbuffered)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = _stream(sys.stdout, 1, is_unbuffered)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _stream(sys.stderr, 2, is_unbuffered)  # type: ignore[misc]
    if os.environ.get("PYTHONFAULTHANDLER"):
        faulthandler.enable()


def _stream(before: Any, number: int, is_unbuffered: bool) -> io.TextIOWrapper:
    """Return the stream that a new interpreter would have."""
    raw: Any = io.FileIO(number, "wb" if number else "rb", closefd=False)
    raw.name = before.name
    buffered: Any = io.BufferedReader(raw) if not number else raw if is_unbuffered else io.BufferedWriter(raw)
    text = io.TextIOWrapper(
        buffered,
        before.encoding,
        before.errors,
        newline="\n" if number else None,
        line_buffering=not is_unbuffered and (number == 2 or raw.isatty()),
        write_through=is_unbuffered,
    )
    text.mode = "w" if number else "r"  # type: ignore[misc]
    return text


def run(command: list[str]) -> None:
    """Run the words of a Python command in a new `__main__`."""
    main = sys.modules["__main__"] = ModuleType("__main__")
    vars(main).update(__builtins__=__builtins__)
    sys.orig_argv = command
    option, *words = command[1:]
    if option == "-m":
        sys.argv = ["-m", *words[1:]]
        sys.path.insert(0, str(Path.cwd()))
        runpy._run_module_as_main(words[0])  # type: ignore[attr-defined]  # noqa: SLF001 - what `python -m` calls
        return
    if option == "-c":
        sys.argv = ["-c", *words[1:]]
        sys.path.insert(0, "")
        code = compile(words[0], "<string>", "exec")
    else:
        sys.argv = [option, *words]
        sys.path.insert(0, str(Path(option).resolve().parent))
        code = compile(Path(option).read_bytes(), option, "exec")
        vars(main).update(__file__=option)
    exec(code, vars(main))  # noqa: S102 - what Python does with a program


class End:
    """The end of a fork: Python's, but without freeing the modules, which would copy all memory shared with the parent.

    Only where nobody can tell: with an exit code, a single thread, and streams that can be flushed.
    """

    code: object = "unknown"

    def run(self, command: list[str]) -> None:
        try:
            run(command)
        except SystemExit as ended:
            self.code = ended.code
            raise
        self.code = None

    def at_exit(self) -> None:
        """End the process, after all other functions that run at its exit."""
        if not isinstance(self.code, int | None) or len(sys._current_frames()) > 1:  # noqa: SLF001 - the threads
            return
        vars(sys.modules["__main__"]).clear()
        gc.collect()
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self.code or 0)


if __name__ == "__main__":
    del sys.path[0]
    end = End()
    atexit.register(end.at_exit)  # before all others
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.closing(socket.socket(fileno=int(sys.argv[1]))) as connection:
        asked = next_start(connection)
    if asked:
        become(*asked)
        end.run(asked[0]["command"])
