"""Who holds a TCP port that is taken."""

from __future__ import annotations

import contextlib
import ipaddress
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from port_hook_cli.text.safe import printable

_PROC = Path("/proc")
_LISTENING = "0A"
_LSOF_TIMEOUT_S = 2


def describe_owner(host: str, port: int) -> str | None:
    """Return who listens on this port, as in `python3 (pid 123)`, or None when that cannot be told.

    Linux tells it for the processes of this user (proc(5)); elsewhere `lsof` is asked, where there is one. A host
    that is no address, such as `localhost`, stands for every address. Never raises.
    """
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
        return by_proc(host, port) if sys.platform.startswith("linux") else by_lsof(port)
    return None  # pragma: no cover - a process that ends while it is looked at


def by_proc(host: str, port: int) -> str | None:
    """Ask the kernel: which sockets are in the way, and which process has one of them open."""
    sockets = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _listeners(table, host, port)}
    pids = sorted(int(folder.name) for folder in _PROC.iterdir() if folder.name.isdigit()) if sockets else []
    holder = next((pid for pid in pids if _holds(pid, sockets)), None)
    return f"{printable((_PROC / str(holder) / 'comm').read_text().strip())} (pid {holder})" if holder else None


def _listeners(table: str, host: str, port: int) -> Iterator[str]:
    """Yield the inodes of the sockets that listen on this port and would be in the way of `host`."""
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        for row in (_PROC / "net" / table).read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = row.split()[:10]
            address, _, number = local.partition(":")
            if state == _LISTENING and int(number, 16) == port and _overlap(host, _address(address)):
                yield inode


def _address(digits: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address of a row: words of 32 bits in this machine's byte order, in hexadecimal."""
    words = (int(digits[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(digits), 8))
    return ipaddress.ip_address(b"".join(words))


def _overlap(host: str, held: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        wanted = ipaddress.ip_address(host)
    except ValueError:
        return True
    return wanted == held or wanted.is_unspecified or held.is_unspecified


def _holds(pid: int, sockets: set[str]) -> bool:
    """Whether a process has one of these sockets open; not knowing (another user's process) counts as no."""
    try:
        return any(str(link.readlink()) in sockets for link in (_PROC / str(pid) / "fd").iterdir())
    except OSError:
        return False


def by_lsof(port: int, path: str | None = None) -> str | None:
    """Ask `lsof`, looked for on `path` or PATH: which process comes first of those that listen on this port."""
    lsof = shutil.which("lsof", path=path)
    if not lsof:
        return None
    command = [lsof, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"]
    answer = subprocess.run(command, capture_output=True, timeout=_LSOF_TIMEOUT_S, check=False)  # noqa: S603
    # One field a line, its letter first; the first process comes first.
    fields = {line[:1]: line[1:] for line in reversed(answer.stdout.decode(errors="replace").splitlines())}
    return f"{printable(fields['c'])} (pid {fields['p']})" if {"c", "p"} <= fields.keys() else None
