from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.captures.documents.capture_file import to_capture
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.invocations.models import Capture, Invocation, MessageOrigin, Payload, Status, Verdict
from port_hook_cli.kafka.messages import message_headers
from port_hook_cli.signatures.signing import sign, signed_headers
from port_hook_cli.text.secret import Secret
from tests.conftest import Result, Run
from tests.databases import edit
from tests.factories import NOW, SECRET, a_body, an_invocation, signed
from tests.kafka_clusters import a_message
from tests.port_answers import token_answer
from tests.servers import handler
from tests.stores import keep

ENV = {"PORT_CLIENT_SECRET": SECRET.reveal()}
AT_NOW = ("--now", str(NOW))
STAMP = str(int(NOW))


def a_capture(**overrides: Any) -> Capture:
    return Capture(invocation=an_invocation(**overrides), verdict=Verdict(status=Status.UNCHECKED), payload=Payload())


def raw(invocation: Invocation, *, line_end: str = "\r\n", extra: bytes = b"") -> bytes:
    lines = [f"{invocation.method} {invocation.target} HTTP/1.1", *(f"{k}: {v}" for k, v in invocation.headers)]
    return line_end.join((*lines, "", "")).encode("latin-1") + invocation.body + extra


@pytest.fixture
def written_out(run: Run, folder: Path) -> Any:
    """`verify --body …` of a body with a signature."""

    def verify(*options: str, body: bytes = b"", signature: str = "", timestamp: str = STAMP, **world: Any) -> Result:
        (folder / "body").write_bytes(body or a_body())
        signature = signature or sign(a_body(), SECRET, STAMP)
        world.setdefault("env", ENV)
        return run("verify", "--body", "body", "--signature", signature, "--timestamp", timestamp, *options, **world)

    return verify


# --- the three forms ------------------------------------------------------------------------------------------------


def test_verify_verifies_a_signature_given_as_options(written_out: Any) -> None:
    result = written_out(*AT_NOW)
    assert result.code == ExitCode.OK
    assert result.out.splitlines() == [
        "valid: the signature matches exactly these bytes",
        "signed form: raw",
        "age: 0 s",
    ]
    assert result.err == "note: client secret from the environment\n"


def test_verify_checks_the_age_of_a_capture_at_its_receipt(run: Run, folder: Path) -> None:
    keep(folder, a_capture(received_at=NOW + 12))
    for name in ("last", "0123456789ab", "0123"):
        result = run("verify", name, env=ENV)
        assert result.code == ExitCode.OK
        assert "age: 12 s" in result.out
        assert "note: the age is relative to the time of receipt, 2023-11-14T22:13:32.000Z" in result.err


def test_verify_checks_the_age_of_a_message_when_it_was_sent_to_kafka(run: Run, folder: Path) -> None:
    value = a_message(at=NOW)
    origin = MessageOrigin("org.runs", 0, 1, int(NOW * 1000) + 2000)
    keep(folder, a_capture(body=value, headers=message_headers(value), origin=origin, received_at=NOW + 86_400))
    result = run("verify", "last", env=ENV)
    assert result.code == ExitCode.OK
    assert "age: 2 s" in result.out
    assert (
        "note: the age is relative to the time when the message was sent to Kafka, 2023-11-14T22:13:22.000Z"
        in result.err
    )


def test_verify_blames_the_record_when_its_time_is_before_the_messages_timestamp(run: Run, folder: Path) -> None:
    value = a_message(at=NOW)
    origin = MessageOrigin("org.runs", 0, 1, int(NOW * 1000) - 3_600_000)
    keep(folder, a_capture(body=value, headers=message_headers(value), origin=origin, received_at=NOW))
    result = run("verify", "last", env=ENV)
    assert result.out.startswith("stale: ")
    assert "so the record's time is incorrect, not the sender's clock.\n" in result.out
    assert "clocks of the sender" not in result.out
    assert run("verify", "last", *AT_NOW, env=ENV).code == ExitCode.OK


