"""`port-hook` in a shell, from the prepared interpreter: a shell can start it in a tenth of the time.

The program in its place on PATH asks this process to start port-hook with the program's arguments, environment,
directory and streams. It passes signals on, and ends like port-hook. Killing it kills port-hook. After another `umask`,
as before the sandbox of the README and the tutorials, the shell gets a new interpreter.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.prepared import Popen
from tests.processes import PORT_HOOK

_PROGRAM = """#!{python} -IS
import _signal, _socket, os, sys
asked = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
asked.connect({address!r})
for number in (_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM):
    if _signal.getsignal(number) != _signal.SIG_IGN:
        _signal.signal(number, lambda number, _: asked.send(bytes([number])))
words = [str(os.umask(0)), os.getcwd(), str(len(sys.argv)), *sys.argv, *map("=".join, os.environ.items())]
streams = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
asked.sendmsg([os.fsencode("\\0".join(words))], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
code = int(asked.recv(100))
if code < 0:
    _signal.signal(-code, _signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""
_UMASK = os.umask(0o77)
os.umask(_UMASK)


@contextmanager
def path_with_port_hook(folder: Path) -> Iterator[str]:
    """Make a folder with the program, and yield a PATH with it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if sys.platform != "linux":
        yield path
        return
    with ThreadPoolExecutor(20) as threads, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind("")  # the kernel chooses a name that is not in the file system
        server.listen()
        folder.mkdir()
        program = folder / "port-hook"
        program.write_text(_PROGRAM.format(python=sys.executable, address=server.getsockname()))
        program.chmod(0o755)

        def accept() -> None:
            with contextlib.suppress(OSError):  # the end
                while True:
                    threads.submit(_run, server.accept()[0])

        accepting = threads.submit(accept)
        try:
            yield f"{folder}{os.pathsep}{path}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            accepting.result()


def _run(asked: socket.socket) -> None:
    """Run port-hook as asked for, until it ends."""
    with asked:
        sent, streams, _, _ = socket.recv_fds(asked, 1 << 18, 3)
        umask, folder, count, _, *texts = os.fsdecode(sent).split("\0")
        words, environ = texts[: int(count) - 1], dict(text.split("=", 1) for text in texts[int(count) - 1 :])
        stdin, stdout, stderr = streams
        with Popen(
            [*PORT_HOOK, *words],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=folder,
            env=environ,
            umask=-1 if int(umask) == _UMASK else int(umask),
        ) as process:
            for stream in streams:
                os.close(stream)
            ended = os.pidfd_open(process.pid)
            while ended not in select.select([asked.fileno(), ended], [], [])[0]:
                number = asked.recv(1) or bytes([signal.SIGKILL])  # nothing from a killed program
                signal.pidfd_send_signal(ended, number[0])
            os.close(ended)
        with contextlib.suppress(OSError):
            asked.send(str(process.returncode).encode())
