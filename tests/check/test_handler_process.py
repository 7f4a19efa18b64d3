"""The user's command as the handler to check: real processes, some of which try to escape. None may be left running."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.errors import TargetError, UsageError
from port_hook_cli.listener.handler_process import MAX_OUTPUT, HandlerProcess, NotReadyError
from tests.processes import python
from tests.sockets import free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc shows which processes are left")

TAG = "TEST_BACKEND_TAG"

SERVER = """
import os, socket, sys, time
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, _ = listening.accept()
    connection.close()
"""
DAEMON = """
import os, sys
for _ in range(2):
    if os.fork():
        os._exit(0)
    os.setsid()
"""
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
# Each process of this chain starts a new session and the next process, and ends. All of them hold a lock. The chain
# ends by itself, so that a test that fails does not leave it.
CHAIN = """
import fcntl, time
lock = open("lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
end = time.monotonic() + 20
if os.fork() == 0:
    while time.monotonic() < end:
        os.setsid()
        if os.fork():
            os._exit(0)
    os._exit(0)
"""
FLOOD = "import threading\nthreading.Thread(target=lambda: [os.write(1, b'x' * 65536) for _ in iter(int, 1)]).start()\n"


class Place:
    """The folder, port and environment of the commands of one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.environ = {"PATH": os.environ["PATH"], TAG: str(folder)}

    def script(self, *parts: str) -> list[str]:
        """Return the words that run a Python script with the port as its argument."""
        return [sys.executable, "-IS", "-c", "".join(("import os, sys\n", *parts)), str(self.port)]

    def started(self, words: list[str], *, timeout_s: float = 30, grace_s: float = 2, host: str = "127.0.0.1") -> Any:
        """Start a command in the folder."""
        return HandlerProcess.started(
            words, self.environ, self.folder, address=(host, self.port), timeout_s=timeout_s, grace_s=grace_s
        )

    def left(self) -> list[str]:
        """Return the commands of this test that still run, by the environment that they inherited."""
        tag = f"{TAG}={self.folder}".encode()
        return [text for pid in _pids() if tag in _read(pid, "environ") and (text := _read(pid, "cmdline").decode())]


def _pids() -> Iterator[int]:
    return (int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit())


def _read(pid: int, file: str) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/{file}").read_bytes()
    return b""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Yield where a test runs its commands. Fails if a process is left."""
    place = Place(tmp_path)
    yield place
    assert place.left() == []


@contextlib.asynccontextmanager
async def canceled() -> AsyncIterator[None]:
    """Expect that the block is canceled."""
    with pytest.raises(asyncio.CancelledError):
        yield


def _is_free(lock: Path) -> bool:
    with lock.open() as file, contextlib.suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


async def _until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - a process changes it
            await asyncio.sleep(0.005)


async def test_server_accepts_connections_and_has_ended_after_the_block(place: Place) -> None:
    words = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(place.port)]
    async with place.started(words) as handler:
        _, writer = await asyncio.open_connection("127.0.0.1", place.port)
        writer.close()
        assert not handler.has_ended
        assert handler.exit_code is None
        assert place.left()
    assert handler.has_ended


async def test_server_on_ipv6_is_found(place: Place) -> None:
    script = SERVER.replace('("127.0.0.1", int(sys.argv[1]))', '("::1", int(sys.argv[1])), family=socket.AF_INET6')
    async with place.started(place.script(script), host="::1") as handler:
        assert not handler.has_ended


async def test_readiness_is_noticed_within_20_ms(place: Place) -> None:
    delay_s = 1.0
    for _ in range(30):
        ready = SERVER.replace("while True:", "print(time.time(), flush=True)\nwhile True:")
        async with place.started(place.script(ready)) as handler:
            noticed = time.time()
            await _until(handler.output)
        delay_s = noticed - float(handler.output().split()[-1])
        if delay_s < 0.02:  # other processes may delay this process
            break
    assert delay_s < 0.02


async def test_command_gets_its_environment_its_directory_and_empty_stdin(place: Place) -> None:
    place.environ["LC_ALL"] = "C"
    script = "print(sorted(os.environ), os.getcwd(), sys.stdin.read(), flush=True)\n"
    async with place.started(place.script(script, SERVER)) as handler:
        await _until(handler.output)
    names = sorted(place.environ)
    shown = handler.output().decode().strip()
    assert shown == f"{names} {place.folder}"


async def test_children_of_a_shell_are_ended(place: Place) -> None:
    import shlex

    words = ["sh", "-c", f"{shlex.join(place.script(SERVER))} & sleep 300 & wait"]
    async with place.started(words):
        assert len(place.left()) >= 3


async def test_daemon_is_ended(place: Place) -> None:
    async with place.started(place.script(DAEMON, SERVER)) as handler:
        assert not handler.has_ended
        assert place.left()


async def test_child_in_another_session_is_ended_although_the_server_ended_before(place: Place) -> None:
    helper = "if os.fork() == 0:\n    os.setsid()\n    import time\n    time.sleep(300)\n"
    once = SERVER.replace("while True:", "for _ in range(2):") + "\nsys.exit(3)\n"
    async with place.started(place.script(helper, once)) as handler:
        _, writer = await asyncio.open_connection("127.0.0.1", place.port)
        writer.close()
        assert await handler.wait_ended() == 3
        assert place.left()


async def test_command_is_killed_after_the_grace_period_when_it_ignores_sigterm(place: Place) -> None:
    async with place.started(place.script(DEAF, SERVER), grace_s=0.2):
        began = time.monotonic()
    assert 0.2 <= time.monotonic() - began < 30  # guards against a hang


async def test_command_can_clean_up_after_sigterm(place: Place) -> None:
    script = (
        "import signal\ndef end(*_):\n    print('x' * 300_000, 'bye', flush=True)\n    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
    )
    async with place.started(place.script(script, SERVER), grace_s=60) as handler:
        began = time.monotonic()
    assert time.monotonic() - began < 30
    assert handler.output().endswith(b"xx bye\n")


async def test_quickly_forking_processes_are_killed(place: Place) -> None:
    async with place.started(place.script(CHAIN, SERVER), grace_s=0.1):
        assert not _is_free(place.folder / "lock")
    assert _is_free(place.folder / "lock")


async def test_multiplying_processes_are_killed(place: Place) -> None:
    # It ends by itself, so that a test that fails does not leave it.
    bomb = """
import time
end = time.monotonic() + 20
if os.fork() == 0:
    while time.monotonic() < end:
        os.fork()
        time.sleep(0.03)
    os._exit(0)
"""
    async with place.started(place.script(DEAF, bomb, SERVER), grace_s=0):
        pass


async def test_other_children_of_port_hook_survive(place: Place) -> None:
    before = await asyncio.create_subprocess_exec("sleep", "300")
    async with place.started(place.script(SERVER)):
        during = await asyncio.create_subprocess_exec("sleep", "300", start_new_session=True)
    for process in (before, during):
        process.terminate()
        assert await process.wait() == -signal.SIGTERM


async def test_large_output_is_drained_and_only_its_end_is_retained(place: Place) -> None:
    async with place.started(place.script(FLOOD, SERVER)) as handler:
        await _until(lambda: handler.mark() > 50_000_000)
        assert handler.output() == b"x" * MAX_OUTPUT
        mark = handler.mark()
        give_up = time.monotonic() + 30
        while handler.mark() == mark and time.monotonic() < give_up:  # blocks the event loop, but not the command
            pass
        assert handler.mark() > mark


async def test_output_since_a_mark_has_stdout_and_stderr(place: Place) -> None:
    script = SERVER.replace("connection.close()", "os.write(1, b'out '); os.write(2, b'err '); connection.close()")
    async with place.started(place.script(script)) as handler:
        await _until(lambda: handler.output() == b"out err ")
        mark = handler.mark()
        assert handler.output_since(mark) == b""
        _, writer = await asyncio.open_connection("127.0.0.1", place.port)
        writer.close()
        await _until(lambda: handler.output_since(mark) == b"out err ")


async def test_command_is_an_error_with_its_output_and_exit_code_when_it_ends_immediately(place: Place) -> None:
    with pytest.raises(NotReadyError) as raised:
        async with place.started(place.script("sys.exit('no module named flask')")):
            pass
    assert raised.value.exit_code == 1
    assert raised.value.output == b"no module named flask\n"
    assert f"ended with exit code 1 before it accepted connections on 127.0.0.1:{place.port}." in raised.value.message
    assert raised.value.code == TargetError.code
    with pytest.raises(NotReadyError) as raised:
        async with place.started(place.script("os.kill(os.getpid(), 9)")):
            pass
    assert raised.value.exit_code == 128 + signal.SIGKILL


async def test_command_is_an_error_after_the_timeout_when_it_does_not_listen(place: Place) -> None:
    with pytest.raises(NotReadyError, match="within 1 s") as raised:
        async with place.started(["sh", "-c", "echo hello; exec sleep 300"], timeout_s=1):
            pass
    assert (raised.value.exit_code, raised.value.output) == (None, b"hello\n")


async def test_taken_port_is_an_error_with_its_owner(place: Place) -> None:
    with socket.create_server(("127.0.0.1", place.port)), pytest.raises(UsageError) as raised:
        async with place.started(place.script("open('ran', 'w')")):
            pass
    assert f"Something already listens on 127.0.0.1:{place.port} (" in raised.value.message
    assert f"(pid {os.getpid()})" in raised.value.message
    assert not (place.folder / "ran").exists()


async def test_unknown_host_is_an_error(place: Place) -> None:
    with pytest.raises(TargetError, match="cannot be resolved"):
        async with place.started(place.script(SERVER), host="x" * 70):
            pass


async def test_unstartable_command_is_an_error(place: Place) -> None:
    app = place.folder / "app"
    for content, mode, message, hint in (
        (None, 0, "No such file", "Correct the name"),
        ("#!/bin/sh\n", 0o600, "Permission denied", "Make the file executable"),
        ("print()\n", 0o700, "Exec format error", "Pass its interpreter"),
    ):
        if content is not None:
            app.write_text(content)
            app.chmod(mode)
        with pytest.raises(UsageError, match=rf"^\./app x cannot be started: {message}") as raised:
            async with place.started(["./app", "x"]):
                pass
        assert raised.value.hint.startswith(hint)


async def test_restart_has_the_new_environment(place: Place) -> None:
    script = place.script("print(os.environ.get('SECRET'), os.getpid(), flush=True)\n", SERVER)
    async with place.started(script) as handler:
        mark = handler.mark()
        await handler.restart(place.environ | {"SECRET": "s"})
        await _until(lambda: handler.output_since(mark))
        await handler.restart()
        await _until(lambda: handler.output().count(b"s ") == 2)
        assert len(place.left()) == 2  # the supervisor, and one command
    first, second, third = (line.split() for line in handler.output().splitlines())
    assert [first[0], second[0], third[0]] == [b"None", b"s", b"s"]
    assert len({first[1], second[1], third[1]}) == 3


async def test_failed_restart_can_be_repeated(place: Place) -> None:
    script = place.script("if 'SECRET' not in os.environ:\n    sys.exit('no secret')\n", SERVER)
    place.environ["SECRET"] = "s"
    async with place.started(script) as handler:
        with pytest.raises(NotReadyError) as raised:
            await handler.restart({name: value for name, value in place.environ.items() if name != "SECRET"})
        assert (raised.value.output, handler.exit_code, handler.has_ended) == (b"no secret\n", 1, True)
        await handler.restart(place.environ)
        assert not handler.has_ended


async def test_end_of_a_command_is_noticed(place: Place) -> None:
    script = SERVER.replace("while True:", "for _ in range(2):")
    async with place.started(place.script(script, "print('out of memory')\nsys.exit(7)")) as handler:
        _, writer = await asyncio.open_connection("127.0.0.1", place.port)
        writer.close()
        assert await handler.wait_ended() == 7
        assert handler.has_ended
        assert handler.output() == b"out of memory\n"


async def test_cancel_during_startup_ends_the_command(place: Place) -> None:
    async def start() -> None:
        async with place.started(place.script("open('ran', 'w')\nimport time\ntime.sleep(300)")):
            pass

    task = asyncio.create_task(start())
    await _until((place.folder / "ran").exists)
    task.cancel()
    async with canceled():
        await task


async def test_cancel_right_after_the_start_leaves_no_process(place: Place) -> None:
    for rounds in range(6):
        task = asyncio.create_task(place.started(place.script(SERVER)).__aenter__())
        for _ in range(rounds):
            await asyncio.sleep(0)
        task.cancel()
        async with canceled():
            await task
        assert place.left() == []


async def test_second_cancel_kills_without_the_grace_period(place: Place) -> None:
    is_running = asyncio.Event()

    async def run() -> None:
        async with place.started(place.script(DEAF, DAEMON, SERVER), grace_s=60):
            is_running.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    async with asyncio.timeout(30):
        await is_running.wait()
    began = time.monotonic()
    task.cancel()
    await asyncio.sleep(0.05)
    task.cancel()
    async with canceled():
        await task
    assert time.monotonic() - began < 30
    assert place.left() == []


def test_kill_of_port_hook_ends_the_command(place: Place) -> None:
    script = """
import asyncio, os, sys
from pathlib import Path
from port_hook_cli.listener.handler_process import HandlerProcess

async def main():
    words = [sys.executable, "-c", *sys.argv[3:], sys.argv[2]]
    environ = {sys.argv[1].partition("=")[0]: sys.argv[1].partition("=")[2]}
    async with HandlerProcess.started(words, environ, Path("/"), address=("127.0.0.1", int(sys.argv[2])), timeout_s=30):
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
    with python(script, f"{TAG}={place.folder}", place.port, "import os, sys\n" + DEAF + DAEMON + SERVER) as process:
        assert process.stdout.readline() == "ready\n"
        assert place.left()
        process.kill()
    give_up = time.monotonic() + 30
    while place.left() and time.monotonic() < give_up:
        time.sleep(0.01)
