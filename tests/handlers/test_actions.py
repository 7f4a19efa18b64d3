"""Typical handlers of actions, run unchanged against the sandbox, `trigger` and `listen`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from port_hook_cli.cli.exit_codes import ExitCode
from tests.conftest import Run
from tests.factories import a_body, a_document, now_signed
from tests.handlers.handlers import (
    ACTION,
    SIGNED_ALONE,
    Records,
    a_program,
    a_sandbox_process,
    environ_for,
    point,
    run_program,
    start,
    until,
)
from tests.processes import listener

VM = ("--input", "title=zoë")


def shown_run(client: Any, run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/actions/runs/{run_id}").json()["run"]
    return found


def responded(sandbox: Records, client: httpx.Client, **inputs: Any) -> tuple[str, dict[str, Any]]:
    """Start a run of the sample action. Return what the sandbox notes about the response, and the run."""
    run_id = start(client, **inputs)
    note = until(sandbox, run_id, lambda note: note.startswith("responded"))
    return note, shown_run(client, run_id)


# The operation and the inputs, where published handlers read them: `payload.action.trigger`, `payload.properties`.


def test_sandbox_sends_the_operation_and_the_inputs_where_handlers_read_them(
    sandbox: Records, client: httpx.Client
) -> None:
    with a_program("operation_and_properties.py") as url:
        point(client, url, synchronized=True)
        _, created = responded(sandbox, client, title="zoë", cpu=4)
        assert (created["status"], created["response"]) == ("SUCCESS", {"created": "zoë", "cpu": 4})
        point(client, url, operation="DAY-2", synchronized=True)
        _, changed = responded(sandbox, client, title="zoë")
        assert changed["response"] == {"error": "cannot do DAY-2"}


# A handler that divides the timestamp by 1000.


@pytest.mark.parametrize("command", ["trigger", "replay"])
def test_handler_of_milliseconds_gets_the_hint_and_works_with_it(run: Run, folder: Path, command: str) -> None:
    (folder / "payload.json").write_bytes(a_body())
    what = (ACTION, *VM) if command == "trigger" else ("payload.json", "--expect-status", "200")
    with a_program("millisecond_clock.py") as url:
        refused = run(command, *what, "--to", url, env=SIGNED_ALONE)
        accepted = run(command, *what, "--to", url, "--timestamp-unit", "ms", env=SIGNED_ALONE)
    assert refused.code == ExitCode.FAILED
    assert "`port-hook check " in " ".join((refused.out + refused.err).split())
    assert (accepted.code, accepted.err.count("error")) == (ExitCode.OK, 0)


def test_sandbox_hint_has_the_option_for_a_handler_of_milliseconds(
    sandbox: Records, client: httpx.Client, tmp_path: Path
) -> None:
    with a_program("millisecond_clock.py", env=environ_for(sandbox.ready)) as url:
        point(client, url, synchronized=True)
        note, _ = responded(sandbox, client, title="x")
    assert note.startswith("responded 400")
    assert note.endswith("try `port-hook sandbox --timestamp-unit ms`.")
    with (
        a_sandbox_process(tmp_path, "--timestamp-unit", "ms") as other,
        other.client() as its_client,
        a_program("millisecond_clock.py", env=environ_for(other.ready)) as url,
    ):
        point(its_client, url, synchronized=True)
        note, _ = responded(other, its_client, title="x")
        assert note.startswith("responded 200")
        assert "--timestamp-unit" not in note


# A handler that reports the run by `context.runId`, after it has responded.


def test_sandbox_ends_a_run_reported_by_context_run_id(sandbox: Records, client: httpx.Client) -> None:
    with a_program("reports_by_ids.py", "reference", env=environ_for(sandbox.ready)) as url:
        point(client, url)
        run_id = start(client, title="x")
        until(sandbox, run_id, lambda note: note.startswith("ended"))
        found = shown_run(client, run_id)
        assert (found["status"], found["summary"]) == ("SUCCESS", "done")


# An AWS Lambda function behind a function URL.


@pytest.mark.parametrize(("title", "status"), [("zoë", "SUCCESS"), ("taken", "FAILURE")])
def test_sandbox_ends_a_synchronized_run_by_the_response_of_a_lambda_function(
    sandbox: Records, client: httpx.Client, title: str, status: str
) -> None:
    with a_program("lambda_runtime.py", env=environ_for(sandbox.ready)) as url:
        point(client, f"{url}/vms?stage=dev", synchronized=True)
        _, found = responded(sandbox, client, title=title)
    response = {"arn": "arn:vm/zoë"} if status == "SUCCESS" else "the name is taken"
    assert (found["status"], found["response"]) == (status, response)


def test_trigger_and_listen_reach_a_lambda_function(folder: Path, run: Run) -> None:
    with a_program("lambda_runtime.py") as url, listener(folder, "--forward-to", url) as listening:
        assert run("trigger", ACTION, "--to", url, *VM, env=SIGNED_ALONE).code == 0
        through = run("trigger", ACTION, "--to", str(listening.ready["url"]), *VM, env=SIGNED_ALONE)
        assert (through.code, "arn:vm/zoë" in through.out) == (0, True)
        assert listening.record()["verdict"]["status"] == "valid"
        taken = a_document(payload={**a_document()["payload"], "properties": {"title": "taken"}})
        assert listening.post(a_body(taken), now_signed(a_body(taken)))[0] == 409


# Node with `crypto` and the raw body.


def test_node_verifies_and_reserializes_requests_of_sandbox_trigger_and_listen(
    sandbox: Records, client: httpx.Client, tmp_path: Path, run: Run
) -> None:
    with a_program("express_like.js", env=environ_for(sandbox.ready)) as url:
        point(client, url, synchronized=True)
        _, found = responded(sandbox, client, title="zoë \u2028", cpu=2)
        assert found["response"] == {"title": "zoë \u2028", "isStable": True}
        triggered = run("trigger", ACTION, "--to", url, *VM, env=environ_for(sandbox.ready))
        assert (triggered.code, '"isStable": true' in triggered.out) == (0, True)
    with (
        a_program("express_like.js") as url,
        listener(tmp_path, "--forward-to", url) as listening,
    ):
        assert listening.post(a_body(), now_signed(a_body()))[0] == 200


# Port's execution agent in its polling mode.


@pytest.mark.parametrize(
    ("title", "synchronized"),
    [
        ("zoë", True),
        ("taken", False),
        pytest.param("zoë", False, marks=pytest.mark.extended),
        pytest.param("taken", True, marks=pytest.mark.extended),
    ],
)
def test_agent_claims_sends_and_reports_the_runs_of_an_action(
    sandbox: Records, client: httpx.Client, title: str, synchronized: bool
) -> None:
    environ = environ_for(sandbox.ready)
    with a_program("synchronous_node.py") as url:
        path = "/empty" if title == "zoë" else "/failing"
        point(client, url + path, agent=True, synchronized=synchronized)
        run_id = start(client, title=title)
        until(sandbox, run_id, lambda note: "agent" in note)
        calls = [line for line in run_program("agent_actions.py", env=environ) if "access_token" not in line]
        found, logs = shown_run(client, run_id), client.get(f"/v1/actions/runs/{run_id}/logs").json()["runLogs"]
    answered = 200 if title == "zoë" else 503
    assert calls[:3] == [
        "PATCH /v1/organization 200",
        "POST /v1/actions/runs/claim-pending 200",
        "PATCH /v1/actions/runs/ack 200",
    ]
    assert f"POST {url}{path} {answered}" in calls
    assert logs[0]["message"] == "An action message has been received"
    expected = "FAILURE" if answered == 503 else "SUCCESS" if synchronized else "IN_PROGRESS"
    assert found["status"] == expected
    # The published agent reports a failure twice. The run has ended with the first.
    assert [call for call in calls if call.startswith(f"PATCH /v1/actions/runs/{run_id} ")] == {
        "FAILURE": [f"PATCH /v1/actions/runs/{run_id} 200", f"PATCH /v1/actions/runs/{run_id} 422"],
        "SUCCESS": [f"PATCH /v1/actions/runs/{run_id} 200"],
        "IN_PROGRESS": [],
    }[expected]


def test_listen_recognizes_the_agents_requests(sandbox: Records, client: httpx.Client, folder: Path) -> None:
    with listener(folder, env={"PORT_CLIENT_SECRET": sandbox.ready["client_secret"]}) as listening:
        point(client, str(listening.ready["url"]), agent=True, synchronized=True)
        run_id = start(client, title="zoë")
        until(sandbox, run_id, lambda note: "agent" in note)
        run_program("agent_actions.py", env=environ_for(sandbox.ready))
        record = listening.record()
        found = shown_run(client, run_id)
    assert (record["run_id"], record["verdict"]["status"]) == (run_id, "reencoded")
    assert (found["status"], found["response"]) == ("SUCCESS", {"ok": True})
