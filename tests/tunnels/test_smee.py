from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from port_hook_cli.errors import StoreError, TunnelError
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Invocation, Response
from port_hook_cli.tunnels.protocol import Opening
from port_hook_cli.tunnels.report import Connectivity, ProbeResult
from port_hook_cli.tunnels.smee.channel import SmeeChannel, open_smee
from port_hook_cli.tunnels.smee.stream import explain
from tests.factories import a_body, signed
from tests.processes import Listener, listener
from tests.receivers import FINE, a_context
from tests.servers import NO_TLS
from tests.standins.smee import Relay, relay_in_thread

BODY = '{"context":{"runId":"r_1"},"name":"Zoë\u2028","n":1e+21}'.encode()


class Arrivals(list[Invocation]):
    """A pipeline that records the invocations, and responds when `gate` is open, after `delay_s`."""

    def __init__(self, delay_s: float) -> None:
        super().__init__()
        self.queue: asyncio.Queue[Invocation] = asyncio.Queue()
        self.gate = asyncio.Event()
        self.gate.set()
        self.delay_s = delay_s
        self.cancelled = 0
        self.at_once = self.most_at_once = 0
        self.problem: Exception | None = None

    async def receive(self, invocation: Invocation, client: str) -> Response:
        assert client == "unknown"
        self.append(invocation)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.queue.put_nowait(invocation)
        try:
            await self.gate.wait()
            await asyncio.sleep(self.delay_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.at_once -= 1
        if self.problem:
            raise self.problem
        return FINE


@dataclass
class World:
    """A channel, its pipeline, and its reports."""

    channel: SmeeChannel
    arrivals: Arrivals
    notices: list[str] = field(default_factory=list)

    async def arrival(self) -> Invocation:
        return await asyncio.wait_for(self.arrivals.queue.get(), 30)

    async def until(self, is_so: Callable[[], bool], within_s: float = 30) -> None:
        try:
            async with asyncio.timeout(within_s):
                while not is_so():  # noqa: ASYNC110 - health is something to be asked
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pytest.fail(f"it did not happen within {within_s} s; health: {self.channel.health()!r}")


@asynccontextmanager
async def opened(
    url: str,
    *,
    silence_timeout_s: float = 70,
    delay_s: float = 0,
    pauses_s: tuple[float, float] | None = None,
    max_waiting_bytes: int = 2**26,
    **context: Any,
) -> AsyncIterator[World]:
    arrivals, notices = Arrivals(delay_s), list[str]()
    source = a_context(arrivals.receive, notices.append, **context)
    limits: dict[str, Any] = {"silence_timeout_s": silence_timeout_s, "max_waiting_bytes": max_waiting_bytes}
    channel = await open_smee(opening(address=url, source=source), **limits)
    channel.pauses_s = pauses_s or channel.pauses_s
    try:
        yield World(channel, arrivals, notices)
    finally:
        await channel.close(0)


def opening(**options: Any) -> Opening:
    given: dict[str, Any] = {"timeout_s": 10, "source": a_context(Arrivals(0).receive)} | options
    return Opening(local_url="http://127.0.0.1:9", environ={}, home=Path("/nowhere"), notice=print, **given)


# Short pauses before the channel reconnects, for tests of later behavior.
QUICKLY = (0.02, 0.05)


async def post(url: str, body: bytes = b"{}", headers: Headers | None = None) -> int:
    fields = {"content-type": "application/json", **dict(headers or ())}
    fields.pop("Host", None)
    async with httpx.AsyncClient(verify=NO_TLS) as client:
        return (await client.post(url, content=body, headers=fields)).status_code


def invoke(url: str, body: bytes) -> None:
    """Send a request with an origin, which the relay passes on."""
    headers = (*signed(body).without("host"), ("origin", "https://page.example"))
    assert httpx.post(url, content=body, headers=headers, verify=NO_TLS).is_success


def status(running: Listener) -> str:
    """The verdict of the next invocation."""
    while (record := running.record())["type"] != "invocation":
        pass
    return str(record["verdict"]["status"])


async def failure(channel: str, timeout_s: float = 10) -> TunnelError:
    with pytest.raises(TunnelError) as caught:
        await open_smee(opening(timeout_s=timeout_s, address=channel))
    return caught.value


@pytest.mark.parametrize("gosmee", [False, True])
async def test_request_to_the_channel_becomes_an_unchanged_invocation(gosmee: bool) -> None:
    async with Relay.serve(gosmee=gosmee) as relay, opened(relay.channel) as world:
        assert (world.channel.url, world.channel.health()) == (relay.channel, "")
        assert await post(relay.channel, BODY, signed(BODY)) == (202 if gosmee else 200)
        request = await world.arrival()
        assert (request.method, request.target, request.body) == ("POST", "/", BODY)
        for name, value in signed(BODY).without("host"):
            assert request.headers.get(name) == value
        assert request.headers.all("host") == (f"127.0.0.1:{relay.port}",)
        assert request.headers.all("content-length") == (str(len(BODY)),)
        assert not {"bodyb", "body", "timestamp"} & set(request.headers.names)


async def test_gosmee_preserves_every_byte_of_a_body_and_smee_serializes_it_again() -> None:
    body = b'{ "n": 1.0, "n": 12345678901234567890, "e": "\\u00e9" }\n'
    async with Relay.serve(gosmee=True) as relay, opened(relay.channel) as world:
        await post(relay.channel, body)
        assert (await world.arrival()).body == body
    async with Relay.serve() as relay, opened(relay.channel) as world:
        await post(relay.channel, body)
        assert (await world.arrival()).body == '{"n":12345678901234567000,"e":"é"}'.encode()


@pytest.mark.parametrize(("mount", "path"), [("/", "/"), ("/hook", "/hook"), ("/hook/", "/hook")])
async def test_target_of_an_invocation_is_the_path_of_the_listener(mount: str, path: str) -> None:
    async with Relay.serve() as relay, opened(relay.channel, mount=mount) as world:
        await post(f"{relay.channel}?b=2&a=%2F%20&a=ü")
        assert (await world.arrival()).target == f"{path}?b=2&a=%2F+&a=%C3%BC"


async def test_body_above_max_body_is_reported_and_not_captured() -> None:
    async with Relay.serve() as relay, opened(relay.channel, max_body=len(BODY)) as world:
        await post(relay.channel, BODY[:-1] + b" }")
        await post(relay.channel, b'{"a":"' + b"x" * len(BODY) + b'"}')
        await post(relay.channel, BODY)
        assert [(await world.arrival()).body for _ in range(2)] == [BODY, BODY]
        assert world.notices == [
            f"The relay sent a body of {len(BODY) + 8} bytes. It was not captured (limit --max-body)."
        ]


@pytest.mark.parametrize("gosmee", [False, True])
async def test_open_smee_creates_a_channel(gosmee: bool) -> None:
    async with Relay.serve(gosmee=gosmee) as relay, opened(f"{relay.url}/new") as world:
        assert re.fullmatch(rf"{relay.url}/[-_0-9A-Za-z]{{12,16}}", world.channel.url)
        await post(world.channel.url)
        await world.arrival()


async def test_open_smee_uses_the_previous_channel_if_its_server_still_has_it() -> None:
    async with Relay.serve() as relay, opened(f"{relay.url}/new") as world:
        for previous, is_kept in ((world.channel.url, True), ("http://127.0.0.1:9/gone", False)):
            again = await open_smee(opening(address=f"{relay.url}/new", previous_url=previous))
            await again.close()
            assert (again.url == previous) is is_kept
            assert again.url.startswith(f"{relay.url}/")


async def test_burst_arrives_completely_with_at_most_32_concurrent_invocations() -> None:
    async with Relay.serve() as relay, opened(relay.channel) as world:
        world.arrivals.gate.clear()
        for n in range(200):
            relay.say(f'data: {{"body":{{"n":{n}}}}}\n\n')
        numbers = [(await world.arrival()).body for _ in range(32)]
        world.arrivals.gate.set()
        numbers += [(await world.arrival()).body for _ in range(200 - 32)]
        assert sorted(numbers) == sorted(f'{{"n":{n}}}'.encode() for n in range(200))
        # All invocations of one round began before any of the round after the next.
        place = {body: index for index, body in enumerate(numbers)}
        assert all(abs(place[f'{{"n":{n}}}'.encode()] - n) < 64 for n in range(200))
        assert world.arrivals.most_at_once == 32


async def test_reading_pauses_when_too_much_waits_for_the_pipeline() -> None:
    async with Relay.serve() as relay, opened(relay.channel, max_waiting_bytes=2**22) as world:
        world.arrivals.gate.clear()
        for _ in range(90):
            relay.say(f'data: {{"body":"{"x" * 2**16}"}}\n\n')
        relay.say('data: {"body":"last"}\n\n')
        world.channel.probe_timeout_s = 0.1
        async with asyncio.timeout(30):
            # A probe's event waits behind other events, which already prove that the relay works.
            while await world.channel.probe("/", "t") != ProbeResult(Connectivity.REACHABLE):
                pass
        assert len(world.arrivals) == 32
        world.arrivals.gate.set()
        while (await world.arrival()).body != b'"last"':
            pass
        assert len(world.arrivals) > 91 - 32


async def test_broken_stream_is_reconnected() -> None:
    async with Relay.serve() as relay, opened(relay.channel, pauses_s=(0.1, 0.1)) as world:
        for _ in range(3):
            relay.cut()
            await world.until(lambda: bool(world.channel.health()))
            assert "the relay's stream is down: it closed the connection" in world.channel.health()
            assert await world.channel.probe("/", "t") == ProbeResult(
                Connectivity.UNREACHABLE, None, world.channel.health()
            )
            await world.until(lambda: not world.channel.health())
            await post(relay.channel)
            await world.arrival()
        assert relay.connections == 4
        assert not world.notices


@pytest.mark.parametrize("gosmee", [False, True])
async def test_same_channel_is_used_again_after_the_relay_was_down(gosmee: bool) -> None:
    async with Relay.serve(gosmee=gosmee) as relay, opened(relay.channel, pauses_s=QUICKLY) as world:
        await relay.go_away()
        await world.until(lambda: "is unreachable" in world.channel.health())
        await asyncio.sleep(0.3)  # several attempts fail
        await relay.come_back()
        await world.until(lambda: not world.channel.health(), within_s=20)
        await post(world.channel.url, BODY)
        assert (await world.arrival()).body == BODY


async def test_silent_stream_is_reported_as_down() -> None:
    async with Relay.serve() as relay, opened(relay.channel, silence_timeout_s=0.2) as world:
        await world.until(lambda: "it stopped sending data" in world.channel.health())
        await world.until(lambda: not world.channel.health())
        assert relay.connections == 2


@pytest.mark.parametrize("gosmee", [False, True])
async def test_pings_and_comments_prevent_a_timeout_of_the_stream(gosmee: bool) -> None:
    async with Relay.serve(gosmee=gosmee, ping_s=0.05) as relay, opened(relay.channel, silence_timeout_s=0.5) as world:
        await asyncio.sleep(0.75)
        assert (world.channel.health(), relay.connections) == ("", 1)
        assert not world.notices


async def test_lost_returns_when_the_relay_no_longer_has_the_channel() -> None:
    async with Relay.serve() as relay, opened(relay.channel, pauses_s=QUICKLY) as world:
        lost = asyncio.create_task(world.channel.lost())
        relay.trouble = "refuses"
        relay.cut()
        await world.until(lambda: "503" in world.channel.health())
        assert not lost.done()
        relay.trouble = "gone"
        assert await asyncio.wait_for(lost, 30) == f"The relay no longer has the channel {relay.channel}."


@pytest.mark.parametrize("gosmee", [False, True])
async def test_probe_returns_and_is_not_an_invocation(gosmee: bool) -> None:
    async with Relay.serve(gosmee=gosmee) as relay, opened(relay.channel) as world:
        result = await world.channel.probe("/any", "a-token")
        assert result.connectivity is Connectivity.REACHABLE
        assert 0 < (result.latency_ms or 0) < 5000
        await post(relay.channel, b'{"port-hook-probe":"of-another-listener"}')
        await post(relay.channel, BODY)
        assert (await world.arrival()).body == BODY
        assert len(world.arrivals) == 1


async def test_probe_shows_whether_the_relay_rejected_it_or_did_not_pass_it_on() -> None:
    async with Relay.serve() as relay, opened(relay.channel) as world:
        world.channel.probe_timeout_s = 0.5
        relay.trouble = "deaf"
        words = "the relay accepted a request, but did not pass it on within 0.5 s"
        assert await world.channel.probe("/", "t") == ProbeResult(Connectivity.UNREACHABLE, None, words)
        relay.trouble = "refuses"
        words = "the relay responds with 503 to a request"
        assert await world.channel.probe("/", "t") == ProbeResult(Connectivity.UNREACHABLE, None, words)
        relay.trouble = "hangs-up"
        words = "the relay does not accept requests: it closed the connection"
        assert await world.channel.probe("/", "t") == ProbeResult(Connectivity.UNREACHABLE, None, words)


@pytest.mark.parametrize(
    "event",
    [
        "data: not json\n\n",
        "data: {}\n\n",
        "data: []\n\n",
        'data: {"body":"\\ud800\x1b[31m"}\n\n',
        "data\n\n\n\n",
        "id: 7\n\n",
        "event: who-knows\ndata: \x1b]0;title\x07\n\n",
        "retry: 99999999999999999999\n\n",
        "\x00\x1b[2J\n\n",
        f'data: {{"body":{"[" * 200_000}}}\n\n',
        'data: {"x-a\\r\\nx-b":"1","x-c":"\\r\\nx-d: 1","host":"evil","body":{}}\n\n',
        f'data: {{"body":"{"x" * 5_000_000}"}}\n\n',
        f'data: {{"x-a":"{"x" * 500_000}","body":{{}}}}\n\n',
        'data: {"bodyB":"*"}\n\n',
    ],
)
async def test_hostile_event_does_not_end_the_channel(event: str) -> None:
    async with Relay.serve() as relay, opened(relay.channel) as world:
        relay.say(event)
        await post(relay.channel, BODY)
        async with asyncio.timeout(30):
            while (request := await world.arrival()).body != BODY:
                assert (request.method, request.target) == ("POST", "/")
                assert not {"x-b", "x-c", "x-d"} & set(request.headers.names)
                assert request.headers.all("host") == (f"127.0.0.1:{relay.port}",)
        assert (world.channel.health(), relay.connections) == ("", 1)
        assert all(notice.isprintable() and len(notice) < 500 for notice in world.notices)


async def test_oversized_event_ends_the_stream() -> None:
    async with Relay.serve() as relay, opened(relay.channel) as world:
        for _ in range(65):
            relay.say("data: " + "x" * 2**20)
        await world.until(lambda: "an event that is too large" in world.channel.health(), within_s=20)
        await world.until(lambda: not world.channel.health())
        await post(relay.channel, BODY)
        assert (await world.arrival()).body == BODY


async def test_unexpected_exception_in_the_pipeline_is_reported_once_and_the_channel_stays_open() -> None:
    async with Relay.serve() as relay, opened(relay.channel) as world:
        world.arrivals.problem = ZeroDivisionError("a bug")
        for _ in range(50):
            relay.say('data: {"body":{}}\n\n')
        await world.until(lambda: bool(world.notices))
        assert (await world.channel.probe("/", "t")).connectivity is Connectivity.REACHABLE
        assert world.notices == ["A request from the relay failed: ZeroDivisionError: a bug"]


async def test_unsaved_request_is_reported_by_the_pipeline_only() -> None:
    async with Relay.serve() as relay, opened(relay.channel) as world:
        world.arrivals.problem = StoreError("There is no space left.")
        await post(relay.channel)
        await world.arrival()
        world.arrivals.problem = None
        await post(relay.channel)
        await world.arrival()
        assert world.notices == []


@pytest.mark.parametrize("gosmee", [False, True])
async def test_event_without_a_request_is_reported(gosmee: bool) -> None:
    async with Relay.serve(gosmee=gosmee) as relay, opened(relay.channel) as world:
        relay.say("data: \x1b[31m\n\n")
        await world.until(lambda: bool(world.notices))
        assert world.notices == ["The relay sent an event that is not a request: it is not a JSON object"]


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("page", "it responds with a page (text/html), so it is not a smee or gosmee channel"),
        ("gone", "it has no such channel (404)"),
        ("refuses", "it responds with status 503"),
        ("leads-away", "it redirects to another URL. Pass that URL: https://relay.example/AbCdEfGhIjKlMnOp"),
    ],
)
async def test_open_smee_explains_why_a_server_does_not_send_events(trouble: str, words: str) -> None:
    async with Relay.serve(trouble=trouble) as relay:
        error = await failure(relay.channel)
        assert error.message == f"The relay 127.0.0.1:{relay.port} does not send events of {relay.channel}: {words}."
        assert "--tunnel smee" in error.hint


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("page", "it responds with a page"),
        ("gone", "it has no such channel (404)"),
        ("leads-away", "it created a channel at another host. Pass that URL: https://relay.example/new"),
        ("odd", "it created a channel at another host. Pass that URL: http://[xxx"),
    ],
)
async def test_open_smee_explains_why_a_server_does_not_create_a_channel(trouble: str, words: str) -> None:
    async with Relay.serve(trouble=trouble) as relay:
        assert words in (await failure(f"{relay.url}/new")).message


