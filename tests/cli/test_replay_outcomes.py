"""`replay --failed` and `--compare`, and the captures of replays."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web

from port_hook_cli.captures.documents.capture_file import to_capture
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.cli.app import main
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Delivery, Response, Status
from port_hook_cli.runtime import Runtime
from tests.conftest import Run
from tests.factories import NOW, SECRET, a_body, a_capture, an_invocation
from tests.servers import Handler, application, handler
from tests.stores import add_copies, keep, kept

ENV = {"PORT_CLIENT_SECRET": SECRET.reveal()}
JSON = ("content-type", "application/json")


def ok(body: str, *fields: str, status: int = 200) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", "connection: close", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def forwarded(id_: str, target: Handler, status: int | None, body: bytes = b"", **overrides: Any) -> Capture:
    number = int(id_[-1], 16)
    return a_capture(
        an_invocation(a_body({"n": number}), id=id_, received_at=NOW + number, **overrides),
        delivery=Delivery(
            url=f"{target.url}/{id_[0]}", status=status, body=body, headers=Headers((JSON, ("date", "then"))),
            fault=None if status else "unreachable", error=None if status else "nothing answers",
        ),
        response=Response(status=status or 502, body=body),
    )  # fmt: skip


def paths(target: Handler) -> list[str]:
    return [request.line.split()[1] for request in target.requests]


def test_failed_captures_are_sent_again_oldest_first(run: Run, folder: Path) -> None:
    with handler(ok("{}")) as target:
        keep(
            folder,
            forwarded("aa0000000001", target, 500),
            forwarded("bb0000000002", target, 200),
            forwarded("cc0000000003", target, None),
            forwarded("dd0000000004", target, 302),
            forwarded("ee0000000005", target, 503),
            replace(forwarded("ff0000000006", target, 500), delivery=None, response=Response(status=401)),
        )
        result = run("replay", "--failed", env=ENV)
        assert "Skipped 1 that your handler did not receive." in result.err
        assert result.code == 0
        assert paths(target) == ["/a", "/c", "/e"]
        assert [json.loads(request.body)["n"] for request in target.requests] == [1, 3, 5]
        assert "Found 3 failed captures. Sending the oldest first." in result.err
        lines = [line.split("  ") for line in result.out.splitlines()[:3]]
        assert [(name, status, url) for name, status, _, url in lines] == [
            (f"{letter * 2}000000000{number}", "200 OK", f"{target.url}/{letter}")
            for letter, number in (("a", 1), ("c", 3), ("e", 5))
        ]


def test_failed_captures_can_be_limited_to_recent_captures(run: Run, folder: Path) -> None:
    with handler(ok("")) as target:
        keep(folder, forwarded("aa0000000001", target, 500), forwarded("bb0000000002", target, 500))
        run("replay", "--failed", "--since", "2023-11-14T22:13:22Z", env=ENV)
        assert paths(target) == ["/b"]


def test_successfully_replayed_captures_and_replays_are_not_sent_again(run: Run, folder: Path) -> None:
    with handler(ok("", status=500)) as target:
        keep(folder, forwarded("aa0000000001", target, 500), forwarded("bb0000000002", target, 500))
        assert run("replay", "--failed", env=ENV).code == 0  # both fail again
        target.answer = ok("")
        run("replay", "aa00", env=ENV)
        target.requests.clear()
        result = run("replay", "--failed", env=ENV)
        assert paths(target) == ["/b"]
        assert result.err.startswith("Skipped 1 that has since succeeded.\nFound 1 failed capture.\n")
        result = run("replay", "--failed", env=ENV)
        assert (result.code, result.out) == (0, "")
        assert result.err.endswith("succeeded.\nNo other captures failed, except 2 that `replay` or `check` sent.\n")


def test_dry_run_of_failed_captures_sends_and_saves_nothing(run: Run, folder: Path) -> None:
    with handler(ok("")) as target:
        keep(folder, forwarded("aa0000000001", target, 500), forwarded("bb0000000002", target, 500))
        none = run("replay", "--failed", "--since", "2040-01-01", env=ENV)
        assert (none.code, none.err) == (0, "No captures failed.\n")
        result = run("replay", "--failed", "--dry-run", env=ENV)
        assert (result.code, result.out.count("HTTP/1.1"), target.requests) == (0, 2, [])
    assert len(kept(folder)) == 2


def test_failed_captures_are_read_from_the_store_even_if_files_have_their_names(run: Run, folder: Path) -> None:
    with handler(ok("")) as target:
        keep(folder, forwarded("aa0000000001", target, 500))
        (folder / "aa0000000001").write_text('{"n": "planted"}')
        run("replay", "--failed", env=ENV)
        assert target.requests[0].body == a_body({"n": 1})


def test_contradictory_options_are_rejected(run: Run, folder: Path) -> None:
    for options in (
        ("--failed", "last"),
        ("last", "--since", "1h"),
        ("last", "--ignore", "a"),
        ("last", "--compare", "--dry-run"),
        (),
    ):
        keep(folder, a_capture())
        assert run("replay", *options, env=ENV).code == ExitCode.USAGE


def test_response_to_a_replay_is_saved_and_shown(run: Run, folder: Path) -> None:
    with handler(ok('{"ok":true}', "set-cookie: canary")) as target:
        keep(folder, forwarded("aa0000000001", target, 500))
        (record,) = run("replay", "aa00", "--json", env=ENV).records
    replay, original = kept(folder)
    assert record["capture"] == replay.invocation.id
    assert (replay.invocation.replay_of, original.invocation.id) == ("aa0000000001", "aa0000000001")
    assert replay.verdict.status is Status.VALID
    assert replay.response is not None
    assert (replay.response.status, replay.response.body) == (200, b'{"ok":true}')
    shown = run("show", "last-replay").out
    assert "replay of  aa0000000001" in shown
    assert "responded  200" in shown
    assert "canary" not in shown
    assert f"as {replay.invocation.id}: 200" in run("show", "aa00").out


def test_replay_to_a_listener_with_the_same_store_is_saved_once(run: Run, folder: Path) -> None:
    async def receive(request: web.Request) -> web.Response:
        headers = Headers(tuple(request.headers.items()))
        received = an_invocation(await request.read(), id="ff0000000006", headers=headers, received_at=time.time())
        keep(folder, a_capture(received))
        return web.Response()

    app = web.Application()
    app.router.add_post("/", receive)
    keep(folder, a_capture())
    with application(app) as url:
        (record,) = run("replay", "last", "--to", url, "--json", env=ENV).records
    assert record["capture"] is None
    replay, original = kept(folder)
    assert (replay.invocation.id, original.invocation.id) == ("ff0000000006", "0123456789ab")
    assert replay.invocation.replay_of == "0123456789ab"  # so `last` still means the original


def test_replay_is_saved_when_its_capture_has_the_same_second_and_signature(
    runtime: Callable[..., Runtime], folder: Path
) -> None:
    world = replace(runtime(env=ENV), now=lambda: NOW + 0.75)
    keep(folder, a_capture(an_invocation(received_at=NOW + 0.25)))
    with handler(ok("")) as target:
        assert main(["replay", "last", "--to", target.url], world) == 0
        signature = target.requests[0].value("x-port-signature")
    replay, original = kept(folder)
    assert replay.invocation.headers.get("x-port-signature") == signature
    assert original.invocation.headers.get("x-port-signature") == signature


def test_replay_goes_on_with_a_warning_when_its_response_cannot_be_saved(run: Run, folder: Path) -> None:
    async def remove(_: web.Request) -> web.Response:
        shutil.rmtree(folder / ".port-hook", ignore_errors=True)
        return web.Response(text="removed")

    app = web.Application()
    app.router.add_post("/", remove)
    keep(folder, a_capture(an_invocation(id="aa0000000001")), a_capture(an_invocation(id="bb0000000002")))
    with application(app) as url:
        result = run("replay", "aa00", "bb00", "--to", url, env=ENV)
    assert result.code == 0
    assert result.err.count("warning: the responses were not saved: Capture store not found") == 1


def test_series_files_and_payloads_are_not_saved(run: Run, folder: Path) -> None:
    with handler(ok("")) as target:
        capture = forwarded("aa0000000001", target, 200)
        keep(folder, capture)
        (folder / "c.json").write_text(json.dumps(to_capture(capture)))
        (folder / "p.json").write_bytes(a_body())
        assert run("replay", "last", "--times", "3", env=ENV).code == 0
        assert run("replay", "c.json", "p.json", "--to", target.url, env=ENV).code == 0
        assert len(target.requests) == 5
    assert len(kept(folder)) == 1


def test_replay_deletes_no_captures_of_a_larger_store(run: Run, folder: Path) -> None:
    with handler(ok("")) as target, open_store(None, folder, create=True, max_captures=20_000) as store:
        store.add([forwarded("aa0000000001", target, 200)])
        add_copies(store.path, 10_050)
        assert run("replay", "aa00", env=ENV).code == 0
        with closing(sqlite3.connect(store.path)) as connection:
            assert connection.execute("SELECT count(*) FROM captures").fetchone() == (10_052,)


def test_compare_prints_what_differs_and_exits_with_1(run: Run, folder: Path) -> None:
    with handler(ok('{"ok":true,"id":2}', "content-type: application/json", "date: now", "x-new: 1")) as target:
        keep(folder, forwarded("aa0000000001", target, 500, b'{"ok":false,"id":1}'))
        result = run("replay", "aa00", "--compare", env=ENV)
    assert result.code == ExitCode.FAILED
    assert result.out.splitlines() == [
        "aa00  500 → 200  different",
        "  ~ /ok  false → true",
        "  ~ /id  1 → 2",
        "  + header:x-new  1",
        "1 sent: 0 as recorded, 1 different.",
    ]


def test_compare_exits_with_0_when_the_differences_are_ignored(run: Run, folder: Path) -> None:
    with handler(ok('{"ok":true,"id":2}', "content-type: application/json", "x-new: 1")) as target:
        keep(folder, forwarded("aa0000000001", target, 200, b'{"id":1,"ok":true}'))
        ignored = ("--ignore", "id", "--ignore", "header:X-NEW")
        result = run("replay", "aa00", "--compare", *ignored, env=ENV)
        assert (result.code, result.out.splitlines()[0]) == (0, "aa00  200  same as recorded")
        (record,) = run("replay", "aa00", "--compare", "--json", "--ignore", "id", env=ENV).records
    assert (record["recorded_status"], record["status"], record["same"], record["body"]) == (200, 200, False, [])
    assert [change["path"] for change in record["headers"]] == ["x-new"]


def test_compare_of_failed_captures_shows_each(run: Run, folder: Path) -> None:
    with handler(ok("", "content-type: application/json")) as target:
        keep(folder, forwarded("aa0000000001", target, 500), forwarded("bb0000000002", target, None))
        result = run("replay", "--failed", "--compare", env=ENV)
    assert result.code == ExitCode.FAILED
    assert result.out.splitlines() == [
        "aa0000000001  500 → 200  different",
        "bb0000000002  no response → 200  different",
        "2 sent: 0 as recorded, 2 different.",
    ]


def test_compare_of_failed_captures_skips_unforwarded_captures(run: Run, folder: Path) -> None:
    with handler(ok("", "content-type: application/json")) as target:
        keep(folder, a_capture(), forwarded("aa0000000001", target, 500))
        result = run("replay", "--failed", "--compare", env=ENV)
        assert paths(target) == ["/a"]
    assert "Skipped 1 that has no response to compare with." in result.err


def test_compare_explains_why_the_replay_got_no_response(run: Run, folder: Path) -> None:
    with handler(ok("")) as target:
        keep(folder, forwarded("aa0000000001", target, 200))
    result = run("replay", "aa00", "--compare", "--to", target.url, env=ENV)
    assert result.code == ExitCode.TARGET
    first, reason, _ = result.out.splitlines()
    assert first == "aa00  200 → no response  different"
    assert reason.startswith("  nothing listens on 127.0.0.1:")


def test_compare_needs_a_recorded_response(run: Run, folder: Path) -> None:
    with handler(ok("")) as target:
        keep(folder, forwarded("aa0000000001", target, 500), a_capture(response=Response(status=401)))
        for to in (["--to", target.url], []):
            result = run("replay", "aa00", "last", "--compare", *to, env=ENV)
            assert (result.code, target.requests) == (ExitCode.USAGE, [])
            assert result.err.startswith("error: last was not forwarded, so it has no handler's response to compare")


def test_compare_of_a_long_response_compares_its_saved_part(run: Run, folder: Path) -> None:
    body = "x" * 100_000
    with handler(ok(body, "content-type: application/json")) as target:
        keep(folder, forwarded("aa0000000001", target, 200, body.encode()))
        assert run("replay", "aa00", "--compare", env=ENV).code == 0


def test_request_in_progress_has_not_failed(run: Run, folder: Path) -> None:
    keep(
        folder,
        a_capture(an_invocation(id="aa0000000001", received_at=time.time() - 5)),
        a_capture(an_invocation(id="bb0000000002", received_at=time.time() - 70)),
    )
    assert [record["id"] for record in run("captures", "--failed", "--json").records] == ["bb0000000002"]
    with handler(ok("")) as target:
        assert run("replay", "--failed", "--to", target.url, env=ENV).code == 0
        assert len(target.requests) == 1
