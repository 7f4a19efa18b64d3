"""Ports of this machine: a free port, and the addresses on which a port is open."""

from __future__ import annotations

import socket
from pathlib import Path
from random import SystemRandom

LOOPBACK = "0100007F"
"""127.0.0.1 in the notation of Linux's table of sockets."""


def bound_addresses(port: int) -> set[str]:
    """Return the addresses on which something listens on `port`, as in Linux's table of sockets."""
    rows = [row.split() for file in ("tcp", "tcp6") for row in Path("/proc/net", file).read_text().splitlines()]
    return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")}


def free_port() -> int:
    """Return a free port that stays free.

    The port is below the ports that systems choose for outgoing connections and for servers on port 0. Otherwise, a
    socket of another test could use it before the caller does.
    """
    for port in SystemRandom().sample(range(20_000, 32_000), 100):
        with socket.socket() as free:
            try:
                free.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("100 ports from 20000 to 31999 are in use")