@pytest.mark.parametrize("gosmee", [False, True])
async def test_open_smee_fails_when_the_stream_does_not_begin(gosmee: bool) -> None:
    async with Relay.serve(gosmee=gosmee, trouble="mute") as relay:
        error = await failure(relay.channel, timeout_s=0.3)
        assert "it does not respond within 0.3 s" in error.message
        await asyncio.wait_for(relay.until(streams=0), 30)


async def test_stream_is_reconnected_when_the_relay_ends_it() -> None:
    async with Relay.serve(trouble="ends") as relay, opened(relay.channel) as world:
        await world.until(lambda: "it ended the stream" in world.channel.health())
        relay.trouble = ""
        await world.until(lambda: not world.channel.health())
        await post(relay.channel, BODY)
        assert (await world.arrival()).body == BODY


async def test_open_smee_can_be_canceled() -> None:
    async with Relay.serve(trouble="mute") as relay:
        task = asyncio.create_task(open_smee(opening(address=relay.channel)))
        await asyncio.wait_for(relay.until(streams=1), 30)
        task.cancel()
        await asyncio.wait({task}, timeout=30)
        assert task.cancelled()
        await asyncio.wait_for(relay.until(streams=0), 30)


async def test_open_smee_fails_when_new_redirects_to_itself() -> None:
    async with Relay.serve(trouble="circles") as relay:
        assert "it does not create channels" in (await failure(f"{relay.url}/new")).message


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "it does not respond"),
        (httpx.ReadTimeout(""), "it stopped sending data"),
        (ValueError(), "ValueError"),
    ],
)
def test_explain_describes_the_error_of_a_stream(error: Exception, words: str) -> None:
    assert explain(error) == words


