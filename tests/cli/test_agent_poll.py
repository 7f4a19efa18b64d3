"""`port-hook port-agent --poll`: shown runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.cli.app import main
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.engines.encryption import encrypt_aes_gcm
from port_hook_cli.runtime import Runtime
from port_hook_cli.sandbox import Sandbox
from port_hook_cli.sandbox.run import Phase
from port_hook_cli.text.secret import Secret
from tests.agent.scripted_port import LIST, a_run, runs, scripted_port
from tests.conftest import Result, Run
from tests.sandboxes import a_sandbox, environ_of
from tests.servers import NO_TLS, Handler, handler

Poll: TypeAlias = Callable[..., Result]
PORT = "https://api.port.io"


@pytest.fixture
def receiver() -> Iterator[Handler]:
    with handler(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n" + b'{"id": 7}'
    ) as it:
        yield it


@contextmanager
def a_client(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.url, verify=NO_TLS) as client:
        credentials = {"clientId": sandbox.client_id, "clientSecret": sandbox.client_secret.reveal()}
        token = client.post("/v1/auth/access_token", json=credentials).json()["accessToken"]
        client.headers["authorization"] = f"Bearer {token}"
        yield client


@pytest.fixture
def poll(run: Run, folder: Path) -> Poll:
    """Run `port-agent --poll` in a sandbox's environment, with a mapping without jq expressions."""
    (folder / "map.json").write_text("[{}]")

    def invoke(sandbox: Sandbox, *options: str) -> Result:
        return run("port-agent", "--poll", "--mapping", "map.json", *options, env=environ_of(sandbox))

    return invoke


def an_action(url: str, **changes: Any) -> dict[str, Any]:
    method = {"type": "WEBHOOK", "agent": True, "synchronized": True, "url": url, **changes}
    return {**create_vm_action(), "invocationMethod": method}


@contextmanager
def waiting(url: str, count: int = 1, **changes: Any) -> Iterator[tuple[Sandbox, list[str]]]:
    """Yield a sandbox and the IDs of runs that wait for the agent."""
    with a_sandbox(actions=[an_action(url, **changes)]) as sandbox, a_client(sandbox) as client:
        body = {"properties": {"title": "zoë"}}
        started = [client.post("/v1/actions/create_vm/runs", json=body).json()["run"]["id"] for _ in range(count)]
        yield sandbox, started


def test_poll_shows_the_runs_in_progress_without_claiming_them(poll: Poll) -> None:
    with waiting("http://127.0.0.1:1/", 2) as (sandbox, started):
        result = poll(sandbox, "--count", "2", "--json")
        assert {sandbox.runs[each].invocation.phase for each in started} <= {Phase.PENDING, Phase.CLAIMABLE}
    assert result.code == 0
    assert [record["run_id"] for record in result.records] == started
    assert {(record["type"], record["transport"], record["kafka"]) for record in result.records} == {
        ("prediction", "polling", None)
    }
    assert "without claiming them." in result.err
    assert "Stop with Ctrl-C." in result.err


def test_poll_shows_runs_as_text_below_their_action(poll: Poll) -> None:
    with waiting("http://127.0.0.1:1/") as (sandbox, (run_id,)):
        result = poll(sandbox, "--count", "1", "--response", "204")
    assert result.out.startswith(f"{run_id}  create_vm\n  message    action run {run_id}, from polling, synchronized\n")
    assert "if the response is 204" in result.out


def test_poll_with_raw_prints_one_request(poll: Poll) -> None:
    with waiting("http://127.0.0.1:1/") as (sandbox, _):
        result = poll(sandbox, "--count", "1", "--raw")
    assert result.out.startswith("POST / HTTP/1.1\r\nHost: 127.0.0.1:1\r\n")


def test_text_of_port_is_made_safe_for_the_terminal(run: Run) -> None:
    hostile = {"id": "r_\x1b[31m\u202e", "action": {"identifier": "a\x1b]0;b\x07"}, "createdAt": "\x1b[1m"}
    good = {**a_run("http://127.0.0.1:1/\x1b[2J"), **hostile}
    bad = {**good, "id": "r_\x1b[32m", "payload": {**good["payload"], "body": "\x1b"}}
    with scripted_port({LIST: [runs(good, bad, hostile)]}) as port:
        result = run("port-agent", "--poll", "--count", "2", env=port.environ)
    assert result.code == 0
    assert "r_\\x1b[31m\\u202e  a\\x1b]0;b\\x07\n" in result.out
    assert not {"\x1b", "\x07", "\u202e"} & set(result.out + result.err)


def test_repeated_secret_is_masked_in_a_crash_report(runtime: Callable[..., Runtime], folder: Path) -> None:
    secret = Secret("0123456789abcdef" * 2)
    mapping = {"fieldsToDecryptPaths": ["key", "other"]}
    (folder / "map.json").write_text(json.dumps([mapping]))
    texts = {"key": secret.reveal().encode(), "other": b"a value of this run"}
    document = a_run()
    document["payload"]["body"] = {name: encrypt_aes_gcm(secret, text) for name, text in texts.items()}
    with scripted_port({LIST: [runs(document)]}) as port:
        world = runtime(env={**port.environ, "PORT_CLIENT_SECRET": secret.reveal()})
        assert main(("port-agent", "--poll", "--mapping", "map.json", "--count", "1"), world) == 0
    assert world.memory.secrets == {secret.reveal(), "t"}


# Rejected options.


def test_poll_rejects_contradictory_options(run: Run) -> None:
    for options, message in (
        (("--poll", "--send"), "Use either --send or --poll, not both"),
        (("--poll", "--kafka"), "Use either --kafka or --poll, not both"),
        (("last", "--poll"), "Use either a MESSAGE or --poll, not both"),
        (("--poll", "--check", "m.json"), "Use either --check or --poll, not both"),
        (("--poll", "--transport", "kafka"), "Use either --poll or --transport kafka, not both"),
        (("--kafka", "--transport", "polling"), "Use either --kafka or --transport polling, not both"),
        (("--poll", "--raw"), "--raw prints only one request, but more messages may arrive"),
        (("last", "--count", "2"), "No messages arrive without --kafka or --poll"),
        (("last", "--since", "2h"), "No messages arrive without --kafka or --poll"),
        (("--poll", "--since", "soon"), "soon"),
    ):
        env = {
            "PORT_CLIENT_SECRET": "0123456789abcdef",
            "PORT_CLIENT_ID": "id",
            "PORT_API_URL": "https://127.0.0.2.example",
        }
        result = run("port-agent", *options, env=env)
        assert (result.code, result.out) == (ExitCode.USAGE, "")
        assert message in result.err


def test_polling_ends_when_port_rejects_the_credentials(run: Run) -> None:
    with a_sandbox() as sandbox:
        result = run("port-agent", "--poll", env={**environ_of(sandbox), "PORT_CLIENT_ID": "another"})
    assert result.code == ExitCode.PORT_API
    assert "Traceback" not in result.err
