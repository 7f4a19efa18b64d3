"""`port-hook decrypt` and `encrypt`, each the other's counterpart."""

from __future__ import annotations

import json
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.captures.documents.capture_file import to_capture
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.cli.exit_codes import ExitCode
from tests.conftest import Run
from tests.factories import SECRET, a_body, a_capture, a_document, an_invocation
from tests.hostile.terminals import on_terminal
from tests.keys import PASSPHRASE, write_keys
from tests.processes import typed

ENV = {"PORT_CLIENT_SECRET": SECRET.reveal()}
OTHER = {"PORT_CLIENT_SECRET": "another-client-secret-of-thirty-two-characters"}
PASSWORD = "payload.properties.password"


def encrypted(run: Run, value: str, *options: str) -> str:
    result = run("encrypt", value, *options, env=ENV)
    assert (result.code, result.err) == (0, "")
    return result.out.strip()


def payload_with(**properties: Any) -> dict[str, Any]:
    """An invocation in the old form that lists `properties` as encrypted."""
    document = a_document()
    document["payload"]["properties"] |= properties
    document["payload"]["censoredProperties"] = list(properties)
    return document


def keep(folder: Path, document: Any) -> None:
    with open_store(None, folder, create=True) as store:
        store.add([a_capture(an_invocation(a_body(document)))])


def write(folder: Path, document: Any) -> str:
    (folder / "payload.json").write_bytes(a_body(document))
    return "payload.json"


def test_decrypt_decrypts_the_encrypted_properties_of_a_capture_without_changing_the_store(
    run: Run, folder: Path
) -> None:
    keep(folder, payload_with(password=encrypted(run, "s3cret"), token=encrypted(run, '{"a": "hidden"}')))
    before = {path.name: path.read_bytes() for path in (folder / ".port-hook").iterdir()}
    result = run("decrypt", "last", env=ENV)
    assert (result.code, result.err) == (0, "")
    assert result.out == f'{PASSWORD}  s3cret\npayload.properties.token     {{"a": "hidden"}}\n'
    after = {path.name: path.read_bytes() for path in (folder / ".port-hook").iterdir()}
    assert after[".gitignore"] == before[".gitignore"]
    assert after["captures.db"] == before["captures.db"]
    assert not any(b"s3cret" in content or b"hidden" in content for content in after.values())


