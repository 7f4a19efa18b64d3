"""`port-hook agent --poll`: shown runs, claimed runs, and messages about claimed runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.cli.agent_streams import confirm_claims
from port_hook_cli.cli.app import main
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.engines.encryption import encrypt_aes_gcm
from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.errors import UsageError
from port_hook_cli.runtime import Runtime
from port_hook_cli.sandbox import Sandbox
from port_hook_cli.sandbox.run import Phase
from port_hook_cli.text.secret import Secret
from tests.agent.scripted_port import ACK, CLAIM, ELSEWHERE, LIST, LOST, RUN, a_run, acknowledged, runs, scripted_port
from tests.conftest import Result, Run
from tests.sandboxes import a_sandbox, environ_of, one_node
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
    """Run `agent --poll` in a sandbox's environment, with a mapping without jq expressions."""
    (folder / "map.json").write_text("[{}]")

    def invoke(sandbox: Sandbox, *options: str) -> Result:
        return run("agent", "--poll", "--mapping", "map.json", *options, env=environ_of(sandbox))

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
        result = poll(sandbox, "--count", "1", "--response-status", "204")
    assert result.out.startswith(f"{run_id}  create_vm\n  message    action run {run_id}, from polling, synchronized\n")
    assert "if the response is 204" in result.out


def test_poll_with_raw_prints_one_request(poll: Poll) -> None:
    with waiting("http://127.0.0.1:1/") as (sandbox, _):
        result = poll(sandbox, "--count", "1", "--raw")
    assert result.out.startswith("POST / HTTP/1.1\r\nHost: 127.0.0.1:1\r\n")


def test_send_claims_acknowledges_sends_and_reports_as_the_agent_does(poll: Poll, receiver: Handler) -> None:
    with waiting(f"{receiver.url}/vm", 2) as (sandbox, started):
        result = poll(sandbox, "--send", "--report", "--count", "1", "--json")
        first, second = (sandbox.runs[each] for each in started)
        assert (first.invocation.phase, first.report.status, first.report.response) == (
            Phase.ACKED,
            "SUCCESS",
            {"id": 7},
        )
        assert second.invocation.phase in {Phase.PENDING, Phase.CLAIMABLE}
    (record,) = result.records
    assert (result.code, record["delivery"]["status"], len(receiver.requests)) == (0, 200, 1)
    assert "not reported by port-hook" not in result.err
    assert "not acknowledged" not in result.err


def test_unreported_run_is_shown_with_the_next_step(poll: Poll, receiver: Handler) -> None:
    with waiting(receiver.url) as (sandbox, (run_id,)):
        result = poll(sandbox, "--send", "--count", "1")
        assert (sandbox.runs[run_id].invocation.phase, sandbox.runs[run_id].report.status) == (
            Phase.ACKED,
            "IN_PROGRESS",
        )
    assert result.code == 0
    assert f"warning: port-hook does not report {run_id}" in result.err
    assert f"port-hook report-run {run_id} --status success" in result.err


def test_run_for_another_machine_is_shown_and_not_acknowledged(poll: Poll) -> None:
    with waiting(ELSEWHERE) as (sandbox, (run_id,)):
        result = poll(sandbox, "--send", "--report", "--count", "1")
        assert sandbox.runs[run_id].invocation.phase is Phase.CLAIMED
    assert result.code == ExitCode.USAGE
    assert f"POST {ELSEWHERE}" in result.out
    assert "which is not on this machine, so nothing was sent" in result.err
    assert f"warning: {run_id} was claimed, but not acknowledged." in result.err


def test_missing_response_sets_the_exit_code(poll: Poll) -> None:
    with waiting("http://127.0.0.1:1/") as (sandbox, (run_id,)):
        result = poll(sandbox, "--send", "--report", "--count", "1")
        assert sandbox.runs[run_id].report.status == "FAILURE"
    assert result.code == ExitCode.TARGET


def test_poll_claims_node_runs_of_workflows_only_to_send_them(poll: Poll, receiver: Handler) -> None:
    workflow = one_node(type="WEBHOOK", url=receiver.url, agent=True, synchronized=True, body={"a": 1})
    with Renderer() as renderer, a_sandbox(workflows=[workflow], renders=renderer) as sandbox:
        with a_client(sandbox) as client:
            client.post("/v1/workflows/one/runs", json={"inputs": {}})
        result = poll(sandbox, "--send", "--report", "--count", "1", "--json")
    (record,) = result.records
    assert (result.code, record["subject"], record["delivery"]["status"]) == (0, "workflow node run", 200)
    sent = json.loads(receiver.requests[0].body)
    assert (sent["a"], sent["payload"]["action"]["invocationMethod"]["body"]) == (1, {"a": 1})


def test_lost_run_is_not_sent(run: Run, receiver: Handler) -> None:
    with scripted_port({CLAIM: [runs(a_run(receiver.url))], ACK: [acknowledged(0)]}) as port:
        result = run("agent", "--poll", "--send", "--count", "1", env=port.environ)
    assert (result.code, receiver.requests) == (0, [])
    assert f"note: another agent acknowledged {RUN} first, so nothing was sent" in result.err


