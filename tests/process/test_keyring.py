"""Logins in a keyring, which is chosen once for a process."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from port_hook_cli.cli.exit_codes import ExitCode
from tests.port_answers import token_answer
from tests.processes import port_hook, typed
from tests.servers import Handler, handler

STANDINS = Path(__file__).parents[1] / "standins"
SECRET = "a-secret-for-the-keyring"


@pytest.fixture
def port() -> Iterator[Handler]:
    with handler(token_answer()) as running:
        yield running


def with_keyring(home: Path, backend: str, *args: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": str(STANDINS),
        "PYTHON_KEYRING_BACKEND": f"keyring_backends.{backend}",
        "KEYRING_FILE": str(home / "keyring.json"),
        **env,
    }
    return port_hook(home, *args, env=environ, input=stdin, text=True)


def log_in(home: Path, backend: str, port: Handler, *options: str) -> subprocess.CompletedProcess[str]:
    given = ("--client-id", "an-id", "--secret-file", "-", "--api-url", port.url)
    return with_keyring(home, backend, "login", *given, *options, stdin=SECRET)


def kept(home: Path) -> str:
    return (home / ".port-hook" / "logins.json").read_text("utf-8")


def test_login_saves_the_secret_in_the_keyring_with_its_id_and_url(tmp_path: Path, port: Handler) -> None:
    done = log_in(tmp_path, "InFile", port, "production")
    assert done.returncode == 0
    assert done.stderr.startswith("note: the secret is in the keyring (a keyring for tests)\n")
    assert SECRET not in kept(tmp_path)
    (text,) = json.loads((tmp_path / "keyring.json").read_text("utf-8")).values()
    assert json.loads(text) == {"client_id": "an-id", "api_url": port.url, "client_secret": SECRET}
    signed = with_keyring(tmp_path, "InFile", "sign", "-", "--org", "production", stdin="{}")
    assert signed.returncode == 0
    with_keyring(tmp_path, "InFile", "report-run", "r_QOz6WoOB1Q2lmhZZ", "--label", "x")
    assert json.loads(port.requests[1].body) == {"clientId": "an-id", "clientSecret": SECRET}


def test_logout_deletes_the_secret_from_the_keyring(tmp_path: Path, port: Handler) -> None:
    log_in(tmp_path, "InFile", port)
    assert with_keyring(tmp_path, "InFile", "logout").returncode == 0
    assert (tmp_path / "keyring.json").read_text("utf-8") == "{}"


def test_login_in_the_file_deletes_an_earlier_secret_from_the_keyring(tmp_path: Path, port: Handler) -> None:
    log_in(tmp_path, "InFile", port)
    assert "because you chose the file" in log_in(tmp_path, "InFile", port, "--keep-in", "file").stderr
    assert (tmp_path / "keyring.json").read_text("utf-8") == "{}"
    assert SECRET in kept(tmp_path)


@pytest.mark.parametrize(
    ("backend", "reason"), [("Locked", "the keyring is locked"), ("Forgetful", "the keyring does not save entries")]
)
def test_login_uses_the_file_when_the_keyring_cannot_be_used(
    tmp_path: Path, port: Handler, backend: str, reason: str
) -> None:
    done = log_in(tmp_path, backend, port)
    assert done.returncode == 0
    assert f"(mode 0600), because {reason}" in done.stderr
    assert SECRET not in done.stdout + done.stderr
    refused = log_in(tmp_path, backend, port, "--keep-in", "keyring", "other")
    assert (refused.returncode, "other" in kept(tmp_path)) == (ExitCode.SETTINGS, False)
    assert f"was not saved in the keyring: {reason}." in refused.stderr
    assert SECRET not in refused.stderr


def test_login_shows_the_missing_package(tmp_path: Path, port: Handler) -> None:
    (tmp_path / "keyring.py").write_text("raise ModuleNotFoundError('missing', name='keyring')")
    given = ("--client-id", "an-id", "--secret-file", "-", "--api-url", port.url)
    done = with_keyring(tmp_path, "InFile", "login", *given, stdin=SECRET, PYTHONPATH=str(tmp_path))
    assert done.returncode == 0
    assert "because the keyring package is not installed. Install it in port-hook's environment: " in done.stderr


def test_unresponsive_keyring_ends_a_command_after_3_s(tmp_path: Path, port: Handler) -> None:
    log_in(tmp_path, "InFile", port)
    started = time.monotonic()
    with ThreadPoolExecutor() as both:
        doctor = both.submit(with_keyring, tmp_path, "Hanging", "doctor", "--json", PORT_API_URL=port.url)
        signed = both.submit(with_keyring, tmp_path, "Hanging", "sign", "-", stdin="{}").result()
        found = doctor.result()
    assert time.monotonic() - started < 30  # guards against a hang
    assert signed.returncode == ExitCode.SETTINGS
    assert "the keyring did not respond within 3 s" in signed.stderr
    assert found.returncode == 1
    credentials, api, *_ = map(json.loads, found.stdout.splitlines())
    assert "the keyring did not respond within 3 s" in credentials["message"]
    assert api["check"] == "api"
    assert with_keyring(tmp_path, "Hanging", "sign", "-", stdin="{}", PORT_CLIENT_SECRET="s").returncode == 0


def test_changed_entry_in_the_keyring_is_not_used(tmp_path: Path, port: Handler) -> None:
    log_in(tmp_path, "InFile", port)
    file = tmp_path / "keyring.json"
    file.write_text(file.read_text("utf-8").replace(port.url, "http://127.0.0.1:1"), "utf-8")
    for named in ((), ("--org", "default")):
        done = with_keyring(tmp_path, "InFile", "sign", "-", *named, stdin="{}")
        assert done.returncode == ExitCode.SETTINGS
        assert "the keyring has other credentials" in done.stderr


def test_login_asks_on_a_terminal_and_hides_the_secret(tmp_path: Path, port: Handler) -> None:
    pexpect = pytest.importorskip("pexpect")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
    }
    child = typed(tmp_path, "login", "--api-url", port.url, env=environment, encoding="utf-8")
    child.expect("Client ID: ")
    child.sendline("an-id")
    child.expect(r"Client secret \(hidden\): ")
    child.waitnoecho()
    child.sendline(SECRET)
    child.expect(pexpect.EOF)
    assert SECRET not in child.before
    assert "Logged in to" in child.before
    assert json.loads(port.requests[0].body) == {"clientId": "an-id", "clientSecret": SECRET}
