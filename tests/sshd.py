"""A real OpenSSH server on loopback, which tests can disconnect, stop and restart."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
import psutil
import pytest

SSHD = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
needs_sshd = pytest.mark.skipif(
    SSHD is None or sys.platform == "win32", reason="no sshd here (Debian: apt-get install openssh-server)"
)


@dataclass
class Sshd:
    """A real OpenSSH server on a free port: `sshd -i` for each connection, like inetd.

    While it `is_away`, it hangs up on new clients. Connected clients are not affected.
    """

    folder: Path
    port: int = 0
    settings: list[str] = field(default_factory=lambda: ["AllowTcpForwarding remote", "GatewayPorts no"])
    is_away: bool = False
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"

    @property
    def known_as(self) -> str:
        return f"[127.0.0.1]:{self.port} {(self.folder / 'host_key.pub').read_text()}"

    def start(self, connection: socket.socket) -> None:
        config = self.folder / "sshd_config"
        config.write_text("\n".join(self.settings) + "\n" + _SSHD_CONFIG.format(folder=self.folder))
        with connection, (self.folder / "sshd.log").open("ab") as log:
            command, number = [str(SSHD), "-i", "-e", "-f", str(config)], connection.fileno()
            self.processes.append(
                subprocess.Popen(command, stdin=number, stdout=number, stderr=log, start_new_session=True)
            )

    def signal(self, number: int) -> None:
        """Send a signal to all processes that serve the connections."""
        for process in self.processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                serving = psutil.Process(process.pid)
                for each in [serving, *serving.children(recursive=True)]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        each.send_signal(number)


# With IPv6, sshd may choose a port that is free only at ::1. Requests to the same port of 127.0.0.1 would then reach
# another server.
_SSHD_CONFIG = """
AddressFamily inet
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
"""


@contextlib.contextmanager
def sshd_running(folder: Path) -> Iterator[Sshd]:
    folder.mkdir()
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(folder / "host_key")
    (folder / "host_key").chmod(0o600)
    key.write_public_key(folder / "host_key.pub")
    server = socket.create_server(("127.0.0.1", 0))
    it = Sshd(folder, server.getsockname()[1])

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = server.accept()[0]
                connection.close() if it.is_away else it.start(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield it
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()
        it.signal(signal.SIGKILL)
        for process in it.processes:
            process.wait()


@contextlib.contextmanager
def sshd_for(home: Path, folder: Path) -> Iterator[Sshd]:
    """Run a server that knows the user's key in this home folder, and whose key is in their known hosts."""
    ssh = home / ".ssh"
    ssh.mkdir(mode=0o700, parents=True, exist_ok=True)
    with sshd_running(folder) as it:
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(ssh / "id_ed25519")
        key.write_public_key(it.folder / "authorized_keys")
        with (ssh / "known_hosts").open("a") as file:
            file.write(it.known_as)
        yield it