def test_verify_now_overrides_the_time_of_receipt(run: Run, folder: Path) -> None:
    (folder / "capture.json").write_text(json.dumps(to_capture(a_capture())))
    result = run("verify", "capture.json", "--now", str(NOW + 1000), env=ENV)
    assert result.code == ExitCode.NOT_VALID
    assert "stale:" in result.out
    assert "receipt" not in result.err


def test_verify_reads_a_capture_file_or_stdin(run: Run, folder: Path) -> None:
    content = json.dumps(to_capture(a_capture())).encode()
    (folder / "capture").write_bytes(content)
    assert run("verify", "capture", env=ENV).code == ExitCode.OK
    assert run("verify", "-", stdin=content, env=ENV).code == ExitCode.OK


def test_verify_checks_the_age_of_a_raw_request_now(run: Run, folder: Path) -> None:
    for line_end in ("\n", "\r\n"):
        stamp = str(int(time.time()))
        fields = an_invocation().headers.without("x-port-signature", "x-port-timestamp")
        invocation = an_invocation(headers=fields.plus(*signed_headers(a_body(), SECRET, stamp)))
        (folder / "request.http").write_bytes(raw(invocation, line_end=line_end))
        assert run("verify", "request.http", env=ENV).code == ExitCode.OK


def test_old_raw_request_is_stale_unless_the_tolerance_is_increased(run: Run, folder: Path) -> None:
    (folder / "request.http").write_bytes(raw(an_invocation()))
    result = run("verify", "request.http", env=ENV)
    assert result.code == ExitCode.NOT_VALID
    assert result.out.startswith("stale: the signature matches, but its timestamp is outside the tolerance")
    assert run("verify", "request.http", "--tolerance", "1e10", env=ENV).code == ExitCode.OK


def test_verify_prints_a_note_when_content_length_of_a_raw_request_is_wrong(run: Run, folder: Path) -> None:
    invocation = an_invocation(headers=an_invocation().headers.plus(("content-length", str(len(a_body())))))
    (folder / "request.http").write_bytes(raw(invocation, extra=b"\n"))
    result = run("verify", "request.http", *AT_NOW, env=ENV)
    assert result.code == ExitCode.OK
    assert "note: content-length is" in result.err


# --- verdicts -------------------------------------------------------------------------------------------------------


def test_verify_json_has_all_fields(written_out: Any) -> None:
    (record,) = written_out(*AT_NOW, "--json", signature=sign(a_body(), Secret("another"), STAMP)).records
    assert record["schema"] == "port-hook/verdict/1"
    assert record["status"] == "invalid"
    assert "secret-or-body" in record["causes"]
    assert record["hint"]


def test_verify_escapes_control_characters(written_out: Any) -> None:
    result = written_out("--now", "1", signature="v1,\x1b[2J\u202e", timestamp="\x1b]0;x\x07")
    assert result.code == ExitCode.NOT_VALID
    assert "\x1b" not in result.out + result.err
    assert SECRET.reveal() not in result.out + result.err


# --- errors ---------------------------------------------------------------------------------------------------------


def test_verify_rejects_invalid_options_with_the_reason(run: Run) -> None:
    for arguments, words in (
        ((), "The request to verify is missing."),
        (("last", "--body", "body"), "not both"),
        (("-", "--timestamp", "1"), "--timestamp needs --signature"),
        (("--body", "body", "--signature", "s"), "must be used together"),
        (("--signature", "s", "--timestamp", "1"), "to verify is missing"),
        (("-", "--now", "nan"), "not a point in time"),
    ):
        result = run("verify", *arguments, stdin=b"POST / HTTP/1.1\n\n", env=ENV)
        assert (result.code, result.out) == (ExitCode.USAGE, "")
        assert words in result.err


