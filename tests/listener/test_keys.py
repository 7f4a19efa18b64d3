"""The key `r`, which sends the latest invocation again. tests/process/test_listen_keys.py types it and other keys."""

from __future__ import annotations

import json
from collections.abc import Callable

from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Invocation, MessageOrigin, Response, Status
from port_hook_cli.invocations.source import SourceContext
from port_hook_cli.kafka.messages import message_headers
from port_hook_cli.listener.keys import KeyCommands
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import signed_message
from port_hook_cli.signatures.verification import verify_signature
from port_hook_cli.text.remark import say_nothing
from port_hook_cli.text.secret import Secret
from tests.factories import NOW, RUN_ID, SECRET, a_capture, a_document, an_invocation
from tests.sandboxes import environ_of, sandbox_with

MakeRuntime = Callable[..., Runtime]
UNSIGNED = Headers((("content-type", "application/json"),))


async def replayed(runtime: Runtime, capture: Capture, secret: Secret | None = SECRET) -> Invocation:
    """Return what the pipeline gets after `r`."""
    received: list[Invocation] = []

    async def receive(invocation: Invocation, _: str) -> Response:
        received.append(invocation)
        return Response(status=200)

    keys = KeyCommands(runtime, secret, PortAccess(runtime, say_nothing), toggle=lambda: True)
    keys.captured(capture)
    context = SourceContext(receive=receive, notice=lambda _: None, now=runtime.now, new_id=runtime.new_id)
    await keys.replay(context, lambda _: None)
    (request,) = received
    return request


async def test_replay_is_newly_signed(runtime: MakeRuntime) -> None:
    capture = a_capture()
    request = await replayed(runtime(), capture)
    verdict = verify_signature(request.headers, request.body, SECRET, now=request.received_at)
    assert (verdict.status, request.replay_of) == (Status.VALID, capture.invocation.id)


async def test_replay_of_a_kafka_message_has_the_same_bytes_as_other_unchanged_replays(runtime: MakeRuntime) -> None:
    value = signed_message(a_document(), SECRET, str(int(NOW)))
    message = an_invocation(value, headers=message_headers(value), origin=MessageOrigin("org.runs", 0, 1, None))
    request = await replayed(runtime(), a_capture(message))
    assert request.body == value
    assert verify_signature(request.headers, value, SECRET, now=request.received_at).status is Status.VALID


async def test_unsigned_request_is_replayed_unsigned_when_the_listener_has_no_secret(runtime: MakeRuntime) -> None:
    unsigned = an_invocation(headers=UNSIGNED)
    assert (await replayed(runtime(), a_capture(unsigned), secret=None)).headers == UNSIGNED


async def test_captured_signature_is_replayed_when_the_listener_has_no_secret(runtime: MakeRuntime) -> None:
    capture = a_capture()
    request = await replayed(runtime(), capture, secret=None)
    assert request.headers.get("x-port-signature") == capture.invocation.headers.get("x-port-signature")


async def test_replay_announces_the_action_of_the_run_to_a_sandbox_on_this_machine(runtime: MakeRuntime) -> None:
    async with sandbox_with() as sandbox:
        request = await replayed(runtime(env=environ_of(sandbox)), a_capture(), secret=sandbox.client_secret)
        found = sandbox.runs[RUN_ID]
    assert (found.start.action, found.start.properties) == (
        "create_vm",
        json.loads(request.body)["payload"]["properties"],
    )


async def test_replay_is_never_replayed(runtime: MakeRuntime) -> None:
    received: list[Invocation] = []

    async def receive(invocation: Invocation, _: str) -> Response:
        received.append(invocation)
        return Response(status=200)

    made = runtime()
    keys = KeyCommands(made, SECRET, PortAccess(made, say_nothing), toggle=lambda: True)
    keys.captured(a_capture(an_invocation(id="aaaaaaaaaaaa")))
    keys.captured(a_capture(an_invocation(id="bbbbbbbbbbbb", replay_of="aaaaaaaaaaaa")))
    context = SourceContext(receive=receive, notice=lambda _: None, now=made.now, new_id=made.new_id)
    await keys.replay(context, lambda _: None)
    assert [request.replay_of for request in received] == ["aaaaaaaaaaaa"]