async def test_open_smee_reports_an_unreachable_relay_or_a_url_with_a_password() -> None:
    async with Relay.serve() as relay:
        url = relay.channel
    assert "it is unreachable" in (await failure(url)).message
    assert "password" in (await failure("http://user:pass@127.0.0.1/channel")).message


async def test_close_disconnects_and_cancels_invocations_after_the_drain_time() -> None:
    async with Relay.serve() as relay, opened(relay.channel, delay_s=30) as world:
        await post(relay.channel)
        await world.arrival()
        started = time.monotonic()
        await world.channel.close(0.2)
        await world.channel.close(0.2)
        assert 0.2 <= time.monotonic() - started < 20  # guards against a hang, and is less than the handler's delay
        assert world.arrivals.cancelled == 1
        await asyncio.wait_for(relay.until(streams=0), 30)


async def test_closing_waits_for_invocations_in_progress() -> None:
    async with Relay.serve() as relay, opened(relay.channel) as world:
        world.arrivals.gate.clear()
        await post(relay.channel)
        await world.arrival()
        closing = asyncio.create_task(world.channel.close(10))
        await asyncio.wait_for(relay.until(streams=0), 30)
        assert not closing.done()
        world.arrivals.gate.set()
        await asyncio.wait_for(closing, 30)
        assert world.arrivals.cancelled == 0


@pytest.mark.parametrize("gosmee", [False, True])
def test_signed_invocation_with_an_origin_is_valid_through_a_relay(tmp_path: Path, gosmee: bool) -> None:
    with (
        relay_in_thread(gosmee=gosmee) as relay,
        listener(tmp_path, "--tunnel", relay.channel.replace("http:", "smee:"), "--tolerance", "1000000000") as it,
    ):
        bodies = [a_body(), BODY, *([b'{ "n" : 1.0 }\n'] if gosmee else [])]
        for body in bodies:
            invoke(relay.channel, body)
            assert status(it) == "valid"
        assert relay.loop
        relay.loop.call_soon_threadsafe(relay.cut)
        asyncio.run_coroutine_threadsafe(relay.until(streams=1, connections=2), relay.loop).result(5)
        invoke(relay.channel, BODY)
        assert status(it) == "valid"
        started = time.monotonic()
        assert it.stop()[0] == 0
        assert time.monotonic() - started < 30  # guards against a hang
