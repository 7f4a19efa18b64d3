"""`check` of a handler that rejects valid requests: the mistake, the fix, the saved requests, and what it compares."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

from aiohttp import web

from port_hook_cli.cli.app import main
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.invocations.models import Status
from port_hook_cli.runtime import Runtime
from tests.conftest import Run
from tests.factories import SECRET, a_body, a_capture, an_invocation
from tests.servers import application
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


def test_mistake_is_printed_with_its_fix_and_its_requests_are_saved(run: Run, folder: Path) -> None:
    keep(folder, a_capture(an_invocation(a_body(), id="aa0000000001")))
    with of_bodies_in_hex() as url:
        result = run("check", "last", "--to", url, env=ENV)
    first, fix, *requests, last = result.out.splitlines()
    assert (result.code, first) == (ExitCode.FAILED, "The handler signs the body without the timestamp, in hex.")
    assert fix.startswith("  fix: Sign timestamp + '.' + raw body")
    shown = [line.split() for line in requests]
    assert [line[0] for line in shown] == ["forged:", "valid:", "body-hex:", "forged:"]
    assert re.fullmatch(r"\d+ requests sent\. 35 other checks need an accepted request\.", last)
    replays = {each.invocation.id: each for each in kept(folder) if each.invocation.replay_of == "aa0000000001"}
    assert {line[2] for line in shown} == replays.keys()
    assert replays[shown[1][2]].verdict.status is Status.VALID
    assert SECRET.reveal() not in result.out + result.err


def test_mistake_is_a_field_of_the_summary_and_fails_a_check_that_does_not_ask_for_it(run: Run) -> None:
    received: list[bytes] = []
    with of_bodies_in_hex(received=received) as url:
        *findings, summary = run("check", "--only", "old", "--to", url, "--json", env=ENV).records
    assert {each["check"]: each["status"] for each in findings} == {"valid": "failed", "old": "not-observed"}
    fault = summary["fault"]
    assert (summary["outcome"], summary["requests"]) == ("failed", len(received))
    assert (fault["kind"], fault["way"], fault["rewrites_body"]) == ("wrong-way", "body-hex", False)
    assert [each["what"] for each in fault["requests"]] == ["forged", "valid", "body-hex", "forged"]
    assert {"milliseconds", "body-hex"} <= set(fault["tried"])


def test_unknown_mistake_is_explained_by_comparing_secrets_and_bytes(run: Run, folder: Path) -> None:
    (folder / "payload.json").write_bytes(a_body())
    with of_bodies_in_hex("a-secret-that-port-hook-does-not-know") as url:
        result = run("check", "payload.json", "--to", url, env=ENV)
    assert result.code == ExitCode.FAILED
    first, secret, other, verify, _ = result.out.splitlines()
    assert re.fullmatch(r"The handler rejected the valid request, and \d\d wrong ways to sign it \(--json\)\.", first)
    assert secret == f"  most likely  another client secret. Here: {len(SECRET.reveal())} bytes."
    assert "note: client secret from the environment\n" in result.err
    (named,) = re.findall(r"port-hook verify (\w+) --signature S", verify)
    (valid,) = [each.invocation for each in kept(folder) if each.invocation.id == named]
    signed = (valid.headers.get("x-port-timestamp") or "").encode() + b"." + valid.body
    assert other == f"  otherwise    other bytes. Here: {len(signed)} bytes, SHA-256 {digest(signed)}."
    wrong = hmac.digest(SECRET.reveal().encode(), valid.body, "sha256").hex()
    assert "Your code signed the body alone." in run("verify", named, "--signature", wrong, env=ENV).out


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:8]


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
            main(["check", str(folder / "payload.json"), "--yes", "--to", url, *options], world)
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

    begun = count(1)

    async def respond(_: web.Request) -> web.Response:
        if next(begun) > 2:  # the two requests before the search
            assert await asyncio.to_thread(is_shown.wait, 3)  # although no response has arrived
        return web.Response(status=REFUSED)

    screen = Watched()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", respond)
    with application(app) as url:
        world = replace(runtime(env={**ENV, "TERM": "xterm", "COLUMNS": "80"}), stdout=screen, stderr=screen)
        code = main(["check", str(folder / "payload.json"), "--yes", "--to", url], world)
    assert (code, "The handler rejected the valid request" in screen.getvalue()) == (ExitCode.FAILED, True)


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
        result = run("check", "payload.json", "--to", url, env=ENV)
    assert "The handler uses another client secret from ./.env." in result.out
    assert "last-year" not in result.out + result.err
