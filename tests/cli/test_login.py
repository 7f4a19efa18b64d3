"""`login` and `logout` without a keyring, and other commands with the saved credentials."""

from __future__ import annotations

import json
import stat
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from port_hook_cli.cli.app import print_problem
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.errors import (
    CredentialsError,
    ListenError,
    LoginRejectedError,
    PortApiError,
    RunEndedError,
    SettingsError,
    StoreError,
    TunnelError,
)
from port_hook_cli.runtime import Runtime
from tests.conftest import Result, Run
from tests.factories import RUN_ID
from tests.port_answers import REFUSED, TOKEN, token_answer
from tests.servers import Handler, handler

SECRET = "the-secret-of-a-login"


@pytest.fixture
def port() -> Iterator[Handler]:
    """A simulated Port API that accepts all credentials."""
    with handler(token_answer()) as running:
        yield running


@pytest.fixture
def logins(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".port-hook" / "logins.json"


def log_in(run: Run, port: Handler, *options: str, secret: str = SECRET) -> Result:
    return run(
        "login", "--client-id", "an-id", "--secret-file", "-", "--api-url", port.url, *options, stdin=secret.encode()
    )


def test_login_hints_name_its_own_options(run: Run) -> None:
    for answer, hint in (
        (None, "Start the sandbox with `port-hook sandbox`, or correct --api-url."),
        (b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n", "Check --api-url: "),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", "Check --api-url and any proxy in between."),
    ):
        with handler(answer or b"") as api:
            answered = log_in(run, api)
        result = answered if answer else log_in(run, api)  # without a response, because nothing listens there anymore
        assert result.code == ExitCode.PORT_API
        assert f"hint: {hint}" in result.err
        assert "PORT_" not in result.err


def test_login_saves_credentials_in_a_private_file_and_prints_its_path(run: Run, port: Handler, logins: Path) -> None:
    result = log_in(run, port)
    assert result.code == ExitCode.OK
    assert result.out == f"Logged in to {port.url} as organization 'default'.\n"
    reason = "this system has no keyring" if find_spec("keyring") else "the keyring package is not installed"
    assert f"the secret is in {logins} (mode 0600), because {reason}" in result.err
    assert stat.S_IMODE(logins.stat().st_mode) == 0o600
    assert stat.S_IMODE(logins.parent.stat().st_mode) == 0o700
    assert list(logins.parent.iterdir()) == [logins]
    assert SECRET not in result.out + result.err
    assert TOKEN not in result.out + result.err + logins.read_text("utf-8")


def test_login_and_doctor_say_which_secret_signs_and_only_show_the_claim_of_the_token(run: Run) -> None:
    signs = "Only the organization's client secret signs. Credentials of a service account or a person can log in but "
    claims = urlsafe_b64encode(b'{"orgId":"org_1","isMachine":true}').decode().rstrip("=")
    with handler(token_answer(token=f"e30.{claims}.c2lnbmF0dXJl")) as port:
        result = log_in(run, port)
        doctor = run("doctor", "--json", env={"PORT_API_URL": port.url}).records[1]
    assert (
        f"note: {signs}never match (observed, not documented). The token has the claim isMachine: true." in result.err
    )
    assert "The claim does not show whether the secret signs" in result.err
    assert (doctor["state"], signs in doctor["message"], "isMachine: true" in doctor["message"]) == ("ok", True, True)


def test_login_does_not_save_rejected_credentials(run: Run, logins: Path) -> None:
    with handler(REFUSED) as port:
        result = log_in(run, port)
    assert result.code == ExitCode.PORT_API
    assert f"{port.url} rejected these credentials." in result.err
    assert SECRET not in result.err
    assert not logins.exists()


def test_login_sends_nothing_to_an_unsafe_api_url(run: Run, logins: Path) -> None:
    for url in ("http://api.example.com", "http://10.0.0.1/v1", "ftp://x", "https://user:pw@x"):
        result = run("login", "--client-id", "i", "--secret-file", "-", "--api-url", url, stdin=b"s")
        assert (result.code, result.out) == (ExitCode.USAGE, "")
        assert not logins.exists()


def test_login_ignores_the_api_url_of_a_project(run: Run, port: Handler, folder: Path, logins: Path) -> None:
    with handler(token_answer()) as other:
        (folder / ".env").write_text(f"PORT_API_URL={other.url}\nPORT_HOOK_LOGIN_API_URL={other.url}\n")
        (folder / ".env").chmod(0o600)
        assert log_in(run, port).code == ExitCode.OK
    assert other.requests == []
    assert port.url in logins.read_text("utf-8")


def test_login_needs_a_client_id_and_a_secret_without_a_terminal(run: Run) -> None:
    result = run("login")
    assert result.code == ExitCode.SETTINGS
    assert "--client-id" in result.err
    result = run("login", "--client-id", "i")
    assert result.code == ExitCode.SETTINGS
    assert "--secret-file" in result.err


def test_login_removes_white_space_around_the_secret(run: Run, port: Handler) -> None:
    log_in(run, port, secret=f"  {SECRET} \r\n")
    assert json.loads(port.requests[0].body)["clientSecret"] == SECRET


def test_login_rejects_an_unprintable_name(run: Run, port: Handler) -> None:
    for name in ("", " ", "a\nb", "x" * 101):
        result = log_in(run, port, name)
        assert result.code == ExitCode.USAGE
        assert port.requests == []


def test_login_lists_organizations_and_marks_the_default(run: Run, port: Handler) -> None:
    assert "No logins are saved." in run("login", "--list").err
    log_in(run, port, "staging")
    log_in(run, port, "production")
    assert run("login", "--list").out.splitlines() == [
        f"staging  {port.url}  client ID an-id  secret in the file",
        f"production  {port.url}  client ID an-id  secret in the file  (default)",
    ]
    first, second = run("login", "--list", "--json").records
    assert first == {
        "schema": "port-hook/login/1",
        "type": "listed",
        "organization": "staging",
        "client_id": "an-id",
        "api_url": port.url,
        "region": None,
        "kept_in": "file",
        "is_default": False,
    }
    assert second["is_default"]


def test_report_run_uses_the_login_of_org(run: Run, port: Handler) -> None:
    log_in(run, port, "a", secret="the-secret-of-a")
    log_in(run, port, "b", secret="the-secret-of-b")
    run("report-run", RUN_ID, "--label", "x", "--org", "a")
    assert json.loads(port.requests[2].body) == {"clientId": "an-id", "clientSecret": "the-secret-of-a"}
    run("report-run", RUN_ID, "--label", "x", env={"PORT_HOOK_ORG": "a", "PORT_CLIENT_SECRET": "another-secret"})
    assert json.loads(port.requests[4].body)["clientSecret"] == "the-secret-of-a"


@pytest.mark.parametrize("variable", ["PORT_API_URL", "PORT_API_BASE_URL"])
def test_login_secret_is_not_sent_to_an_api_url_from_the_dotenv_file(
    run: Run, port: Handler, folder: Path, variable: str
) -> None:
    log_in(run, port)
    with handler(token_answer()) as other:
        (folder / ".env").write_text(f"{variable}={other.url}\n")
        (folder / ".env").chmod(0o600)
        result = run("report-run", RUN_ID, "--label", "x")
    assert result.code == ExitCode.SETTINGS
    assert f"only to {port.url}" in result.err
    assert other.requests == []


def test_login_secret_is_not_sent_to_another_api_url_from_the_environment(run: Run, port: Handler) -> None:
    log_in(run, port)
    with handler(token_answer()) as other:
        result = run("report-run", RUN_ID, "--label", "x", env={"PORT_API_URL": other.url})
    assert result.code == ExitCode.SETTINGS
    assert other.requests == []


def test_login_secret_is_not_used_with_another_client_id(run: Run, port: Handler) -> None:
    log_in(run, port)
    result = run("report-run", RUN_ID, "--label", "x", env={"PORT_CLIENT_ID": "another-id"})
    assert result.code == ExitCode.SETTINGS
    assert "does not belong to the client secret" in result.err
    assert len(port.requests) == 1


def test_login_adds_nothing_to_a_secret_from_another_place(run: Run, port: Handler) -> None:
    log_in(run, port)
    result = run("report-run", RUN_ID, "--label", "x", env={"PORT_CLIENT_SECRET": "another-secret"})
    assert result.code == ExitCode.SETTINGS
    assert "No client ID is set." in result.err


@pytest.mark.parametrize("place", ["environment", ".env", "~/.port/config.yaml"])
def test_every_other_place_comes_before_a_login(run: Run, port: Handler, folder: Path, place: str) -> None:
    log_in(run, port)
    variables = {"PORT_CLIENT_ID": "i", "PORT_CLIENT_SECRET": "of-the-place", "PORT_API_URL": port.url}
    home = folder.parent / "home"
    (home / ".port").mkdir()
    text = "".join(f"{name}={value}\n" for name, value in variables.items())
    files = {
        ".env": (folder / ".env", text),
        "~/.port/.env": (home / ".port" / ".env", text),
        "~/.port/config.yaml": (
            home / ".port" / "config.yaml",
            f"organizations: {{x: {{client_id: i, client_secret: of-the-place, api_url: '{port.url}'}}}}",
        ),
    }
    if place in files:
        path, content = files[place]
        path.write_text(content)
        path.chmod(0o600)
    run("report-run", RUN_ID, "--label", "x", env={} if place in files else variables)
    assert json.loads(port.requests[1].body)["clientSecret"] == "of-the-place"
    assert ("overrides this login" in log_in(run, port).err) is (place in files)


def test_logout_deletes_the_only_login(run: Run, port: Handler, logins: Path) -> None:
    log_in(run, port)
    assert run("logout").out == "Logged out of organization 'default'.\n"
    assert SECRET not in logins.read_text("utf-8")
    assert run("sign", "-", stdin=b"{}").code == ExitCode.SETTINGS
    again = run("logout")
    assert (again.code, again.out) == (ExitCode.OK, "")


def test_logout_needs_an_organization_when_several_are_saved(run: Run, port: Handler) -> None:
    for name in ("a", "b", "c"):
        log_in(run, port, name)
    assert run("logout").code == ExitCode.USAGE
    assert run("logout", "c", "--all").code == ExitCode.USAGE
    assert run("logout", "x").code == ExitCode.SETTINGS
    assert run("logout", "c", "--json").records[0]["type"] == "removed"
    assert "Several logins are saved (a, b), but none is the default" in run("sign", "-", stdin=b"{}").err
    assert run("logout", "--all").out.count("Logged out") == 2


@pytest.mark.parametrize(
    "content", ["", '{"schema": "port-hook/logins/1", "default": "a", "organizations": {"a": {"kept_in": "file"}}}']
)
def test_malformed_file_of_logins_is_reported_and_not_overwritten(
    run: Run, port: Handler, logins: Path, content: str
) -> None:
    logins.parent.mkdir(mode=0o700)
    logins.write_text(content)
    logins.chmod(0o600)
    result = run("sign", "-", stdin=b"{}")
    assert result.code == ExitCode.SETTINGS
    if content:
        assert log_in(run, port).code == ExitCode.SETTINGS
        assert logins.read_text() == content


def test_logins_file_is_not_used_when_others_can_write_it(run: Run, port: Handler, logins: Path) -> None:
    log_in(run, port)
    logins.chmod(0o666)
    result = run("sign", "-", stdin=b"{}")
    assert result.code == ExitCode.SETTINGS
    assert f"{logins} is not used: others on this machine can write it" in result.err


def test_login_json_prints_one_record_and_the_notes_on_stderr(run: Run, port: Handler) -> None:
    result = log_in(run, port, "--json", "production")
    (record,) = result.records
    assert (record["type"], record["organization"], record["is_default"]) == ("login", "production", True)
    assert SECRET not in result.out


def test_error_suggests_doctor_only_for_credentials_and_tunnels(runtime: Callable[..., Runtime]) -> None:
    for problem, names_doctor in (
        (SettingsError("x"), False),
        (CredentialsError("x"), True),
        (TunnelError("x"), True),
        (PortApiError("x"), True),
        (PortApiError("x", status=401), True),
        (PortApiError("x", status=404), False),
        (LoginRejectedError("x", status=401), False),
        (RunEndedError("x"), False),
        (ListenError("x"), False),
        (StoreError("x"), False),
    ):
        world = runtime()
        print_problem(problem, world)
        world.stderr.seek(0)
        assert ("port-hook doctor" in world.stderr.read()) is names_doctor


def test_errors_of_login_and_logout_do_not_suggest_doctor(run: Run) -> None:
    for command in (("login", "--client-id", "i", "--secret-file", "missing"), ("login",), ("logout", "acme")):
        result = run(*command)
        assert (result.code, "port-hook doctor" in result.err) == (ExitCode.SETTINGS, False)