def test_verify_error_explains_why_a_file_has_no_request(run: Run, folder: Path) -> None:
    for content, words in (
        (b'{"a":1}', "payload.json does not contain a request: it is JSON, but not a capture file."),
        (b"", "payload.json does not contain a request: it is empty."),
        (b"\x00", "payload.json does not contain a request: it is neither"),
    ):
        (folder / "payload.json").write_bytes(content)
        result = run("verify", "payload.json", env=ENV)
        assert (result.code, result.out) == (ExitCode.STORE, "")
        assert words in result.err
        assert "--body FILE --signature S --timestamp T" in result.err


def test_verify_diagnoses_an_empty_header(run: Run, folder: Path) -> None:
    for signature, timestamp, cause in (("", STAMP, "signature-missing"), ("v1,x", "", "timestamp-missing")):
        (folder / "body").write_bytes(a_body())
        result = run("verify", "--body", "body", "--signature", signature, "--timestamp", timestamp, env=ENV)
        assert result.code == ExitCode.NOT_VALID
        assert f"{cause}:" in result.out


def test_verify_finds_the_matching_secret_of_another_login(run: Run, folder: Path) -> None:
    with handler(token_answer()) as port:
        login = ("login", "staging", "--client-id", "i", "--secret-file", "-", "--api-url", port.url)
        run(*login, "--keep-in", "file", stdin=b"the-secret-of-staging")
    keep(folder, a_capture(headers=signed(a_body(), secret=Secret("the-secret-of-staging"))))
    result = run("verify", "last", env=ENV)
    assert "wrong-secret: The signature was made with another client secret that port-hook knows.\n" in result.out
    assert "  fix: The signature matches the client secret from the login 'staging' in ~/.port-hook/" in result.out
    assert "the-secret-of-staging" not in result.out + result.err


def test_verify_finds_the_earlier_request_with_the_signature_of_a_changed_body(run: Run, folder: Path) -> None:
    first = an_invocation(id="aa0000000001")
    changed = an_invocation(b'{"cpu":64}', id="aa0000000002", headers=first.headers, received_at=NOW + 1)
    keep(folder, Capture(invocation=first, verdict=Verdict(status=Status.VALID, age_s=0.0), payload=Payload()))
    keep(folder, Capture(invocation=changed, verdict=Verdict(status=Status.INVALID), payload=Payload()))
    result = run("verify", "last", "--json", env=ENV)
    assert result.records[0]["causes"] == ["body-changed"]
    assert result.records[0]["hint"].startswith("The client secret is correct. Look for a proxy")
    shown = run("verify", "last", env=ENV).out
    assert "body-changed: This signature belongs to aa000000, whose body had action " in " ".join(shown.split())


def test_verify_does_not_blame_the_body_when_the_earlier_request_had_another_secret(run: Run, folder: Path) -> None:
    first = an_invocation(id="aa0000000001")
    again = an_invocation(id="aa0000000002", received_at=NOW + 1)
    keep(folder, Capture(invocation=first, verdict=Verdict(status=Status.VALID, age_s=0.0), payload=Payload()))
    keep(folder, Capture(invocation=again, verdict=Verdict(status=Status.INVALID), payload=Payload()))
    result = run("verify", "last", "--json", env={**ENV, "PORT_CLIENT_SECRET": "another-secret"})
    assert result.records[0]["causes"] == ["secret-or-body"]
    assert "not a service account's" in result.records[0]["hint"]


def test_verify_explains_a_capture_even_if_an_earlier_capture_is_damaged(run: Run, folder: Path) -> None:
    first = an_invocation(id="aa0000000001")
    changed = an_invocation(b'{"cpu":64}', id="aa0000000002", headers=first.headers, received_at=NOW + 1)
    keep(folder, Capture(invocation=first, verdict=Verdict(status=Status.VALID, age_s=0.0), payload=Payload()))
    keep(folder, Capture(invocation=changed, verdict=Verdict(status=Status.INVALID), payload=Payload()))
    edit(folder / ".port-hook" / "captures.db", "UPDATE captures SET headers = 'damaged' WHERE seq = 1")
    assert run("verify", "last", "--json", env=ENV).records[0]["causes"] == ["secret-or-body"]
