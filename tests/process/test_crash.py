"""What a bug leaves behind, and how a reader that has gone is left."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.cli.app import main
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.runtime import Runtime
from tests.factories import RUN_ID, SECRET, a_body, a_capture, an_invocation
from tests.keys import PASSPHRASE, write_keys
from tests.port_answers import TOKEN as ACCESS_TOKEN
from tests.port_answers import token_answer
from tests.processes import environment, port_hook
from tests.servers import handler
from tests.stores import keep

TOKEN = "an-authtoken-that-nobody-may-read"
MESSAGE = f"no time: {SECRET.reveal()} {TOKEN} \x1b[2J"
ENV = {"PORT_CLIENT_SECRET": SECRET.reveal(), "NGROK_AUTHTOKEN": TOKEN}
SIGN = ("sign", "payload.json")
Crash = Callable[..., tuple[str, Path]]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


@pytest.fixture
def crash(runtime: Callable[..., Runtime], folder: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> Crash:
    """Run a command whose clock raises an exception: `crash(MESSAGE, "sign", "payload.json") -> stderr, report`."""
    (folder / "payload.json").write_bytes(a_body())
    monkeypatch.chdir(folder)

    def invoke(message: str, *arguments: str, env: Mapping[str, str] = ENV) -> tuple[str, Path]:
        def now() -> float:
            raise ZeroDivisionError(message)

        world = replace(runtime(env=env), now=now)
        assert main(arguments, world) == ExitCode.BUG
        world.stderr.seek(0)
        (report,) = temporary.iterdir()
        return world.stderr.read(), report

    return invoke


def test_bug_prints_one_line_and_a_hint_and_exits_70(crash: Crash) -> None:
    told, _ = crash(MESSAGE, *SIGN)
    error, hint = told.splitlines()
    assert error.startswith("error: port-hook crashed because of a bug (ZeroDivisionError)")
    assert hint.startswith("hint: ")


def test_bug_writes_a_private_report_with_masked_secrets(crash: Crash) -> None:
    told, report = crash(MESSAGE, *SIGN)
    assert str(report) in told
    if sys.platform != "win32":
        assert stat.S_IMODE(report.stat().st_mode) == 0o600
    text = report.read_text()
    assert "Traceback (most recent call last)" in text
    assert "ZeroDivisionError: no time: *** ***" in text
    assert re.search(r"Python 3\.\d+", text)
    assert SECRET.reveal() not in text + told
    assert TOKEN not in text + told


@pytest.mark.parametrize("place", [".env", "home", "yaml", "secret-file", "other"])
def test_report_masks_the_client_secret_from_any_source(crash: Crash, folder: Path, home: Path, place: str) -> None:
    secret, options = "a-secret-of-some-file", [*SIGN]
    (home / ".port").mkdir()
    if place in {".env", "other"}:
        (folder / ".env").write_text(f"PORT_CLIENT_SECRET={secret}\n")
    elif place == "home":
        (home / ".port" / ".env").write_text(f"PORT_CLIENT_SECRET={secret}\n")
    elif place == "yaml":
        orgs = f"default_org: b\norganizations: {{a: {{client_secret: {secret}}}, b: {{client_secret: short}}}}"
        (home / ".port" / "config.yaml").write_text(orgs)
    else:
        (folder / "secret").write_text(f"{secret}\n")
        options += ["--secret-file", "secret"]
    _, report = crash(f"it is {secret}.", *options, env=ENV if place == "other" else {})
    assert "ZeroDivisionError: it is ***." in report.read_text()


def test_report_masks_the_access_token(crash: Crash) -> None:
    with handler(token_answer()) as port:
        env = {**ENV, "PORT_CLIENT_ID": "i", "PORT_API_URL": port.url}
        _, report = crash(f"it is {ACCESS_TOKEN}.", "report-run", RUN_ID, "--status", "success", env=env)
    assert "ZeroDivisionError: it is ***." in report.read_text()


def test_report_masks_the_secrets_of_a_trigger(crash: Crash, folder: Path) -> None:
    (folder / "action.json").write_text(json.dumps(create_vm_action()))
    (folder / "secrets.json").write_text('{"KEY": "a-secret-of-the-organization"}')
    arguments = (
        "trigger",
        "action.json",
        "--to",
        "9",
        "--input",
        "title=a",
        "--with",
        "secrets=secrets.json",
        "--no-sign",
    )
    _, report = crash("it is a-secret-of-the-organization.", *arguments, env={})
    assert "it is ***." in report.read_text()


def test_report_does_not_mask_values_too_short_to_be_secret(crash: Crash) -> None:
    _, report = crash("a letter", *SIGN, env={"PORT_CLIENT_SECRET": "e", "NGROK_AUTHTOKEN": "a"})
    assert "ZeroDivisionError: a letter" in report.read_text()
    assert "***" not in report.read_text()


def test_traceback_is_shown_when_the_user_asks_for_it(crash: Crash, temporary: Path) -> None:
    with pytest.raises(ZeroDivisionError, match=re.escape(MESSAGE)):
        crash(MESSAGE, *SIGN, env={**ENV, "PORT_HOOK_DEBUG": "1"})
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_report_masks_a_typed_passphrase(folder: Path) -> None:
    pexpect = pytest.importorskip("pexpect")
    write_keys(folder, passphrase=PASSPHRASE)
    (folder / "payload.json").write_text("{}")
    script = """
