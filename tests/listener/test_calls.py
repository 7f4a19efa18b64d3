"""The cost of a request in a listener, on any machine: the number of calls of port-hook's functions."""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit

from port_hook_cli.invocations.models import MessageOrigin
from port_hook_cli.invocations.routes import Routes
from port_hook_cli.kafka.messages import message_headers
from port_hook_cli.listener.observers import Observers
from port_hook_cli.listener.policy import Policy
from port_hook_cli.listener.serving import ListenPlan, served
from port_hook_cli.runtime import Runtime
from tests.call_counts import counted_calls
from tests.factories import NOW, SECRET, a_body, a_document, an_invocation, now_signed
from tests.kafka_clusters import a_message
from tests.servers import handler

REQUESTS = 200


def post(url: str, first: int, count: int) -> None:
    """Send requests with different bodies one at a time on one connection."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30) as connection:
        for number in range(first, first + count):
            body = a_body(a_document(number=number))
            fields = (*now_signed(body).items, ("Content-Length", str(len(body))))
            head = "".join(f"{name}: {value}\r\n" for name, value in fields)
            connection.sendall(f"POST / HTTP/1.1\r\n{head}\r\n".encode() + body)
            response = b""
            while not response.endswith((b'{"ok": true}', b"\r\n\r\nok")):
                part = connection.recv(65_536)
                assert part
                response += part
            assert response.startswith(b"HTTP/1.1 200 ")


async def calls_per_request(target: str | None, runtime: Runtime) -> float:
    plan = ListenPlan(policy=Policy(secret=SECRET, routes=Routes(default=target)), port=0)
    async with served(plan, runtime, Observers([])) as serving:
        await asyncio.to_thread(post, serving.url, 0, 20)
        with counted_calls() as calls:
            await asyncio.to_thread(post, serving.url, 20, REQUESTS)
        assert serving.flow.tally.verified == 20 + REQUESTS
    return calls.count / REQUESTS


async def test_verified_and_saved_request_takes_few_calls(plain_runtime: Runtime) -> None:
    assert await calls_per_request(None, plain_runtime) <= 128


async def test_forwarded_request_takes_few_calls(plain_runtime: Runtime) -> None:
    with handler() as target:
        assert await calls_per_request(target.url, plain_runtime) <= 210
    assert len(target.requests) == 20 + REQUESTS


async def test_message_saved_in_a_group_takes_few_calls(plain_runtime: Runtime) -> None:
    values = [a_message(a_document(number=number), at=NOW) for number in range(REQUESTS)]
    async with served(ListenPlan(policy=Policy(secret=SECRET), port=0), plain_runtime, Observers([])) as serving:
        serving.accept()
        with counted_calls() as calls:
            group = serving.context.new_group()
            assert group is not None
            for number, value in enumerate(values):
                origin = MessageOrigin("org.runs", 0, number)
                assert group.add(an_invocation(value, headers=message_headers(value), origin=origin))
            await group.save()
            await asyncio.sleep(0)
        assert serving.flow.tally.received == REQUESTS
    assert calls.count / REQUESTS <= 89
