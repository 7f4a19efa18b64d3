"""Frequent mistakes of a first handler, found in its signature for a capture, or in a signed request."""

from __future__ import annotations

import hmac
import json
from pathlib import Path
from typing import NamedTuple

import pytest

from port_hook_cli.captures.documents.request_file import explain, from_capture
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.invocations.headers import SIGNATURE_HEADER, TIMESTAMP_HEADER, Headers
from port_hook_cli.invocations.models import Capture, MessageOrigin, Payload, Status, Verdict
from port_hook_cli.kafka.messages import message_headers
from port_hook_cli.signatures.own_code import Computed
from port_hook_cli.signatures.signing import SigningKeys, sign
from port_hook_cli.signatures.wrong_ways import wrong_ways
from port_hook_cli.text.secret import Secret
from tests.conftest import Result, Run
from tests.factories import NOW, SECRET, a_body, an_invocation
from tests.kafka_clusters import a_message
from tests.stores import keep

KEY = SECRET.reveal()
ENV = {"PORT_CLIENT_SECRET": KEY}
STAMP = str(int(NOW))
BODY = a_body()
REDUMPED = json.dumps(json.loads(BODY)).encode()
PORTS_NOTE = "note: the request's own signature is valid, so port-hook has the right client secret"


def raw_hmac(message: bytes, key: str = KEY) -> bytes:
    return hmac.digest(key.encode(), message, "sha256")


class Mistake(NamedTuple):
    """A signature with a mistake, its cause, and the messages about the user's code and about a sender."""

    signature: str
    slug: str
    own: str
    own_fix: str
    senders: str
    senders_fix: str


MISTAKES = {
    "body re-dumped": Mistake(
        sign(REDUMPED, SECRET, STAMP),
        "reserialized-python",
        "Your code signed json.dumps(body), not the raw body.",
        "Verify the raw body before you parse it: `await request.body()` in FastAPI, `request.get_data()` in Flask,",
        "The signature matches Python's json.dumps(body), with a space after each comma and colon, not the raw body.",
        "use data=body instead of json=document.",
    ),
    "timestamp forgotten": Mistake(
        f"sha256={raw_hmac(BODY).hex()}",
        "timestamp-not-signed",
        "Your code signed the body alone.",
        "Sign timestamp + '.' + raw body with HMAC-SHA-256.",
        "The signature covers the body alone. Port signs the timestamp, a dot and the body.",
        "Sign timestamp + '.' + raw body with HMAC-SHA-256.",
    ),
    "wrong secret": Mistake(
        sign(BODY, Secret("another"), STAMP),
        "secret-or-body",
        "Your code's signature does not match this request in any known encoding. Your code uses another secret,",
        "Compare your code's secret with port-hook's.",
        "The signature does not match this body in any known encoding. It was made with another secret, or the body or "
        "timestamp changed in transit.",
        "Use the sending organization's client secret",
    ),
    "quoted secret": Mistake(
        sign(BODY, Secret(f'"{KEY}"'), STAMP),
        "secret-quoted",
        "Your code's secret has quotation marks around it.",
        "Remove the quotation marks from your code's setting.",
        "The signature was made with quotation marks around the client secret.",
        "Remove the quotation marks from the secret where the request is signed.",
    ),
}


def capture(folder: Path, headers: Headers | None = None, body: bytes = BODY) -> None:
    fields = {} if headers is None else {"headers": headers}
    invocation = an_invocation(body=body, received_at=NOW + 1, **fields)
    keep(folder, Capture(invocation=invocation, verdict=Verdict(status=Status.UNCHECKED), payload=Payload()))


def received(folder: Path, *fields: tuple[str, str], body: bytes = BODY) -> None:
    """Save a request with these signature headers."""
    capture(folder, Headers((("content-type", "application/json"), *fields)), body)


def signed_by_own_code(run: Run, folder: Path, signature: str, *options: str) -> Result:
    capture(folder)
    return run("verify", "last", "--signature", signature, *options, env=ENV)


def test_mistake_of_own_code_is_explained_with_a_fix(run: Run, folder: Path) -> None:
    for mistake in MISTAKES.values():
        result = signed_by_own_code(run, folder, mistake.signature)
        assert result.code == ExitCode.NOT_VALID
        assert f"{mistake.slug}: {mistake.own}" in result.out
        assert f"  fix: {mistake.own_fix}" in result.out
        assert PORTS_NOTE in result.err
        assert mistake.senders_fix not in result.out.replace(mistake.own_fix, "")


def test_mistake_in_a_received_signature_is_explained_with_a_fix_for_the_sender(run: Run, folder: Path) -> None:
    for mistake in MISTAKES.values():
        received(folder, (SIGNATURE_HEADER, mistake.signature), (TIMESTAMP_HEADER, STAMP))
        result = run("verify", "last", env=ENV)
        assert result.code == ExitCode.NOT_VALID
        assert f"{mistake.slug}: {mistake.senders}" in result.out
        assert mistake.senders_fix in result.out


def test_right_signature_of_own_code_is_valid(run: Run, folder: Path) -> None:
    result = signed_by_own_code(run, folder, sign(BODY, SECRET, STAMP))
    assert result.code == ExitCode.OK
    assert result.out.splitlines() == ["valid: your code's signature is correct", "signed form: raw", "age: 1 s"]
    assert "note: your code's signature equals the request's signature" in result.err