import sys
from port_hook_cli.cli.app import main
from port_hook_cli.runtime import system_runtime

runtime = system_runtime()
main(["decrypt", "payload.json", "password", "--private-key", "private.pem"], runtime)
print("masked" if sys.argv[1] in runtime.memory.secrets else "not masked")
"""
    child = pexpect.spawn(
        sys.executable, ["-c", script, PASSPHRASE], cwd=folder, env=environment(folder), timeout=30, encoding="utf-8"
    )
    child.expect_exact("Passphrase of private.pem: ")
    child.sendline(PASSPHRASE)
    child.expect_exact("masked")
    assert "not " not in child.before
    child.close()


@pytest.fixture
def captured(folder: Path) -> Path:
    """A folder with more captures than a pipe holds, and a payload."""
    keep(folder, *(a_capture(an_invocation(id=f"{number:012x}")) for number in range(1000)))
    (folder / "payload.json").write_bytes(a_body())
    return folder


def without_a_reader(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command with an unread stdout, buffered like a real pipe."""
    reading, writing = os.pipe()
    os.close(reading)
    env = environment(folder)
    del env["PYTHONUNBUFFERED"]
    try:
        return port_hook(folder, *arguments, env=env, stdout=writing)
    finally:
        os.close(writing)


@pytest.mark.skipif(sys.platform == "win32", reason="broken pipes are POSIX")
@pytest.mark.parametrize(
    "arguments",
    [
        ("captures", "--json"),
        ("sign", "payload.json"),
        ("listen", "--help"),
    ],
    ids=" ".join,
)
def test_command_ends_quietly_when_its_output_is_closed(captured: Path, arguments: tuple[str, ...]) -> None:
    done = without_a_reader(captured, *arguments)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
def test_output_can_be_piped_to_head(captured: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m port_hook_cli captures --limit 0 | head -n 2"],
        cwd=captured,
        env=environment(captured),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.stderr == b""
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.parametrize("arguments", [("captures", "--json"), ("show", "last"), ("--version",)], ids=" ".join)
def test_full_disk_is_reported_and_is_not_a_bug(captured: Path, arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = port_hook(captured, *arguments, stdout=full)
    assert done.returncode == 1
    assert b"error: The output was truncated: No space left on device.\nhint: Free some disk space.\n" in done.stderr
    assert b"bug" not in done.stderr
