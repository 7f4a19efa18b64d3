"""`export --redact`, and its files as input of other commands."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from port_hook_cli.captures.documents.capture_file import to_capture
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Delivery, MessageOrigin, Response, Status, Verdict
from port_hook_cli.kafka.messages import message_headers
from port_hook_cli.signatures.causes import REPLAYED, UNDIAGNOSED
from port_hook_cli.signatures.signing import signed_headers
from port_hook_cli.text.secret import Secret
from tests.conftest import Run
from tests.factories import NOW, RUN_ID, SECRET, a_body, a_capture, a_document, an_invocation, signed
from tests.kafka_clusters import a_message
from tests.record_schemas import checked
from tests.servers import handler
from tests.stores import keep

ENV = {"PORT_CLIENT_SECRET": SECRET.reveal()}
SPACED = json.dumps(a_document()).encode()
READ_IT = "note: read the export before you share it. Times, lengths and numbers of up to 7 digits stay\n"
PRIVATE = (RUN_ID, "create_vm", "zoë@", "62ceaea697ca00f09d7c4f45", "eu-west-1", "dev-env", SECRET.reveal())


def reencoded() -> Capture:
    """A request of Port's execution agent, rejected by its handler."""
    return a_capture(
        an_invocation(SPACED, headers=signed(a_body()), target=f"/hooks/{RUN_ID}?user=alice.smith"),
        verdict=Verdict(status=Status.UNCHECKED),
        delivery=Delivery(url=f"http://127.0.0.1:4000/{RUN_ID}", status=500, body=b'{"error": "create_vm failed"}'),
        response=Response(status=500, body=b'{"error": "create_vm failed"}'),
    )