def test_right_signature_of_own_code_for_an_old_request_is_stale(run: Run, folder: Path) -> None:
    result = signed_by_own_code(run, folder, sign(BODY, SECRET, STAMP), "--now", str(NOW + 3_600))
    assert result.code == ExitCode.NOT_VALID
    assert result.out.startswith("stale: your code's signature is correct, but the timestamp is outside the tolerance")
    assert "  fix: The age says nothing about your code's signature." in result.out


def test_every_wrong_way_of_the_search_is_explained() -> None:
    """Both read one table, but `verify` finds some ways by their notation, layout or body first."""
    keys = SigningKeys(SECRET, client_id="an-id", other=Secret("the-other-secret"))
    saved = from_capture(
        Capture(invocation=an_invocation(body=BODY), verdict=Verdict(status=Status.UNCHECKED), payload=Payload())
    )
    for way in wrong_ways(keys):
        computed = Computed(way.signature(STAMP, BODY))
        verdict = explain(saved, keys, now=NOW, tolerance_s=300, computed=computed).verdict
        assert "secret-or-body" not in verdict.slugs, way.slug


@pytest.mark.parametrize(
    ("slug", "cause"), [("secret-undefined", "wrong-secret"), ("json-dumps-compact-sorted", "secret-or-body")]
)
def test_large_body_is_compared_only_with_ways_that_do_not_serialize_it(slug: str, cause: str) -> None:
    keys, body = SigningKeys(SECRET), json.dumps({"b": [0.5] * 2**18, "a": 1}).encode()
    saved = from_capture(
        Capture(invocation=an_invocation(body=body), verdict=Verdict(status=Status.UNCHECKED), payload=Payload())
    )
    way = next(each for each in wrong_ways(keys) if each.slug == slug)
    computed = Computed(way.signature(STAMP, body))
    assert explain(saved, keys, now=NOW, tolerance_s=300, computed=computed).verdict.slugs == (cause,)


def test_timestamp_of_own_code_is_compared_with_the_timestamp_of_the_request(run: Run, folder: Path) -> None:
    own = str(int(NOW) + 2)
    result = signed_by_own_code(run, folder, sign(BODY, SECRET, own), "--timestamp", own)
    assert result.code == ExitCode.NOT_VALID
    assert "timestamp-differs: Your code signed a timestamp that differs from x-port-timestamp." in result.out
    assert "  fix: Sign the text of x-port-timestamp, not the current time." in result.out
    assert "age: 1 s" in result.out
    assert run("verify", "last", "--signature", sign(BODY, SECRET, own), env=ENV).out.count("secret-or-body") == 1
    same = run("verify", "last", "--signature", sign(BODY, SECRET, STAMP), "--timestamp", own, env=ENV)
    assert same.code == ExitCode.OK


def test_own_code_is_compared_with_a_request_in_a_file(run: Run) -> None:
    request = f"POST / HTTP/1.1\nx-port-signature: v1,x\nx-port-timestamp: {STAMP}\n\n".encode() + BODY
    options = ("--signature", sign(BODY, SECRET, STAMP), "--now", str(NOW))
    result = run("verify", "-", *options, stdin=request, env=ENV)
    assert result.code == ExitCode.OK
    assert "note: the request's own signature is malformed: not-a-signature" in result.err


def test_same_wrong_signature_as_the_request_is_explained_for_the_sender(run: Run, folder: Path) -> None:
    body = json.dumps(json.loads(BODY)).encode()
    agents = sign(json.dumps(json.loads(BODY), separators=(",", ":")).encode(), SECRET, STAMP)
    received(folder, (SIGNATURE_HEADER, agents), (TIMESTAMP_HEADER, STAMP), body=body)
    result = run("verify", "last", "--signature", agents, env=ENV)
    assert result.code == ExitCode.NOT_VALID
    assert "Port's execution agent signs that form" in result.out
    assert "note: your code's signature equals the request's signature" in result.err


def test_own_code_is_compared_with_a_kafka_message(run: Run, folder: Path) -> None:
    value = a_message(at=NOW)
    headers = message_headers(value)
    invocation = an_invocation(body=value, headers=headers, origin=MessageOrigin("org.runs", 0, 1, int(NOW * 1000)))
    keep(folder, Capture(invocation=invocation, verdict=Verdict(status=Status.UNCHECKED), payload=Payload()))
    result = run("verify", "last", "--signature", headers[SIGNATURE_HEADER], env=ENV)
    assert (result.code, result.out.splitlines()[0]) == (ExitCode.OK, "valid: your code's signature is correct")
    assert run("verify", "last", "--signature", MISTAKES["wrong secret"].signature, env=ENV).code == ExitCode.NOT_VALID


def test_json_record_shows_the_code_explained_by_the_causes(run: Run, folder: Path) -> None:
    (own,) = signed_by_own_code(run, folder, MISTAKES["timestamp forgotten"].signature, "--json").records
    assert (own["side"], own["causes"][0]) == ("verifier", "timestamp-not-signed")
    assert own["details"][0]["words"] == "Your code signed the body alone."
    (sent,) = run("verify", "last", "--json", env=ENV).records
    assert sent["side"] == "sender"


def test_signature_of_the_body_alone_is_explained_without_a_timestamp(run: Run, folder: Path) -> None:
    received(folder, (SIGNATURE_HEADER, f"sha256={raw_hmac(BODY).hex()}"))
    result = run("verify", "last", env=ENV)
    assert result.code == ExitCode.NOT_VALID
    shown = [line.split(":")[0] for line in result.out.splitlines() if not line.startswith("  ")]
    assert shown == ["missing", "timestamp-missing", "timestamp-not-signed", "prefix-version", "hex-encoded"]
