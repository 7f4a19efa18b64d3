"""A load generator: it keeps CONNECTIONS requests in progress until REQUESTS have a response.

    python bench/load.py URL --requests 20000 --connections 32 [--secret S] [--body-bytes 600]

Every request has its own body and signature. The generator understands only responses with a content-length.
It prints one line of JSON: requests per second, latency percentiles in milliseconds, and statuses.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

from port_hook_cli.signatures.signing import signed_headers
from port_hook_cli.text.secret import Secret


def requests(count: int, secret: str, body_bytes: int, host: str, path: str) -> Iterator[bytes]:
    stamp = str(int(time.time()))
    for number in range(count):
        body = a_body(number, body_bytes)
        head = [f"POST {path} HTTP/1.1", f"host: {host}", "content-type: application/json"]
        head += [f"{name}: {value}" for name, value in signed_headers(body, Secret(secret), stamp)]
        head += [f"content-length: {len(body)}", "", ""]
        yield "\r\n".join(head).encode() + body


def a_body(number: int, size: int) -> bytes:
    document = {
        "action": "create_vm",
        "resourceType": "run",
        "status": "TRIGGERED",
        "trigger": {"by": {"userId": "auth0|1", "user": {"email": "dev@example.com"}}, "origin": "UI"},
        "context": {"entity": None, "blueprint": "vm", "runId": f"r_{number:016d}"},
        "payload": {
            "action": {"identifier": "create_vm", "trigger": "CREATE",
                       "invocationMethod": {"type": "WEBHOOK", "synchronized": False}},
            "properties": {"title": "dev-env", "cpu": 2, "filler": ""},
        },
    }  # fmt: skip
    filler = size - len(json.dumps(document, separators=(",", ":")))
    document["payload"]["properties"]["filler"] = "x" * filler  # type: ignore[index]
    return json.dumps(document, separators=(",", ":")).encode()


class Connection(asyncio.Protocol):
    """One connection, which sends the next request as soon as it has the response to the previous one."""

    def __init__(self, queue: Iterator[bytes], latencies: list[float], statuses: Counter[str]) -> None:
        self.queue, self.latencies, self.statuses = queue, latencies, statuses
        self.done = asyncio.get_running_loop().create_future()
        self.buffer = b""
        self.sent_at = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.send()

    def send(self) -> None:
        assert self.transport is not None
        request = next(self.queue, None)
        if request is None:
            self.transport.close()
            return
        self.sent_at = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, blank, body = self.buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        at = head.lower().index(b"content-length:") + 15
        if len(body) < int(head[at:].split(b"\r\n", 1)[0]):
            return
        self.latencies.append(time.perf_counter() - self.sent_at)
        self.statuses[head[9:12].decode()] += 1
        self.buffer = b""
        self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(exc)


async def run(options: argparse.Namespace) -> dict[str, object]:
    parts = urlsplit(options.url)
    ready = list(requests(options.requests, options.secret, options.body_bytes, parts.netloc, parts.path or "/"))
    queue, latencies, statuses = iter(ready), list[float](), Counter[str]()
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    connections = []
    for _ in range(options.connections):
        _, connection = await loop.create_connection(
            lambda: Connection(queue, latencies, statuses), parts.hostname, parts.port
        )
        connections.append(connection)
    await asyncio.gather(*(connection.done for connection in connections))
    seconds = time.perf_counter() - started
    latencies.sort()
    return {
        "per_s": round(len(latencies) / seconds, 1),
        "p50_ms": round(latencies[len(latencies) // 2] * 1000, 3),
        "p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1000, 3),
        "answered": len(latencies),
        "statuses": dict(statuses),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--secret", default="bench-secret")
    parser.add_argument("--body-bytes", type=int, default=600)
    print(json.dumps(asyncio.run(run(parser.parse_args()))))
