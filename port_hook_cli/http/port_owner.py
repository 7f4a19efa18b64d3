"""Which process listens on a TCP port that is in use."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from port_hook_cli.programs import find_program
from port_hook_cli.text.safe import printable

_PROC = Path("/proc")
_LISTENING = "0A"
_LSOF_TIMEOUT_S = 2


def describe_owner(host: str, port: int) -> str | None:
    """Return the process that listens on this port, such as `python3 (pid 123)`, or None if it is unknown.

    On Linux, /proc shows it for processes of this user (proc(5)); elsewhere `lsof` shows it, if it is installed. A
    host that is not an address, such as `localhost`, means every address. Never raises.
    """
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
        return by_proc(host, port) if sys.platform.startswith("linux") else by_lsof(port, os.environ)
    return None  # pragma: no cover - a process that ends during the search


def by_proc(host: str, port: int) -> str | None:
    """Find it in /proc: the sockets that occupy the port, and the process that has one of them open."""
    sockets = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _listeners(table, host, port)}
    pids = sorted(int(folder.name) for folder in _PROC.iterdir() if folder.name.isdigit()) if sockets else []
    holder = next((pid for pid in pids if _holds(pid, sockets)), None)
    return f"{printable((_PROC / str(holder) / 'comm').read_text().strip())} (pid {holder})" if holder else None


def _listeners(table: str, host: str, port: int) -> Iterator[str]:
    """Yield the inodes of the sockets that listen on this port at an address that overlaps `host`."""
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        for row in (_PROC / "net" / table).read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = row.split()[:10]
            address, _, number = local.partition(":")
            if state == _LISTENING and int(number, 16) == port and _overlap(host, _address(address)):
                yield inode


def _address(digits: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address in a row of /proc/net/tcp: hexadecimal 32-bit words in this machine's byte order."""
    words = (int(digits[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(digits), 8))
    return ipaddress.ip_address(b"".join(words))


def _overlap(host: str, held: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        wanted = ipaddress.ip_address(host)
    except ValueError:
        return True
    return wanted == held or wanted.is_unspecified or held.is_unspecified


def _holds(pid: int, sockets: set[str]) -> bool:
    """Return whether a process has one of these sockets open; False for another user's process."""
    try:
        return any(str(link.readlink()) in sockets for link in (_PROC / str(pid) / "fd").iterdir())
    except OSError:
        return False


def by_lsof(port: int, environ: Mapping[str, str]) -> str | None:
    """Return the first process that `lsof`, a program on PATH, lists for this port."""
    lsof = find_program("lsof", environ)
    if not lsof:
        return None
    command = [lsof, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"]
    listed = subprocess.run(command, capture_output=True, timeout=_LSOF_TIMEOUT_S, check=False)  # noqa: S603
    # Each line is one field and begins with its letter. The fields of the first process come first.
    fields = {line[:1]: line[1:] for line in reversed(listed.stdout.decode(errors="replace").splitlines())}
    return f"{printable(fields['c'])} (pid {fields['p']})" if {"c", "p"} <= fields.keys() else None
