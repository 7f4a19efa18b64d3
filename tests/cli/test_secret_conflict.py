"""The environment and `./.env` have different client secrets: the messages when the wrong secret may be in use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.text.secret import Secret
from tests.conftest import Run
from tests.factories import RUN_ID, a_body, a_capture, an_invocation, signed
from tests.port_answers import REFUSED
from tests.servers import handler
from tests.stores import keep

CURRENT = "the-secret-that-port-uses-now"
STALE = "the-secret-of-last-year"
CONFLICT = (
    "PORT_CLIENT_SECRET in the environment differs from the client secret in ./.env. "
    "port-hook uses the secret in the environment"
)
ENV = {"PORT_CLIENT_SECRET": STALE, "PORT_CLIENT_ID": "an-id"}


@pytest.fixture
def conflict(folder: Path) -> Path:
    """A folder with a capture signed with the secret of `.env`, and another secret in the environment."""
    path = folder / ".env"
    path.write_text(f"PORT_CLIENT_SECRET={CURRENT}\n")
    path.chmod(0o600)
    body = a_body()
    keep(folder, a_capture(an_invocation(body, headers=signed(body, secret=Secret(CURRENT)))))
    return folder


def assert_says_which_secret_was_used(text: str) -> None:
    assert any(f"{CONFLICT}." in line for line in text.splitlines() if not line.startswith("warning: "))
    assert STALE not in text
    assert CURRENT not in text


def test_verify_shows_the_place_of_the_secret_when_the_signature_does_not_match(run: Run, conflict: Path) -> None:
    result = run("verify", "last", env=ENV)
    assert result.code == ExitCode.NOT_VALID
    assert_says_which_secret_was_used(result.out)
    details = json.loads(run("verify", "last", "--json", env=ENV).out)["details"]
    assert_says_which_secret_was_used(details[0]["fix"])


def test_verify_shows_the_place_of_the_secret_when_own_code_computed_another_signature(
    run: Run, conflict: Path
) -> None:
    signature = dict(signed(a_body(), secret=Secret("a third")))["x-port-signature"]
    result = run("verify", "last", "--signature", signature, env=ENV)
    assert result.code == ExitCode.NOT_VALID
    assert_says_which_secret_was_used(result.out)
    assert "Compare your code's secret with port-hook's." in result.out


def test_verify_mentions_no_other_secret_when_the_signature_is_valid(run: Run, conflict: Path) -> None:
    result = run("verify", "last", env={"PORT_CLIENT_SECRET": CURRENT})
    assert result.code == ExitCode.OK
    assert "differs" not in result.out + result.err


def test_report_run_shows_the_place_of_the_secret_when_port_responds_with_401(run: Run, conflict: Path) -> None:
    with handler(REFUSED) as port:
        result = run("report-run", RUN_ID, "--status", "success", env={**ENV, "PORT_API_URL": port.url})
    assert result.code == ExitCode.PORT_API
    assert_says_which_secret_was_used(result.err)


def test_replay_shows_the_place_of_the_secret_when_the_target_responds_with_401(run: Run, conflict: Path) -> None:
    with handler(REFUSED) as target:
        result = run("replay", "last", "--to", target.url, env=ENV)
    assert_says_which_secret_was_used(result.err)


def test_trigger_shows_the_place_of_the_secret_when_the_handler_responds_with_401(run: Run, conflict: Path) -> None:
    action = {
        "identifier": "create_vm",
        "trigger": {"type": "self-service", "operation": "CREATE", "userInputs": {"properties": {}}},
        "invocationMethod": {"type": "WEBHOOK", "url": "https://example.com", "body": {"a": 1}},
    }
    (conflict / "create_vm.json").write_text(json.dumps(action))
    with handler(REFUSED) as target:
        result = run("trigger", "create_vm.json", "--to", target.url, env=ENV)
    assert_says_which_secret_was_used(result.out)


def test_another_secret_in_the_file_is_a_conflict_and_another_notation_is_not(run: Run, folder: Path) -> None:
    for file, is_conflict in (
        ("PORT_CLIENT_SECRET={used}-and-more", True),
        ("# PORT_CLIENT_SECRET={used}\nPORT_CLIENT_SECRET=another-secret", True),
        ("PORT_CLIENT_ID={used}\nexport PORT_CLIENT_SECRET='another-secret'", True),
        ("PORT_CLIENT_SECRET={used}", False),
        ("export PORT_CLIENT_SECRET = '{used}'", False),
        ('  PORT_CLIENT_SECRET="{used}"', False),
    ):
        used = "a-secret-in-use"
        (folder / ".env").write_text(file.format(used=used) + "\n", "utf-8")
        (folder / ".env").chmod(0o600)
        result = run("sign", "-", stdin=b"{}", env={"PORT_CLIENT_SECRET": used})
        assert ("differs from the client secret in ./.env" in result.err) is is_conflict
