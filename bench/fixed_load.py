"""A stand-in for `wrk -t1 -cN`: sends one fixed request again and again over N connections, in one thread.

    python bench/fixed_load.py URL --requests 10000 --connections 16 --secret S

It does as little as possible for each request: one `send`, one `recv`, no parsing beyond the end of the response,
whose size is that of the first one. Prints one JSON line: requests per second and their number.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path.append(str(Path(__file__).parents[1]))  # for bench


def main(url: str, count: int, connections: int, request: bytes) -> dict[str, float]:
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 80)
    size = _response_size(address, request)
    poll = select.poll()
    sockets: dict[int, socket.socket] = {}
    started = time.perf_counter()
    for _ in range(connections):
        it = socket.create_connection(address)
        it.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[it.fileno()] = it
        poll.register(it, select.POLLIN)
        it.send(request)
    received = dict.fromkeys(sockets, 0)
    answered = 0
    while answered < count:
        for descriptor, _ in poll.poll():
            it = sockets[descriptor]
            received[descriptor] += len(it.recv(65536))
            if received[descriptor] >= size:
                received[descriptor] = 0
                answered += 1
                it.send(request)
    seconds = time.perf_counter() - started
    for it in sockets.values():
        it.close()
    return {"per_s": round(answered / seconds, 1), "answered": answered}


def _response_size(address: tuple[str, int], request: bytes) -> int:
    """Return the size of the response to `request`, which must have the status 200."""
    with socket.create_connection(address) as it:
        it.sendall(request)
        it.settimeout(0.5)
        data = it.recv(65536)
        assert data.startswith(b"HTTP/1.1 200"), data
        try:
            while more := it.recv(65536):
                data += more
        except TimeoutError:
            pass
    return len(data)


if __name__ == "__main__":
    from bench.load import requests

    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--secret", default="bench-secret")
    options = parser.parse_args()
    place = urlsplit(options.url)
    (fixed,) = requests(1, options.secret, 600, place.netloc, place.path or "/")
    print(json.dumps(main(options.url, options.requests, options.connections, fixed)))
