"""Commands with a capture that has a truncated body."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.invocations.models import Response, Status, Verdict
from tests.conftest import Run
from tests.factories import SECRET, a_capture, an_invocation

BODY = b'{"a":"' + b"x" * 600_000 + b'"}'
SECRET_ENV = {"PORT_CLIENT_SECRET": SECRET.reveal()}


@pytest.fixture(autouse=True)
def kept(folder: Path) -> None:
    capture = a_capture(
        an_invocation(BODY, id="aa0000000001"), verdict=Verdict(status=Status.INVALID), response=Response(status=401)
    )
    with open_store(None, folder, create=True) as store:
        store.write([store.row(replace(capture, rejected=True))], [])


def test_show_prints_the_saved_and_the_original_size(run: Run) -> None:
    out = run("show", "aa").out
    assert "the first 262,144 of 600,008 bytes" in out
    assert sha256(BODY).hexdigest() in out


def test_captures_marks_a_truncated_body(run: Run) -> None:
    assert "(truncated)" in run("captures").out
    (record,) = run("captures", "--json").records
    assert (record["body_truncated"], record["body_size"]) == (True, 600_008)


def test_show_body_writes_a_truncated_body_with_a_note(run: Run) -> None:
    result = run("show", "aa", "--body")
    assert result.raw == BODY[:262_144]
    assert "note: the body is truncated" in result.err


def test_truncated_body_is_not_verified_decrypted_or_sent(run: Run, folder: Path) -> None:
    (folder / "cap.json").write_bytes(json.dumps(run("show", "aa", "--json").records[0]).encode())
    for source in ("last", "cap.json"):
        for line in ("verify", "decrypt", "replay --to 1", "replay --to 1 --as-captured --dry-run"):
            command, *options = line.split()
            result = run(command, source, *options, env=SECRET_ENV)
            assert (result.code, result.out) == (ExitCode.STORE, "")
            assert "is incomplete" in result.err
            assert "File not found" not in result.err


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_store_readable_by_others_is_made_private_with_a_note(run: Run, folder: Path) -> None:
    (folder / ".port-hook" / "captures.db").chmod(0o644)
    result = run("captures")
    assert result.code == ExitCode.OK
    assert "note: " in result.err
    assert "could be read by other users (mode 0644). port-hook made it private" in result.err
    assert run("captures").err == ""