def test_warning_shows_the_run_when_its_acknowledgment_or_report_is_lost(run: Run, receiver: Handler) -> None:
    script = {CLAIM: [runs(a_run(receiver.url))], ACK: [LOST, acknowledged(1)]}
    with scripted_port({**script, f"PATCH /v1/actions/runs/{RUN}": [LOST]}) as port:
        result = run("agent", "--poll", "--send", "--report", "--count", "2", env=port.environ)
    assert (result.code, len(receiver.requests)) == (ExitCode.PORT_API, 1)
    assert (
        f"warning: port-hook does not know whether {RUN} was acknowledged, so it did not send the request."
        in result.err
    )
    assert f"warning: port-hook does not report {RUN}, and no other agent gets it." in result.err
    assert result.err.count(f"hint: To report it: port-hook report-run {RUN}") == 2
    assert "another agent" not in result.err


def test_text_of_port_is_made_safe_for_the_terminal(run: Run) -> None:
    hostile = {"id": "r_\x1b[31m\u202e", "action": {"identifier": "a\x1b]0;b\x07"}, "createdAt": "\x1b[1m"}
    good = {**a_run("http://127.0.0.1:1/\x1b[2J"), **hostile}
    bad = {**good, "id": "r_\x1b[32m", "payload": {**good["payload"], "body": "\x1b"}}
    with scripted_port({LIST: [runs(good, bad, hostile)]}) as port:
        result = run("agent", "--poll", "--count", "2", env=port.environ)
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
        assert main(("agent", "--poll", "--mapping", "map.json", "--count", "1"), world) == 0
    assert world.memory.secrets == {secret.reveal(), "t"}


# Rejected options.


def test_poll_rejects_contradictory_and_unconfirmed_options(run: Run) -> None:
    for options, message in (
        (("--poll", "--send"), "so a running execution agent does not get them"),
        (("--poll", "--send", "--take-over"), "cannot ask for confirmation because this is not a terminal"),
        (("--poll", "--take-over"), "No run is claimed without --poll and --send, so --take-over has no effect"),
        (("--kafka", "--send", "--take-over"), "No run is claimed without --poll and --send"),
        (("--poll", "--yes"), "Nothing needs confirmation without --take-over"),
        (("--poll", "--kafka"), "Use either --kafka or --poll, not both"),
        (("last", "--poll"), "Use either a MESSAGE or --poll, not both"),
        (("--poll", "--check", "m.json"), "Use either --check or --poll, not both"),
        (("--poll", "--transport", "kafka"), "Use either --poll or --transport kafka, not both"),
        (("--kafka", "--transport", "polling"), "Use either --kafka or --transport polling, not both"),
        (("--poll", "--raw"), "--raw prints only one request, but more messages may arrive"),
        (("last", "--count", "2"), "No messages arrive without --kafka or --poll"),
        (("last", "--since", "2h"), "No messages arrive without --kafka or --poll"),
        (("--poll", "--send", "--since", "2h"), "Runs of any age are claimed"),
        (("--poll", "--since", "soon"), "soon"),
    ):
        env = {
            "PORT_CLIENT_SECRET": "0123456789abcdef",
            "PORT_CLIENT_ID": "id",
            "PORT_API_URL": "https://127.0.0.2.example",
        }
        result = run("agent", *options, env=env)
        assert (result.code, result.out) == (ExitCode.USAGE, "")
        assert message in result.err


def test_polling_ends_when_port_rejects_the_credentials(run: Run) -> None:
    with a_sandbox() as sandbox:
        result = run("agent", "--poll", env={**environ_of(sandbox), "PORT_CLIENT_ID": "another"})
    assert result.code == ExitCode.PORT_API
    assert "Traceback" not in result.err


def test_claims_are_rejected_with_a_mapping_file_from_the_current_directory(
    run: Run, folder: Path, receiver: Handler
) -> None:
    (folder / "control_the_payload_config.json").write_text("[{}]")
    with waiting(receiver.url) as (sandbox, (run_id,)):
        result = run("agent", "--poll", "--send", "--count", "1", env=environ_of(sandbox))
        assert sandbox.runs[run_id].invocation.phase in {Phase.PENDING, Phase.CLAIMABLE}
    assert (result.code, receiver.requests) == (ExitCode.USAGE, [])


# The confirmation before port-hook claims runs instead of a running agent.


class Asked:
    """Replies to questions, and records them."""

    def __init__(self, answer: bool) -> None:
        self._answer, self.questions = answer, list[str]()

    async def __call__(self, question: str) -> bool:
        self.questions.append(question)
        return self._answer


async def test_runs_are_claimed_from_port_only_after_a_yes() -> None:
    user = Asked(True)
    await confirm_claims(PORT, take_over=True, yes=False, ask=user)
    (question,) = user.questions
    assert (
        "claims runs from https://api.port.io, so a running execution agent does not get them. Take over?" in question
    )
    with pytest.raises(UsageError, match=r"^No run was claimed\.$"):
        await confirm_claims(PORT, take_over=True, yes=False, ask=Asked(False))


async def test_runs_are_not_claimed_from_port_without_take_over_or_a_terminal() -> None:
    with pytest.raises(UsageError, match="does not get them") as caught:
        await confirm_claims(PORT, take_over=False, yes=False, ask=Asked(True))
    assert "add --take-over" in caught.value.hint
    with pytest.raises(UsageError, match="cannot ask for confirmation because this is not a terminal"):
        await confirm_claims(PORT, take_over=True, yes=False, ask=None)


async def test_claims_need_no_confirmation_for_a_sandbox_or_with_yes() -> None:
    for api_url, take_over, yes in (("http://127.0.0.1:8790", False, False), (PORT, True, True)):
        await confirm_claims(api_url, take_over=take_over, yes=yes, ask=None)
