from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path

import pytest

from port_hook_cli.captures.documents.capture_file import read_capture, to_capture
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.invocations.models import Delivery, Response
from tests.conftest import Run
from tests.factories import RUN_ID, SECRET, a_body, a_capture, a_document, an_invocation
from tests.stores import keep

BYTES = b"\x00\r\n\xff\x1b[2J" + os.urandom(5000) + b"\n"
CAPTURE = a_capture(
    delivery=Delivery(url="http://127.0.0.1:8000/", status=200, latency_ms=1.5, body=b"ok"),
    response=Response(status=200, body=b"ok"),
)


@pytest.fixture(autouse=True)
def kept(folder: Path) -> None:
    keep(folder, CAPTURE, a_capture(an_invocation(BYTES, id="ff0000000002")))


def test_show_prints_every_part_of_a_capture(run: Run) -> None:
    for name in ("0123456789ab", "01"):
        result = run("show", name)
        assert result.code == ExitCode.OK
        assert result.err == ""
        for part in (RUN_ID, "create_vm", "x-port-signature", "eu-west-1", "http://127.0.0.1:8000/ 200 in 1.5 ms"):
            assert part in result.out


def test_show_prints_small_numbers_as_port_sends_them(run: Run, folder: Path) -> None:
    keep(
        folder,
        a_capture(an_invocation(a_body(a_document(payload={"properties": {"rate": 1e-7, "tiny": 0.00001}})), id="f1")),
    )
    keep(folder, a_capture(an_invocation(b'{"rate":-1.5e-9}', id="f2")))
    assert '"rate": 1e-7, "tiny": 0.00001' in " ".join(run("show", "f1").out.split())
    assert '"rate": -1.5e-9' in run("show", "f2").out


def test_show_body_writes_only_the_raw_body(run: Run) -> None:
    result = run("show", "last", "--body")
    assert result.code == ExitCode.OK
    assert result.raw == BYTES


def test_secret_in_the_raw_body_is_shown(run: Run, folder: Path) -> None:
    body = json.dumps({"leaked": SECRET.reveal()}).encode()
    keep(folder, a_capture(an_invocation(body, id="ff0000000003")))
    env = {"PORT_CLIENT_SECRET": SECRET.reveal()}
    assert run("show", "last", "--body", env=env).raw == body
    assert SECRET.reveal() in run("show", "last", env=env).out


def test_show_json_prints_the_whole_capture_on_one_line(run: Run) -> None:
    (record,) = run("show", "01", "--json").records
    assert record["schema"] == "port-hook/capture/1"
    assert record["run_id"] == RUN_ID
    assert read_capture(record) == CAPTURE


def test_show_reads_a_capture_file(run: Run, folder: Path) -> None:
    shutil.rmtree(folder / ".port-hook")
    document = json.dumps({**to_capture(CAPTURE), "redacted": {"secret": "throwaway-1"}})
    (folder / "shared.json").write_text(document)
    for result in (run("show", "shared.json"), run("show", "-", stdin=document.encode())):
        assert (result.code, result.err.count("note: this capture is redacted: ")) == (0, 1)
        assert "http://127.0.0.1:8000/ 200 in 1.5 ms" in result.out
        assert "throwaway-1" not in result.out


def test_show_of_another_file_suggests_verify_and_replay(run: Run, folder: Path) -> None:
    for name, options in (("payload.json", ()), ("a b.http", ("--store", "none.db"))):
        (folder / name).write_text("{}")
        result = run("show", name, *options)
        assert (result.code, result.out) == (ExitCode.USAGE, "")
        assert f"{name} is not a capture file" in result.err
        for command in ("verify", "replay"):
            assert f"`port-hook {command} {shlex.quote(name)}" in result.err


def test_show_reads_the_store_when_a_file_has_the_name_of_a_capture(run: Run, folder: Path) -> None:
    for name in ("last", "01"):
        (folder / name).write_text("{}")
        assert run("show", name).code == ExitCode.OK


def test_show_rejects_two_output_forms(run: Run) -> None:
    result = run("show", "--body", "--json")
    assert result.code == ExitCode.USAGE
    assert ", not both." in result.err


def test_show_exits_8_when_no_capture_has_the_name(run: Run) -> None:
    for name, words in (
        ("ee", "Capture not found: ee. No ID in"),
        ("r_aaaaaaaaaaaaaaaa", "has no capture of this run"),
    ):
        result = run("show", name)
        assert result.code == ExitCode.STORE
        assert result.out == ""
        assert words in result.err
