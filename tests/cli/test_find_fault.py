"""`replay --find-fault`: requests, output, captures and exit codes."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from aiohttp import web

from port_hook_cli.cli.app import main
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.invocations.models import Capture, Status, Verdict
from port_hook_cli.listener.responses import rejected
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.causes import REPLAYED
from tests.conftest import Run
from tests.documentation import ROOT
from tests.factories import NOW, RUN_ID, SECRET, a_body, a_capture, an_invocation, signed
from tests.sandbox_clients import a_client
from tests.sandboxes import a_sandbox, environ_of
from tests.servers import application, handler, status_of
from tests.stores import keep, kept
from tests.terminal_streams import Screen

ENV = {"PORT_CLIENT_SECRET": SECRET.reveal()}
REFUSED, DONE = 401, 200


@contextmanager
def of_bodies_in_hex(key: str = SECRET.reveal(), received: list[bytes] | None = None) -> Iterator[str]:
    """Run a handler that expects the MAC of the body in hex."""

    async def respond(request: web.Request) -> web.Response:
        body = await request.read()
        if received is not None:
            received.append(body)
        expected = hmac.digest(key.encode(), body, "sha256").hex()
        return web.Response(status=DONE if request.headers["x-port-signature"] == expected else REFUSED)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", respond)
    with application(app) as url:
        yield url


def test_mistake_is_printed_with_its_fix(run: Run, folder: Path) -> None:
    (folder / "payload.json").write_bytes(a_body())
    with of_bodies_in_hex() as url:
        result = run("replay", "payload.json", "--to", url, "--find-fault", env=ENV)
    first, fix, *_ = result.out.splitlines()
    assert result.code == ExitCode.FAILED
    assert first == "The handler signs the body without the timestamp, in hex."
    assert fix.startswith("  fix: Sign timestamp + '.' + raw body")
    assert "body-hex: 200" in result.out
    assert f"Sending at most 64 requests to {url}" in result.err
    assert "may start real work" in result.err
    assert SECRET.reveal() not in result.out + result.err


def test_deciding_requests_are_saved_when_the_source_is_in_the_store(run: Run, folder: Path) -> None:
    body = a_body()
    keep(folder, a_capture(an_invocation(body, id="aa0000000001")))
    with of_bodies_in_hex() as url:
        (record,) = run("replay", "last", "--to", url, "--find-fault", "--json", env=ENV).records
    replays = {each.invocation.id: each for each in kept(folder) if each.invocation.replay_of == "aa0000000001"}
    requests = record["requests"]
    assert (record["kind"], record["way"], record["run_id"]) == ("wrong-way", "body-hex", RUN_ID)
    assert [(each["what"], each["status"]) for each in requests] == [
        ("forged", REFUSED), ("valid", REFUSED), ("body-hex", DONE), ("forged", REFUSED),
    ]  # fmt: skip
    assert {each["capture"] for each in requests} == replays.keys()
    assert record["sent"] > len(requests)
    assert replays[requests[1]["capture"]].verdict.status is Status.VALID
    assert run("show", requests[2]["capture"], env=ENV).code == ExitCode.OK


def test_capture_is_no_replay_although_the_search_repeats_its_signature(
    runtime: Callable[..., Runtime], folder: Path
) -> None:
    """The search signs with an earlier second if that makes the signature clearer. A capture may be of that second."""
    at = int(NOW)
    while is_telling(at) or not is_telling(at - 1):
        at += 1
    request = an_invocation(received_at=at - 0.5, headers=signed(a_body(), timestamp=str(at - 1)))
    keep(folder, a_capture(request))
    with of_bodies_in_hex() as url:
        main(["replay", "last", "--to", url, "--find-fault"], replace(runtime(env=ENV), now=lambda: float(at)))
    originals = [each for each in kept(folder) if each.invocation.replay_of is None]
    repeated = [each for each in kept(folder) if signature(each) == signature(originals[0])]
    assert ([each.invocation.id for each in originals], len(repeated)) == ([request.id], 2)


def is_telling(at: int) -> bool:
    return not {"+", "/"}.isdisjoint(signed(a_body(), timestamp=str(at)).get("x-port-signature") or "")


def signature(capture: Capture) -> str | None:
    return capture.invocation.headers.get("x-port-signature")


def test_unknown_mistake_is_explained_from_the_signature_of_the_handler(run: Run, folder: Path) -> None:
    (folder / "payload.json").write_bytes(a_body())
    with of_bodies_in_hex("a-secret-that-port-hook-does-not-know") as url:
        result = run("replay", "payload.json", "--to", url, "--find-fault", env=ENV)
    assert result.code == ExitCode.FAILED
    assert "  fix: Compare the handler's client secret with port-hook's." in result.out
    assert "note: client secret from the environment\n" in result.err
    timestamp = re.search(r"  timestamp of the valid request: (\d+)\n", result.out)
    assert timestamp is not None
    signed = timestamp[1].encode() + b"." + a_body()
    assert (
        f"  signed bytes of the valid request: {len(signed)} bytes, SHA-256 begins with {digest(signed)}" in result.out
    )
    assert f"  client secret: {len(SECRET.reveal())} bytes\n" in result.out
    assert digest(SECRET.reveal().encode()) not in result.out
    verify = f"verify --body payload.json --timestamp {timestamp[1]} --signature"
    assert f"  then: port-hook {verify} S\n" in result.out
    wrong = hmac.digest(SECRET.reveal().encode(), a_body(), "sha256").hex()
    assert "body alone" in run(*verify.split(), wrong, env=ENV).out


def test_search_ends_after_two_requests_when_a_listener_rejected_them(run: Run, folder: Path) -> None:
    (folder / "payload.json").write_bytes(a_body())
    body = rejected(Verdict(status=Status.INVALID, causes=(REPLAYED,))).body
    with handler(b"HTTP/1.1 401 No\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)) as listener:
        result = run("replay", "payload.json", "--to", listener.url, "--find-fault", env=ENV)
    assert (result.code, len(listener.requests)) == (ExitCode.FAILED, 2)
    first, fix, *_ = result.out.splitlines()
    assert first == "`port-hook listen` rejected the valid request, so the handler did not get it."
    assert "set --to to the handler's own port" in fix


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:8]


def test_sample_request_is_used_without_a_source(run: Run) -> None:
    received: list[bytes] = []
    with of_bodies_in_hex(received=received) as url:
        result = run("replay", "--find-fault", "--to", url, env=ENV)
    assert result.code == ExitCode.FAILED
    assert "note: without a SOURCE, port-hook sends a request of the sample action create_vm\n" in result.err
    assert result.out.startswith("The handler signs the body without the timestamp, in hex.")
    assert json.loads(received[0])["action"] == "create_vm"


def test_sample_request_needs_a_target(run: Run) -> None:
    result = run("replay", "--find-fault", env=ENV)
    assert (result.code, "error: Missing option --to.\n" in result.err) == (ExitCode.USAGE, True)


def test_unknown_mistake_shows_the_capture_of_the_valid_request(run: Run, folder: Path) -> None:
    keep(folder, a_capture(an_invocation(a_body(), id="aa0000000001")))
    with of_bodies_in_hex("a-secret-that-port-hook-does-not-know") as url:
        result = run("replay", "last", "--to", url, "--find-fault", env=ENV)
    named = re.search(r"  then: port-hook verify (\w+) --signature S\n", result.out)
    assert named is not None
    valid = hmac.digest(b"x", b"", "sha256").hex()
    assert "secret-or-body" in run("verify", named[1], "--signature", valid, env=ENV).out


def test_digest_of_the_secret_is_shown_only_on_a_terminal(runtime: Callable[..., Runtime], folder: Path) -> None:
    rows: tuple[tuple[tuple[str, ...], dict[str, str], bool], ...] = (
        ((), {}, True),
        (("--json",), {}, False),
        ((), {"CLAUDECODE": "1"}, False),
    )
    for options, environ, is_shown in rows:
        (folder / "payload.json").write_bytes(a_body())
        screen = Screen()
        with of_bodies_in_hex("a-secret-that-port-hook-does-not-know") as url:
            world = replace(runtime(env={**ENV, **environ, "COLUMNS": "100"}), stdout=screen)
            main(["replay", str(folder / "payload.json"), "--to", url, "--find-fault", *options], world)
        assert (digest(SECRET.reveal().encode()) in screen.getvalue()) is is_shown
        assert SECRET.reveal() not in screen.getvalue()


def test_long_search_shows_its_progress_on_a_terminal(runtime: Callable[..., Runtime], folder: Path) -> None:
    (folder / "payload.json").write_bytes(a_body())
    is_shown = threading.Event()

    class Watched(Screen):
        def write(self, text: str) -> int:
            written = super().write(text)
            if "1 of at most 64: forged" in self.getvalue():
                is_shown.set()
            return written

    async def respond(_: web.Request) -> web.Response:
        assert await asyncio.to_thread(is_shown.wait, 30)  # although no response has arrived
        return web.Response(status=REFUSED)

    screen = Watched()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", respond)
    with application(app) as url:
        world = replace(runtime(env={**ENV, "TERM": "xterm", "COLUMNS": "80"}), stdout=screen, stderr=screen)
        code = main(["replay", str(folder / "payload.json"), "--to", url, "--find-fault"], world)
    assert (code, "The handler rejected the valid request" in screen.getvalue()) == (ExitCode.FAILED, True)


def test_each_request_has_its_own_run_only_for_a_sandbox(run: Run, folder: Path) -> None:
    for api, is_new in (("http://127.0.0.1:1", True), ("https://api.port.io", False)):
        (folder / "payload.json").write_bytes(a_body())
        received: list[bytes] = []
        with of_bodies_in_hex(received=received) as url:
            result = run("replay", "payload.json", "--to", url, "--find-fault", env={**ENV, "PORT_API_URL": api})
        assert "in hex" in result.out
        assert any(RUN_ID.encode() in body for body in received) is not is_new


def test_strict_sandbox_knows_every_run_of_the_search(run: Run, folder: Path) -> None:
    (folder / "payload.json").write_bytes(a_body())
    reported: list[int] = []
    with a_sandbox(strict_runs=True) as sandbox:

        async def respond(request: web.Request) -> web.Response:
            body = await request.read()
            if status_of(request, body, sandbox.client_secret) is not Status.VALID:
                return web.Response(status=REFUSED)
            run_id = json.loads(body)["context"]["runId"]
            async with a_client(sandbox) as client:
                done = await client.patch(f"/v1/actions/runs/{run_id}", json={"status": "SUCCESS"})
            reported.append(done.status_code)
            return web.Response(status=DONE)

        app = web.Application()
        app.router.add_post("/", respond)
        with application(app) as url:
            result = run("replay", "payload.json", "--to", url, "--find-fault", env=environ_of(sandbox))
    assert result.code == ExitCode.OK, result.out
    assert reported == [200]


def test_secret_of_the_other_place_is_named_without_showing_it(run: Run, folder: Path) -> None:
    (folder / ".env").write_text("PORT_CLIENT_SECRET=the-secret-of-last-year\n")
    (folder / ".env").chmod(0o600)
    (folder / "payload.json").write_text('{"cpu":1}')

    async def respond(request: web.Request) -> web.Response:
        signed = request.headers["x-port-timestamp"].encode() + b"." + await request.read()
        wanted = hmac.digest(b"the-secret-of-last-year", signed, "sha256")
        from base64 import b64encode

        is_signed = request.headers["x-port-signature"] == f"v1,{b64encode(wanted).decode()}"
        return web.Response(status=DONE if is_signed else REFUSED)

    app = web.Application()
    app.router.add_post("/", respond)
    with application(app) as url:
        result = run("replay", "payload.json", "--to", url, "--find-fault", env=ENV)
    assert "The handler uses another client secret from ./.env." in result.out
    assert "last-year" not in result.out + result.err


def test_search_without_a_result_explains_the_reason(run: Run, folder: Path) -> None:
    for answer, code, words in (
        (b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n", ExitCode.FAILED, "tried: plain, milliseconds, body-hex"),
        (b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n", ExitCode.FAILED, "the path or the method is probably wrong"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", ExitCode.FAILED, "it also accepts another secret"),
    ):
        (folder / "payload.json").write_text('{"url":"/"}')
        with handler(answer) as target:
            result = run("replay", "payload.json", "--to", target.url, "--find-fault", env=ENV)
        assert (result.code, words in result.out) == (code, True)


def test_accepted_valid_request_exits_0(run: Run, folder: Path) -> None:
    (folder / "payload.json").write_bytes(a_body())

    async def respond(request: web.Request) -> web.Response:
        status = status_of(request, await request.read(), SECRET)
        return web.Response(status=DONE if status is Status.VALID else REFUSED)

    app = web.Application()
    app.router.add_post("/", respond)
    with application(app) as url:
        result = run("replay", "payload.json", "--to", url, "--find-fault", env=ENV)
    assert result.code == ExitCode.OK
    assert result.out.startswith("The handler accepts a valid request")
    assert "2 requests sent." in result.out


def test_unreachable_handler_exits_6(run: Run, folder: Path) -> None:
    (folder / "payload.json").write_bytes(a_body())
    with handler() as gone:
        url = gone.url
    result = run("replay", "payload.json", "--to", url, "--find-fault", env=ENV)
    assert result.code == ExitCode.TARGET
    assert "did not respond to a valid request" in result.out


def test_option_contradicting_find_fault_is_rejected(run: Run, folder: Path) -> None:
    (folder / "payload.json").write_bytes(a_body())
    for line in (
        "payload.json --to 1 --times 2",
        "payload.json --to 1 --as-captured",
        "payload.json --to 1 --dry-run",
        "payload.json --to 1 --compare",
        "payload.json --to 1 --concurrency 2",
        "payload.json --to 1 --rate 3",
        "payload.json --to 1 --timestamp-unit ms",
        "payload.json --to 1 --expect-status 200",
        "payload.json --to 1 other.json",
        "--failed",
    ):
        result = run("replay", "--find-fault", *line.split(), env=ENV)
        assert (result.code, "--find-fault" in result.err) == (ExitCode.USAGE, True), line


def test_page_lists_every_wrong_way_in_the_order_of_the_search() -> None:
    from port_hook_cli.signatures.signing import SigningKeys
    from port_hook_cli.signatures.wrong_ways import wrong_ways

    page = (ROOT / "docs" / "reference" / "find-fault.md").read_text("utf-8")
    keys = SigningKeys(SECRET, client_id="an-id", other=SECRET)
    listed = [
        (slug.strip(" `"), sentence.strip())
        for slug, sentence in (line.split("|")[1:3] for line in page.splitlines() if line.startswith("| `"))
    ]
    assert "verifies the text instead of the raw body" in page  # once, for all rows
    once = re.compile(r"(verifies .*?),? instead of the raw body")
    ways = [(way.slug, once.sub(r"\1", way.sentence)) for way in wrong_ways(keys)]
    first = listed.index(ways[0])
    assert listed[first : first + len(ways)] == ways
