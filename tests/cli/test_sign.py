from __future__ import annotations

import json
from pathlib import Path

import pytest

from port_hook_cli.captures.documents.capture_file import to_capture
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.signatures.signing import sign
from tests.conftest import Run
from tests.factories import RUN_ID, SECRET, a_body, a_capture, an_invocation
from tests.stores import keep

ENV = {"PORT_CLIENT_SECRET": SECRET.reveal()}


def payload(folder: Path, content: bytes) -> str:
    (folder / "payload.json").write_bytes(content)
    return "payload.json"


# --- signed content -------------------------------------------------------------------------------------------------


def test_sign_prints_the_headers_of_port(run: Run, folder: Path) -> None:
    result = run("sign", payload(folder, a_body()), "--timestamp", "1700000000", env=ENV)
    assert result.out.splitlines() == [
        f"x-port-signature: {sign(a_body(), SECRET, '1700000000')}",
        "x-port-timestamp: 1700000000",
    ]
    assert (result.code, result.err) == (0, "")


def test_sign_signs_indented_json_as_compact_json_and_prints_a_note(run: Run, folder: Path) -> None:
    result = run("sign", payload(folder, b'{"a": 1.0}'), "--timestamp", "17", env=ENV)
    assert sign(b'{"a":1}', SECRET, "17") in result.out
    assert result.err == (
        "note: signed payload.json as compact JSON, like Port (7 bytes, while the file has 10). "
        "To sign the raw bytes, add --raw\n"
    )
    body = b'{"note":"port-hook/capture/1"}'  # a payload with the name of the capture schema
    assert sign(body, SECRET, "17") in run("sign", payload(folder, body), "--timestamp", "17", env=ENV).out


def test_sign_raw_signs_the_raw_bytes(run: Run, folder: Path) -> None:
    result = run("sign", payload(folder, b"\xff not json\n"), "--raw", "--timestamp", "17", env=ENV)
    assert sign(b"\xff not json\n", SECRET, "17") in result.out
    assert result.err == ""
    (record,) = run("sign", "-", "--raw", "--json", stdin=b"\xff", env=ENV).records
    assert (record["form"], record["body"], record["body_base64"]) == ("raw", None, "/w==")


CAPTURED = a_capture(an_invocation(id="aa0000000001", method="PUT", target="/hook?a=1"))


def test_sign_signs_a_capture_for_its_own_path(run: Run, folder: Path) -> None:
    keep(folder, CAPTURED)
    (folder / "capture.json").write_text(json.dumps(to_capture(CAPTURED)))
    for name in ("aa00", "last", RUN_ID, "capture.json"):
        result = run("sign", name, "--json", "--timestamp", "17", env=ENV)
        (record,) = result.records
        assert (result.err, record["signature"]) == ("", sign(a_body(), SECRET, "17"))
        assert (record["method"], record["url"]) == ("PUT", "http://127.0.0.1:8000/hook?a=1")


def test_sign_signs_the_body_of_a_raw_request(run: Run) -> None:
    content = b"DELETE /x HTTP/1.1\r\ncontent-type: application/json\r\n\r\n{}"
    (record,) = run("sign", "-", "--json", "--timestamp", "17", stdin=content, env=ENV).records
    assert (record["method"], record["body"]) == ("DELETE", "{}")
    raw = run("sign", "-", "--raw", "--timestamp", "17", stdin=content, env=ENV)
    assert sign(content, SECRET, "17") in raw.out


def test_sign_uses_the_current_time_in_seconds_and_takes_milliseconds(run: Run) -> None:
    assert len(run("sign", "-", stdin=b"{}", env=ENV).out.split()[-1]) == 10
    result = run("sign", "-", "--timestamp", "1700000000123", stdin=b"{}", env=ENV)
    assert (result.err, result.out.split()[-1]) == ("", "1700000000123")
    assert sign(b"{}", SECRET, "1700000000123") in result.out


def test_sign_uses_an_unusual_timestamp_unchanged_and_prints_a_warning(run: Run) -> None:
    for timestamp in ("1.7e9", "2023-11-14T22:13:20Z"):
        result = run("sign", "-", "--timestamp", timestamp, stdin=b"{}", env=ENV)
        assert sign(b"{}", SECRET, timestamp) in result.out
        words = f"Port sends digits as the timestamp, so most handlers reject {timestamp}"
        assert result.err.startswith(f"warning: {words}")


def test_sign_rejects_a_timestamp_with_invalid_header_characters(run: Run) -> None:
    for timestamp in ("", "17\r\nx: y", "17 ", "=17", "1٣"):
        result = run("sign", "-", "--timestamp", timestamp, stdin=b"{}", env=ENV)
        assert (result.code, result.out) == (ExitCode.USAGE, ""), timestamp
        assert "--timestamp" in result.err


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"a":\n 1,}', "error: payload.json is not JSON: "),
        (b'{"schema":"port-hook/capture/1"}', "damaged capture"),
        (None, "File not found: payload.json."),
    ],
)
def test_sign_explains_why_it_cannot_use_a_file(run: Run, folder: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        payload(folder, content)
    result = run("sign", "payload.json", env=ENV)
    assert (result.code, result.out) == (ExitCode.STORE, "")
    assert words in result.err
    hint = "hint: Fix the JSON, or add --raw to sign the raw bytes."
    assert (hint in result.err) is ("not JSON" in words)


# --- forms ----------------------------------------------------------------------------------------------------------


def test_sign_json_has_the_whole_request(run: Run) -> None:
    (record,) = run("sign", "-", "--json", "--timestamp", "17", stdin=b"{}\n", env=ENV).records
    assert record == {
        "schema": "port-hook/signature/1",
        "signature": sign(b"{}", SECRET, "17"),
        "timestamp": "17",
        "form": "json-stringify",
        "body": "{}",
        "body_base64": None,
        "method": "POST",
        "url": "http://127.0.0.1:8000/",
        "headers": {
            "content-type": "application/json",
            "x-port-signature": sign(b"{}", SECRET, "17"),
            "x-port-timestamp": "17",
        },
    }