def test_decrypt_reads_payloads_from_captures_files_and_stdin(run: Run, folder: Path) -> None:
    document = payload_with(password=encrypted(run, "s3cret"))
    body = a_body(document)
    keep(folder, document)
    for name, content in (
        ("file.txt", b"\xef\xbb\xbf" + body),
        ("file.txt", json.dumps(to_capture(a_capture(an_invocation(body)))).encode()),
        ("file.txt", b"POST /hook HTTP/1.1\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)),
        ("-", b""),
        ("01234", b""),
    ):
        (folder / "file.txt").write_bytes(content)
        result = run("decrypt", name, "--json", env=ENV, stdin=body)
        assert result.code == 0
        assert [record["value"] for record in result.records] == ["s3cret"]


def test_decrypt_json_prints_a_record_for_each_property(run: Run, folder: Path) -> None:
    name = write(folder, payload_with(password=encrypted(run, '{"a": [1]}'), cut=encrypted(run, "s3cret")[:-3], no="!"))
    result = run("decrypt", name, "--json", env=ENV)
    assert result.code == ExitCode.FAILED
    assert {record["schema"] for record in result.records} == {"port-hook/decryption/1"}
    assert [(record["path"], record["value"], record["problem"]) for record in result.records] == [
        (PASSWORD, {"a": [1]}, None),
        ("payload.properties.cut", None, "truncated"),
        ("payload.properties.no", None, "not-encrypted"),
    ]


def test_decrypt_writes_a_single_value_byte_for_byte(run: Run, folder: Path) -> None:
    pem = b"-----BEGIN X-----\r\n\x1b[2J\xc3\xab\r\n-----END X-----\n\n"
    (folder / "value").write_bytes(pem)
    value = run("encrypt", "value", env=ENV).out.strip()
    name = write(folder, {"inputs": {"cert": value}})
    for path in ("inputs.cert", "cert"):
        assert run("decrypt", name, path, env=ENV).raw == pem.removesuffix(b"\n")


def test_decrypt_payload_prints_the_whole_payload_with_decrypted_values(run: Run, folder: Path) -> None:
    name = write(folder, payload_with(password=encrypted(run, '{"user":"zoë"}')))
    result = run("decrypt", name, "--payload", env=ENV)
    assert json.loads(result.raw) == payload_with(password={"user": "zoë"})


def test_decrypt_needs_only_the_private_key_for_client_side_values(run: Run, folder: Path) -> None:
    write_keys(folder)
    value = encrypted(run, "s3cret", "--public-key", "public.pem")
    name = write(folder, payload_with(password=value))
    assert run("decrypt", name, PASSWORD, "--private-key", "private.pem").raw == b"s3cret"
    stdin = (folder / "private.pem").read_bytes()
    assert run("decrypt", name, PASSWORD, "--private-key", "-", stdin=stdin).raw == b"s3cret"


def test_decrypt_needs_both_keys_when_a_payload_has_both_schemes(run: Run, folder: Path) -> None:
    write_keys(folder)
    values = {"a": encrypted(run, "one"), "b": encrypted(run, "two", "--public-key", "public.pem")}
    result = run("decrypt", write(folder, payload_with(**values)), "--private-key", "private.pem", "--json", env=ENV)
    assert [(record["value"], record["scheme"]) for record in result.records] == [
        ("one", "aes256-gcm"),
        ("two", "client-side"),
    ]


def test_decrypt_error_shows_the_source_of_a_wrong_secret(run: Run, folder: Path) -> None:
    result = run("decrypt", write(folder, payload_with(password=encrypted(run, "s3cret"))), env=OTHER)
    assert (result.code, result.out) == (ExitCode.FAILED, "")
    assert f"error: {PASSWORD}: the client secret does not decrypt it: another key was used, or the value" in result.err
    assert (
        "hint: port-hook tried the client secret of PORT_CLIENT_SECRET in the environment (aes256-gcm)." in result.err
    )
    assert "--private-key FILE" in result.err
    assert OTHER["PORT_CLIENT_SECRET"] not in result.err


def test_decrypt_reports_a_wrong_private_key(run: Run, folder: Path) -> None:
    write_keys(folder)
    name = write(folder, payload_with(password=encrypted(run, "s3cret", "--public-key", "public.pem")))
    result = run("decrypt", name, "--private-key", "another.pem")
    assert result.code == ExitCode.FAILED
    assert "the private key does not decrypt it" in result.err
    assert "port-hook tried the private key another.pem (client-side)." in result.err


def test_decrypt_reports_a_missing_path(run: Run, folder: Path) -> None:
    result = run("decrypt", write(folder, a_document()), "payload.nothing", env=ENV)
    assert (result.code, result.out) == (ExitCode.FAILED, "")
    assert "payload.nothing: the payload has no value there" in result.err


def test_decrypt_fails_when_the_payload_lists_no_encrypted_properties(run: Run, folder: Path) -> None:
    result = run("decrypt", write(folder, {"vm": {"pw": encrypted(run, "s3cret")}}), env=ENV)
    assert (result.code, result.out) == (ExitCode.FAILED, "")
    assert "does not list any encrypted properties" in result.err
    assert "These look encrypted: vm.pw." in result.err


def test_invalid_arguments_are_rejected_with_the_reason(run: Run, folder: Path) -> None:
    for arguments, code, words in (
        (("",), ExitCode.USAGE, "name is empty"),
        (("p.json", "a", "--payload", "--json"), ExitCode.USAGE, ", not both."),
        (("p.json", 'a"'), ExitCode.USAGE, "is invalid from"),
        (("none.json",), ExitCode.STORE, "File not found: none.json"),
        (("last",), ExitCode.STORE, "Capture store not found"),
        (("p.json", "--private-key", "none.pem"), ExitCode.SETTINGS, "none.pem cannot be read: No such file"),
        (("p.json", "--private-key", "p.json"), ExitCode.SETTINGS, "not a readable private key in PEM format"),
        (("text.json",), ExitCode.STORE, "does not contain a JSON payload: not JSON (line 1"),
        (("-",), ExitCode.STORE, "stdin does not contain a JSON payload"),
        (("http.json",), ExitCode.STORE, "http.json cannot be read"),
        (("p.json", "--secret-file", "short"), ExitCode.SETTINGS, "has only 5 bytes"),
    ):
        (folder / "p.json").write_text('{"a":1}')
        (folder / "text.json").write_text("no json")
        (folder / "http.json").write_text("POST / HTTP/1.1\r\nno header\r\n\r\n{}")
        (folder / "short").write_text("short")
        result = run("decrypt", *arguments, env=ENV)
        assert (result.code, result.out) == (code, "")
        assert words in result.err


def test_decrypt_fails_when_a_key_needs_a_passphrase_without_a_terminal(run: Run, folder: Path) -> None:
    write_keys(folder, passphrase=PASSPHRASE)
    result = run("decrypt", write(folder, a_document()), "cpu", "--private-key", "private.pem")
    assert result.code == ExitCode.SETTINGS
    assert "has a passphrase" in result.err
    assert "openssl pkey -in KEY | port-hook decrypt" in result.err


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are POSIX")
@pytest.mark.parametrize(("answer", "code"), [(PASSPHRASE, 0), ("wrong", 4)])
def test_decrypt_asks_for_the_passphrase_without_showing_it_on_a_terminal(
    run: Run, folder: Path, answer: str, code: int
) -> None:
    write_keys(folder, passphrase=PASSPHRASE)
    name = write(folder, payload_with(password=encrypted(run, "a\x1b[2J\nb", "--public-key", "public.pem")))
    child = typed(folder, "decrypt", name, PASSWORD, "--private-key", "private.pem")
    child.expect_exact("Passphrase of private.pem: ")
    child.waitnoecho()
    child.sendline(answer)
    rest = child.read().decode()
    child.close()
    assert child.exitstatus == code
    assert answer not in rest
    assert ("a\\x1b[2J\r\nb" in rest) is (code == 0)


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are POSIX")
def test_decrypted_json_has_color_on_a_terminal(run: Run, folder: Path) -> None:
    write(folder, payload_with(token=encrypted(run, '{"a": "hidden"}')))
    for words in ([], ["token"], ["--payload"]):
        assert b'\x1b[36m"a"\x1b[0m' in on_terminal(folder, "decrypt", "payload.json", *words, env=ENV).raw


def test_encrypt_json_has_the_scheme(run: Run, folder: Path) -> None:
    write_keys(folder)
    (ours,) = run("encrypt", "s3cret", "--json", env=ENV).records
    (theirs,) = run("encrypt", "s3cret", "--public-key", "public.pem", "--json").records
    assert (ours["schema"], ours["scheme"], len(b64decode(ours["value"]))) == (
        "port-hook/encryption/1",
        "aes256-gcm",
        16 + 6 + 16,
    )
    assert (theirs["scheme"], len(b64decode(theirs["value"]))) == ("client-side", 12 + 256 + 6 + 16)


def test_encrypt_leaves_a_string_unchanged_and_serializes_an_object_like_port(run: Run, folder: Path) -> None:
    for given, plaintext in (
        ("s3cret", "s3cret"),
        ('{ "b": 1.0,\n "a": "ë" }', '{"b":1,"a":"ë"}'),
        ("{no json", "{no json"),
        (" [1, 2] ", " [1, 2] "),
        ("x" * 5000, "x" * 5000),
    ):
        name = write(folder, {"it": encrypted(run, given)})
        assert run("decrypt", name, "it", env=ENV).raw == plaintext.encode()


def test_encrypt_removes_one_line_break_at_the_end_of_stdin(run: Run, folder: Path) -> None:
    for content, plaintext in ((b"a\n", b"a"), (b"a\r\n\r\n", b"a\r\n"), (b"", b"")):
        value = run("encrypt", "-", env=ENV, stdin=content).out.strip()
        assert run("decrypt", write(folder, {"it": value}), "it", env=ENV).raw == plaintext


def test_encrypt_prints_a_note_when_it_reads_a_file(run: Run, folder: Path) -> None:
    (folder / "value").write_text("s3cret\n")
    result = run("encrypt", "value", env=ENV)
    assert result.err == "note: encrypting the content of the file value\n"
    assert run("decrypt", write(folder, {"it": result.out.strip()}), "it", env=ENV).raw == b"s3cret"


def test_encrypt_rejects_invalid_arguments_with_the_reason(run: Run, folder: Path) -> None:
    for arguments, code, words in (
        (("",), ExitCode.USAGE, "value is empty"),
        (("binary",), ExitCode.STORE, "not UTF-8 text (at byte 1)"),
        (("x", "--public-key", "k", "--secret-file", "s"), ExitCode.USAGE, ", not both."),
        (("x", "--public-key", "private.pem"), ExitCode.SETTINGS, "is a private key"),
        (("x", "--secret-file", "short"), ExitCode.SETTINGS, "has only 5 bytes"),
    ):
        write_keys(folder)
        (folder / "binary").write_bytes(b"a\xff")
        (folder / "short").write_text("short")
        result = run("encrypt", *arguments, env=ENV)
        assert (result.code, result.out) == (code, "")
        assert words in result.err