def export(run: Run, folder: Path, *options: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the document that `export last --redact` writes to `shared.json`."""
    result = run("export", "last", "--redact", "--output", "shared.json", *options, env=ENV if env is None else env)
    assert result.code == 0, result.err
    document: dict[str, Any] = json.loads((folder / "shared.json").read_text())
    return document


def verdict_of(run: Run, name: str, *options: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(run("verify", name, "--json", *options, env=env or {}).out)
    return record


def test_redacted_capture_verifies_like_the_original(run: Run, folder: Path) -> None:
    keep(folder, reencoded())
    result = run("export", "last", "--redact", env=ENV)
    assert (result.code, result.err) == (0, READ_IT)
    document = checked(json.loads(result.out))
    assert [text for text in PRIVATE if text in result.out] == []
    assert document["redacted"]["secret"].startswith("throwaway-")
    assert document["response"]["body"] == f'{{"error": "{document["action"]} vyxwvu"}}'
    assert document["delivery"]["url"] == f"http://127.0.0.1:4000/{document['run_id']}"
    (folder / "shared.json").write_text(result.out)
    assert verdict_of(run, "shared.json", "--redacted") == verdict_of(run, "last", env=ENV)
    assert document["verdict"]["causes"] == ["reserialized-js"]


def test_verify_does_not_use_the_secret_of_a_file_unless_it_is_asked_to(run: Run, folder: Path) -> None:
    keep(folder, a_capture())
    export(run, folder)
    result = run("verify", "shared.json", env=ENV)
    assert (result.code, result.out.splitlines()[0]) == (ExitCode.NOT_VALID, "invalid: the signature does not match")
    advice = "No client secret matches a redacted capture. Run `port-hook verify shared.json --redacted`."
    assert f"  fix: {advice} " in result.out
    result = run("verify", "shared.json")
    assert (result.code, result.err) == (ExitCode.SETTINGS, f"error: No client secret is set.\nhint: {advice}\n")
    result = run("verify", "shared.json", "--redacted", env=ENV)
    assert result.code == 0
    assert (
        "note: verified with the throwaway secret in the capture, not with a client secret. Anyone can sign with that "
        "secret, so the verdict does not say who sent the request\n"
    ) in result.err


def test_verify_redacted_rejects_other_requests_and_another_secret(run: Run, folder: Path) -> None:
    keep(folder, a_capture())
    result = run("verify", "last", "--redacted", env=ENV)
    assert result.code == ExitCode.USAGE
    assert "--redacted needs a capture that `export --redact` wrote." in result.err
    (folder / "secret").write_text("x")
    assert run("verify", "last", "--redacted", "--secret-file", "secret").code == ExitCode.USAGE


def test_settings_of_the_current_directory_cannot_make_verify_use_the_secret_of_a_file(run: Run, folder: Path) -> None:
    keep(folder, a_capture())
    export(run, folder)
    (folder / "port-hook.toml").write_text("[verify]\nredacted = true\n")
    (folder / ".env").write_text("PORT_HOOK_VERIFY_REDACTED=1\n")
    assert run("verify", "shared.json", env=ENV).code == ExitCode.NOT_VALID


def test_replay_of_a_redacted_file_is_signed_with_the_client_secret(run: Run, folder: Path) -> None:
    keep(folder, a_capture())
    throwaway = export(run, folder)["redacted"]["secret"]
    with handler() as target:
        assert run("replay", "shared.json", "--to", target.url).code == ExitCode.SETTINGS
        result = run("replay", "shared.json", "--to", target.url, env=ENV)
        assert result.err == "note: shared.json: it is redacted, so its values and its signature are not Port's\n"
        assert result.code == 0
        (request,) = target.requests
    stamp = request.value("x-port-timestamp") or ""
    ours, others = (dict(signed_headers(request.body, secret, stamp)) for secret in (SECRET, Secret(throwaway)))
    assert request.value("x-port-signature") == ours["x-port-signature"] != others["x-port-signature"]


def test_recorded_verdict_is_reproduced_without_a_client_secret(run: Run, folder: Path) -> None:
    causes = json.loads(json.dumps(["reserialized-js"]))
    keep(folder, reencoded())
    recorded = export(run, folder)
    (folder / "recorded.json").write_text(json.dumps({**to_capture(reencoded()), "verdict": recorded["verdict"]}))
    result = run("export", "recorded.json", "--redact")
    assert (result.code, json.loads(result.out)["verdict"]["causes"]) == (0, causes)
    assert "note: without a client secret, the capture's recorded verdict is reproduced\n" in result.err


def test_capture_without_a_verdict_needs_the_client_secret(run: Run, folder: Path) -> None:
    keep(folder, reencoded())
    result = run("export", "last", "--redact")
    assert (result.code, result.out) == (ExitCode.SETTINGS, "")
    assert "No client secret is set." in result.err
    (folder / "secret").write_text(SECRET.reveal())
    assert run("export", "last", "--redact", "--secret-file", "secret").code == 0


def test_recorded_verdict_is_reproduced_when_the_secret_belongs_to_another_organization(run: Run, folder: Path) -> None:
    keep(folder, a_capture())
    result = run("export", "last", "--redact", env={"PORT_CLIENT_SECRET": "another-secret-of-32-characters!"})
    assert json.loads(result.out)["verdict"]["status"] == "valid"
    assert "note: the client secret does not match, so the capture's recorded verdict is reproduced\n" in result.err


def test_unreproducible_verdict_is_reported_with_its_own_exit_code(run: Run, folder: Path) -> None:
    keep(folder, a_capture(verdict=Verdict(status=Status.INVALID, causes=(UNDIAGNOSED,), age_s=0.0)))
    result = run("export", "last", "--redact")
    assert (result.code, json.loads(result.out)["verdict"]["causes"]) == (ExitCode.FAILED, ["secret-or-body"])
    words = "it is invalid (secret-or-body) instead of invalid (undiagnosed)\n"
    assert f"warning: the verdict could not be reproduced: {words}" in result.err


def test_replayed_stays_in_the_capture(run: Run, folder: Path) -> None:
    keep(folder, a_capture(verdict=Verdict(status=Status.VALID, signed_form="raw", causes=(REPLAYED,), age_s=0.0)))
    result = run("export", "last", "--redact")
    assert (result.code, json.loads(result.out)["verdict"]["causes"]) == (0, ["replayed"])
    assert "note: `verify` does not report `replayed`, which depends on an earlier request\n" in result.err


def test_kafka_message_is_signed_inside(run: Run, folder: Path) -> None:
    value = a_message(at=NOW)
    origin = MessageOrigin("org_AcmeAcmeAcme.runs", 0, 123_456_789, int(NOW * 1000))
    keep(folder, a_capture(an_invocation(value, headers=message_headers(value), origin=origin)))
    document = export(run, folder)
    assert verdict_of(run, "shared.json", "--redacted")["signed_form"] == "kafka"
    inside = json.loads(document["body"])["headers"]
    assert inside["X-Port-Signature"] == dict(document["headers"])["X-Port-Signature"]
    assert document["kafka"]["topic"].endswith(".runs")
    assert "Acme" not in document["kafka"]["topic"]


def test_other_formats_are_redacted(run: Run, folder: Path) -> None:
    for name in ("http", "curl", "har", "python", "httpie", "lambda", "postman", "pytest"):
        keep(folder, reencoded())
        result = run("export", "last", "--redact", "--format", name, env=ENV)
        assert result.code == 0
        assert [text for text in (*PRIVATE, "alice") if text in result.out] == []
        assert re.search("note: signed with the throwaway secret 'throwaway-[0-9a-f]{48}'\n", result.err)


def test_redacted_request_as_text_verifies_with_the_printed_secret(run: Run, folder: Path) -> None:
    keep(folder, reencoded())
    result = run("export", "last", "--redact", "--format", "http", "--output", "r.http", env=ENV)
    (secret,) = re.findall("'(throwaway-[0-9a-f]+)'", result.err)
    found = verdict_of(run, "r.http", "--now", str(NOW), env={"PORT_CLIENT_SECRET": secret})
    assert (found["status"], found["causes"]) == ("reencoded", ["reserialized-js"])


def test_redacting_twice_keeps_the_verdict(run: Run, folder: Path) -> None:
    keep(folder, reencoded())
    export(run, folder)
    result = run("export", "shared.json", "--redact", env=ENV)
    assert json.loads(result.out)["verdict"]["causes"] == ["reserialized-js"]


def test_credential_headers_are_masked(run: Run, folder: Path) -> None:
    headers = Headers((*signed(a_body()), ("Authorization", "Bearer hunter2hunter2"), ("X-Acme-Key", "hunter2hunter2")))
    keep(folder, a_capture(an_invocation(headers=headers)))
    document = export(run, folder)
    assert "hunter2" not in json.dumps(document)
    assert ["Authorization", "***"] in document["headers"]


def test_redacted_url_is_the_given_target_or_where_the_redacted_capture_was_forwarded_to(
    run: Run, folder: Path
) -> None:
    keep(folder, reencoded())
    options = ("export", "last", "--redact", "--format", "http")
    assert run(*options, env=ENV).out.splitlines()[0] == "POST /r_Yyxwvutsrqponmlk HTTP/1.1"
    assert run(*options, "--to", "9000/mine", env=ENV).out.splitlines()[0] == "POST /mine HTTP/1.1"


def test_causes_of_a_file_are_shown_without_control_characters(run: Run, folder: Path) -> None:
    document = to_capture(a_capture(verdict=Verdict(status=Status.INVALID, age_s=0.0)))
    document["verdict"]["details"] = [{"slug": "\x1b[2Jx", "words": "", "fix": ""}]
    (folder / "c.json").write_text(json.dumps(document))
    result = run("export", "c.json", "--redact")
    assert result.code == ExitCode.FAILED
    assert "\x1b" not in result.err + result.out


def test_hostile_body_of_a_file_is_redacted(run: Run, folder: Path) -> None:
    for body in (b"[" * 100_000, b'{"a":' * 5_000 + b'"hunter2hunter2"', b"\xed\xa0\x80hunter2hunter2", b""):
        document = to_capture(a_capture(an_invocation(body or b"", headers=signed(body))))
        (folder / "c.json").write_text(json.dumps(document))
        result = run("export", "c.json", "--redact", env=ENV)
        assert (result.code, "hunter2" in result.out) == (0, False)
