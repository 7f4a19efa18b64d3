"""`last` means the latest received request, in every command."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Status, Verdict
from port_hook_cli.invocations.probes import PROBE_AGENT
from port_hook_cli.text.secret import Secret
from tests.conftest import Run
from tests.factories import RUN_ID, SECRET, a_body, a_capture, a_document, an_invocation, signed
from tests.servers import Handler, handler
from tests.stores import keep, kept

ENV = {"PORT_CLIENT_SECRET": SECRET.reveal()}
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
FIRST, BAD = "aa0000000001", "bb0000000002"


@pytest.fixture
def target() -> Iterator[Handler]:
    with handler(OK) as it:
        yield it


@pytest.fixture(autouse=True)
def _kept(folder: Path) -> None:
    """Two requests. The later request is signed with another secret."""
    forged = signed(a_body(), secret=Secret("of another organization"))
    keep(
        folder,
        a_capture(an_invocation(id=FIRST)),
        a_capture(an_invocation(id=BAD, headers=forged), verdict=Verdict(status=Status.INVALID)),
    )


def replayed(run: Run, target: Handler, name: str = "last") -> str:
    """Replay a capture, and return the replay's ID."""
    (record,) = run("replay", name, "--to", target.url, "--json", env=ENV).records
    return str(record["capture"])


def test_verify_prints_a_note_for_a_replay(run: Run, target: Handler) -> None:
    name = replayed(run, target)
    for each in ("last-replay", name):
        result = run("verify", each, env=ENV)
        assert result.code == ExitCode.OK
        assert f"note: this is a replay, which port-hook sent. It repeats the capture {BAD}" in result.err


def test_show_last_finds_received_requests(run: Run, target: Handler) -> None:
    for name, shown in (("last", BAD), ("last~1", FIRST), ("last~", FIRST), (RUN_ID, BAD)):
        replayed(run, target)
        assert run("show", name, "--json").records[0]["id"] == shown


def test_last_replay_is_the_latest_replay(run: Run, target: Handler) -> None:
    older, newer = replayed(run, target, FIRST), replayed(run, target)
    for name, expected in (("last-replay", newer), ("last-replay~1", older)):
        assert run("show", name, "--json").records[0]["id"] == expected


def test_last_ignores_requests_of_a_check(run: Run, folder: Path) -> None:
    headers = signed(a_body()).plus(("user-agent", f"{PROBE_AGENT}valid"))
    keep(folder, a_capture(an_invocation(id="cc0000000003", headers=headers)))
    assert run("show", "last", "--json").records[0]["id"] == BAD
    assert run("show", "last-replay", "--json").records[0]["id"] == "cc0000000003"
    assert "create_vm (check)" in run("captures").out


def test_captures_marks_replays(run: Run, target: Handler) -> None:
    name = replayed(run, target)
    lines = {each: line for line in run("captures").out.splitlines() for each in line.split()}
    assert "create_vm (replay)" in lines[name]
    assert "(replay)" not in lines[FIRST] + lines[BAD]


def test_error_for_last_shows_the_number_of_requests(run: Run) -> None:
    for name, words in (("last~2", "Capture not found: last~2. "), ("last-replay", "has no replays.")):
        result = run("show", name)
        assert result.code == ExitCode.STORE
        assert words in result.err
        assert "hint: Run `port-hook " in result.err


def test_store_with_replays_only_has_no_last(run: Run, folder: Path) -> None:
    only: Capture = a_capture(an_invocation(replay_of=FIRST))
    keep(folder, only, store="replays.db")
    result = run("show", "last", "--store", "replays.db")
    assert result.code == ExitCode.STORE
    assert "has only replays." in result.err
    assert "`last-replay`" in result.err


def test_report_run_last_is_the_run_of_the_latest_received_request(run: Run, folder: Path) -> None:
    body = a_body(a_document(context={"runId": "r_aaaaaaaaaaaaaaaa"}))
    keep(folder, a_capture(an_invocation(body, id="cc0000000003", replay_of=FIRST)))
    for name, expected in (("last", RUN_ID), ("last-replay", "r_aaaaaaaaaaaaaaaa")):
        result = run("report-run", name, "--status", "success", "--dry-run")
        assert f"{name} is {expected}" in result.err


def test_diff_without_names_compares_the_last_two_requests(run: Run, folder: Path) -> None:
    keep(folder, a_capture(an_invocation(id="cc0000000003", replay_of=FIRST)))
    result = run("diff")
    assert result.code == ExitCode.FAILED
    assert result.out.splitlines()[:2] == [f"- {FIRST}", f"+ {BAD}"]


def test_diff_of_a_replay_compares_it_with_its_original_and_ignores_new_headers(run: Run, folder: Path) -> None:
    original, replay = kept(folder)[-1], an_invocation(id="cc0000000003", replay_of=FIRST)
    headers = Headers((*original.invocation.headers.items, ("host", "127.0.0.1:8000"), ("content-length", "5")))
    keep(folder, replace(original, invocation=replace(replay, headers=headers)))
    for names in (("last-replay",), (FIRST, "last-replay"), ("last-replay", FIRST)):
        result = run("diff", *names)
        assert result.code == ExitCode.OK, result.out


@pytest.mark.parametrize("name", ["secret.json", "-", "last-replay", "x" * 100_000])
def test_diff_of_a_replay_never_reads_its_original_from_a_file(run: Run, folder: Path, name: str) -> None:
    (folder / "secret.json").write_text('{"password": "TOPSECRET"}')
    keep(folder, a_capture(an_invocation(id="cc0000000003", replay_of=name)))
    result = run("diff", "last-replay", stdin=b'{"password": "TOPSECRET"}')
    assert (result.code, result.out) == (ExitCode.STORE, "")
    assert "error: The original of the replay is not a capture ID: " in result.err
    assert len(result.err) < 500


def test_diff_of_last_compares_it_with_the_request_before(run: Run) -> None:
    assert run("diff", "last").out.splitlines()[:2] == [f"- {FIRST}", f"+ {BAD}"]


@pytest.mark.parametrize(
    "field",
    [
        ("x-note", f"{PROBE_AGENT} hi"),
        ("user-agent", f"{PROBE_AGENT}NOT A SLUG"),
    ],
)
def test_request_resembling_a_check_request_counts_as_received(run: Run, folder: Path, field: tuple[str, str]) -> None:
    keep(folder, a_capture(an_invocation(id="cc0000000003", headers=signed(a_body()).plus(field))))
    assert run("show", "last", "--json").records[0]["id"] == "cc0000000003"


def test_tampered_headers_do_not_change_last(run: Run, folder: Path) -> None:
    for headers in (
        '["port-hook-check/x"]',
        '[["user-agent"]]',
        '"port-hook-check/x"',
        '[["a","port-hook-check/"],5,null]',
    ):
        with closing(sqlite3.connect(folder / ".port-hook" / "captures.db", isolation_level=None)) as store:
            store.execute("UPDATE captures SET headers = ? WHERE id = ?", [headers, BAD])
        # The damaged capture itself cannot be shown. The others can.
        assert run("show", "last~1", "--json").records[0]["id"] == FIRST
