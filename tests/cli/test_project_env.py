"""An untrusted `.env` in the current directory: what it cannot do, what it can do, and the messages about it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.retarget.entry import Entry, write_entry
from tests.conftest import Run
from tests.factories import RUN_ID
from tests.port_answers import REFUSED, token_answer
from tests.retargets import an_action
from tests.sandboxes import a_sandbox, environ_of
from tests.servers import Handler, handler

REAL = "the-real-client-secret-of-the-user"
REPORT = ("report-run", RUN_ID, "--status", "success")
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX")


@pytest.fixture
def untrusted() -> Iterator[Handler]:
    """A server that accepts every POST request."""
    with handler(token_answer()) as server:
        yield server


@pytest.fixture
def port_home(folder: Path) -> Path:
    path = folder.parent / "home" / ".port"
    path.mkdir()
    return path


def write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


# --- where the secret goes ------------------------------------------------------------------------------------------


def test_secret_of_the_environment_is_not_sent_to_an_api_url_from_the_dotenv_file(
    run: Run, folder: Path, untrusted: Handler
) -> None:
    for variable in ("PORT_API_URL", "PORT_API_BASE_URL"):
        write(folder / ".env", f"{variable}={untrusted.url}\n")
        result = run(*REPORT, env={"PORT_CLIENT_ID": "i", "PORT_CLIENT_SECRET": REAL})
        assert (result.code, result.out, untrusted.requests) == (ExitCode.SETTINGS, "", [])
        assert "note: using" not in result.err
        assert (
            "error: port-hook does not send the client secret (PORT_CLIENT_SECRET in the environment) to" in result.err
        )
        assert f"to {untrusted.url}, because this URL comes only from {variable} in ./.env." in result.err
        assert f"it. Otherwise unset PORT_CLIENT_SECRET, or export {variable} if you trust it.\n" in result.err
        assert REAL not in result.err


@pytest.mark.parametrize("place", ["home", "secret-file", "yaml", "org"])
def test_secret_of_the_home_is_not_sent_to_an_api_url_from_the_dotenv_file(
    run: Run, folder: Path, port_home: Path, untrusted: Handler, place: str
) -> None:
    write(folder / ".env", f"PORT_CLIENT_ID=i\nPORT_API_URL={untrusted.url}\nPORT_CLIENT_SECRET=of-someone-else\n")
    options: tuple[str, ...] = ()
    if place == "home":
        write(folder / ".env", f"PORT_API_URL={untrusted.url}\n")
        write(port_home / ".env", f"PORT_CLIENT_ID=i\nPORT_CLIENT_SECRET={REAL}\n")
    elif place == "secret-file":
        write(folder / "secret", REAL)
        options = ("--secret-file", "secret")
    else:
        write(port_home / "config.yaml", f"organizations: {{a: {{client_id: i, client_secret: {REAL}}}}}")
        if place == "org":
            options = ("--org", "a")
        else:
            write(folder / ".env", f"PORT_API_URL={untrusted.url}\n")
    result = run(*REPORT, *options)
    assert (result.code, untrusted.requests) == (ExitCode.SETTINGS, [])
    assert "because this URL comes only from PORT_API_URL in ./.env." in result.err


def test_no_command_sends_the_secret_to_an_api_url_from_the_dotenv_file(
    run: Run, folder: Path, untrusted: Handler
) -> None:
    for arguments in (
        ("trigger", "create_vm", "--via-port"),
        ("trigger", "create_vm", "--to", "9"),
        ("replay", RUN_ID, "--to", "9"),
        ("listen", "--port", "0", "--tunnel", "none", "--retarget", "create_vm", "--yes"),
    ):
        write(folder / ".env", f"PORT_API_URL={untrusted.url}\n")
        result = run(*arguments, env={"PORT_CLIENT_ID": "i", "PORT_CLIENT_SECRET": REAL})
        assert (result.code, untrusted.requests) == (ExitCode.SETTINGS, [])


def test_restore_does_not_send_the_secret_to_an_api_url_from_the_dotenv_file(
    run: Run, folder: Path, untrusted: Handler
) -> None:
    journal = folder.parent / "home" / ".port-hook" / "retargets"
    journal.mkdir(parents=True)
    entry = Entry(identifier="create_vm", api_url=untrusted.url, original=an_action())
    (journal / "a.json").write_text(write_entry(entry))
    write(folder / ".env", f"PORT_API_URL={untrusted.url}\n")
    result = run("restore", "--yes", env={"PORT_CLIENT_ID": "i", "PORT_CLIENT_SECRET": REAL})
    assert (result.code, untrusted.requests) == (ExitCode.SETTINGS, [])


def test_api_url_and_secret_of_the_same_file_are_used_and_reported(run: Run, folder: Path) -> None:
    with a_sandbox(runs=[RUN_ID]) as sandbox:
        write(folder / ".env", "".join(f"export {name}={value}\n" for name, value in environ_of(sandbox).items()))
        result = run(*REPORT, "--json")
    assert result.code == ExitCode.OK
    assert result.err == "note: client secret from ./.env\nnote: using PORT_API_URL from ./.env\n"
    assert len(result.records) == 1


def test_exported_secret_equal_to_the_dotenv_secret_is_sent_to_its_api_url(run: Run, folder: Path) -> None:
    with a_sandbox(runs=[RUN_ID]) as sandbox:
        environ = environ_of(sandbox)
        write(folder / ".env", "".join(f"export {name}={value}\n" for name, value in environ.items()))
        result = run(*REPORT, env={"PORT_CLIENT_SECRET": environ["PORT_CLIENT_SECRET"]})
    assert (result.code, result.err) == (ExitCode.OK, "note: using PORT_API_URL from ./.env\n")


def test_plain_http_to_another_machine_is_rejected_unless_the_environment_allows_it(
    run: Run, untrusted: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", untrusted.url)  # through which httpx reaches a nonexistent host
    env = {"PORT_CLIENT_ID": "i", "PORT_CLIENT_SECRET": REAL, "PORT_API_URL": "http://api.example"}
    result = run(*REPORT, env=env)
    assert (result.code, untrusted.requests) == (ExitCode.SETTINGS, [])
    assert (
        "does not send the client secret to http://api.example (PORT_API_URL in the environment) because plain http"
        in result.err
    )
    assert "set PORT_HOOK_INSECURE_API=1" in result.err
    result = run(*REPORT, env={**env, "PORT_HOOK_INSECURE_API": "1"})
    assert "warning: PORT_HOOK_INSECURE_API is set, so anyone on the network" in result.err
    assert untrusted.requests[0].line == "POST http://api.example/v1/auth/access_token HTTP/1.1"


@pytest.mark.parametrize("value", ["", "0"])
def test_no_file_can_allow_plain_http(
    value: str, run: Run, folder: Path, home: Path, untrusted: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", untrusted.url)
    env = {"PORT_CLIENT_ID": "i", "PORT_CLIENT_SECRET": REAL, "PORT_API_URL": "http://api.example"}
    for file in (folder / ".env", home / ".port" / ".env"):
        file.parent.mkdir(exist_ok=True)
        write(file, "PORT_HOOK_INSECURE_API=1\n")
    assert run(*REPORT, env={**env, "PORT_HOOK_INSECURE_API": value}).code == ExitCode.SETTINGS
    assert untrusted.requests == []


@pytest.mark.parametrize(
    ("variable", "value", "url"),
    [
        ("PORT_HOOK_INSECURE_API", "yes", "http://api.example"),
        ("PORT_HOOK_API_TIMEOUT", "0", "http://127.0.0.1:9"),
    ],
)
def test_wrong_variable_for_calls_of_the_api_is_an_error(run: Run, variable: str, value: str, url: str) -> None:
    env = {"PORT_CLIENT_ID": "i", "PORT_CLIENT_SECRET": REAL, "PORT_API_URL": url, variable: value}
    result = run(*REPORT, env=env)
    assert (result.code, result.out) == (ExitCode.SETTINGS, "")
    assert result.err.startswith(f"error: {variable} is ")


def test_dotenv_file_cannot_choose_the_files_of_the_home(run: Run, folder: Path, port_home: Path) -> None:
    write(
        port_home / "config.yaml", "default_org: a\norganizations: {a: {client_secret: of-a}, b: {client_secret: of-b}}"
    )
    write(folder / "other.yaml", "organizations: {x: {client_secret: of-x}}")
    write(folder / ".env", "PORT_CONFIG_FILE=other.yaml\nPORT_DEFAULT_ORG=b\n")
    signed = run("sign", "-", "--timestamp", "1", stdin=b"{}")
    assert signed.out == run("sign", "-", "--timestamp", "1", stdin=b"{}", env={"PORT_CLIENT_SECRET": "of-a"}).out


# --- which secret verifies ------------------------------------------------------------------------------------------


def test_sign_prints_a_note_when_its_secret_comes_from_the_dotenv_file(run: Run, folder: Path) -> None:
    write(folder / ".env", "PORT_CLIENT_SECRET=of-the-folder\n")
    assert run("sign", "-", stdin=b"{}").err == "note: client secret from ./.env\n"


def test_listen_prints_the_source_of_its_secret_once(run: Run, folder: Path) -> None:
    for place, env, options in (
        ("./.env", {}, ()),
        ("the environment", {"PORT_CLIENT_SECRET": REAL}, ()),
        ("--secret-file secret", {}, ("--secret-file", "secret")),
    ):
        write(folder / "secret", REAL)
        write(folder / ".env", f"PORT_CLIENT_SECRET={REAL}\n")
        result = run("listen", "--port", "0", "--tunnel", "none", "--stop-after", "0", "--json", *options, env=env)
        assert f"Secret        from {place}\n" in result.err
        assert result.err.lower().count("secret ") == 1
        assert {record["type"] for record in result.records} == {"ready", "summary"}


def test_dotenv_secret_different_from_the_home_is_reported(run: Run, folder: Path, port_home: Path) -> None:
    write(folder / ".env", "PORT_CLIENT_SECRET=of-the-folder\n")
    write(port_home / ".env", f"PORT_CLIENT_SECRET={REAL}\n")
    result = run("sign", "-", stdin=b"{}")
    told = f"differs from the client secret in {port_home / '.env'}. port-hook uses the secret in ./.env\n"
    assert f"warning: PORT_CLIENT_SECRET in ./.env {told}" in result.err


def test_dotenv_secret_different_from_the_organization_is_reported_when_the_configuration_is_read(
    run: Run, folder: Path, port_home: Path
) -> None:
    write(port_home / "config.yaml", f"organizations: {{a: {{client_id: i, client_secret: {REAL}}}}}")
    # An API that rejects the request immediately. port-hook would call an unreachable API five times.
    with handler(REFUSED) as port:
        write(folder / ".env", f"PORT_CLIENT_SECRET=of-the-folder\nPORT_API_URL={port.url}\n")
        assert "warning" not in run("sign", "-", stdin=b"{}").err
        result = run("trigger", "create_vm", "--via-port")
    assert f"differs from the client secret in organization a of {port_home / 'config.yaml'}" in result.err


def test_unreadable_file_is_ignored_when_it_is_only_compared(run: Run, folder: Path, port_home: Path) -> None:
    for content in (b"PORT_CLIENT_SECRET=\xff", b"PORT_CLIENT_SECRET='unclosed\n"):
        (port_home / ".env").write_bytes(content)
        write(folder / ".env", "PORT_CLIENT_SECRET=of-the-folder\n")
        assert run("sign", "-", stdin=b"{}").code == ExitCode.OK
        (folder / ".env").write_bytes(content)
        assert run("sign", "-", stdin=b"{}", env={"PORT_CLIENT_SECRET": REAL}).code == ExitCode.OK


# --- files that others may have written -----------------------------------------------------------------------------


@POSIX
def test_dotenv_file_is_not_used_when_others_can_write_it(run: Run, folder: Path) -> None:
    write(folder / ".env", "PORT_CLIENT_SECRET=of-the-folder\nPORT_HOOK_LISTEN_VERIFY=strict\n")
    (folder / ".env").chmod(0o666)
    result = run("sign", "-", stdin=b"{}")
    assert result.code == ExitCode.SETTINGS
    warning = (
        "warning: ./.env is not used: others on this machine can write it. Check its content, then chmod 600 ./.env"
    )
    assert result.err.splitlines()[0] == warning
    assert result.err.count("warning") == 1
    assert "No client secret is set. ./.env was not used." in result.err
    result = run("sign", "-", stdin=b"{}", env={"PORT_CLIENT_SECRET": REAL})
    assert result.out.startswith("x-port-signature: ")


@POSIX
def test_configuration_is_not_used_when_others_can_write_it(run: Run, port_home: Path) -> None:
    path = port_home / "config.yaml"
    path.write_text("organizations: {a: {client_secret: s}}")
    path.chmod(0o602)
    result = run("sign", "-", stdin=b"{}")
    assert result.code == ExitCode.SETTINGS
    assert f"warning: {path} is not used: others on this machine can write it" in result.err
    result = run("sign", "-", "--org", "a", stdin=b"{}")
    assert result.code == ExitCode.SETTINGS
    assert f"error: {path} is not used: others on this machine can write it" in result.err


@POSIX
def test_file_without_port_variables_may_belong_to_anyone(run: Run, folder: Path) -> None:
    (folder / ".env").write_text("DATABASE_URL=x\n")
    (folder / ".env").chmod(0o666)
    assert run("sign", "-", stdin=b"{}", env={"PORT_CLIENT_SECRET": REAL}).err == ""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
def test_command_does_not_wait_for_a_pipe_instead_of_the_dotenv_file(run: Run, folder: Path) -> None:
    os.mkfifo(folder / ".env")
    result = run("sign", "-", stdin=b"{}", env={"PORT_CLIENT_SECRET": REAL})
    assert result.code == ExitCode.OK
    assert result.err == "warning: ./.env is not used: it is not a regular file\n"


def test_file_of_more_than_64_kib_is_not_used(run: Run, folder: Path) -> None:
    write(folder / ".env", "PORT_CLIENT_SECRET=of-the-folder\n" + "#" * 2**20)
    result = run("sign", "-", stdin=b"{}")
    assert result.code == ExitCode.SETTINGS
    assert "warning: ./.env is not used: it is larger than 64 KiB\n" in result.err
