"""`agent` predicts, byte for byte and call for call, the calls of a simulated execution agent to the sandbox.

The simulation is like the agent of May 2026, but it replaces `payload` and `context` in the body, which the agent
merges, and writes other logs. tests/prediction covers both.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import httpx
import pytest

from port_hook_cli.engines.agent_jq import AgentJq
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.prediction.message import AgentTransport, AgentVersion
from port_hook_cli.prediction.prediction import Prediction
from port_hook_cli.prediction.response import AgentResponse
from port_hook_cli.text.secret import Secret
from tests.handlers.handlers import (
    Records,
    environ_for,
    one_webhook,
    point,
    run_program,
    start,
    start_workflow,
    until,
    workflow_run,
)
from tests.prediction.worlds import predicted
from tests.servers import RawRequest, handler

BODY = {"title": "{{ .inputs.title }}", "cpu": "{{ .inputs.cpu }}"}
ANSWERS = {200: b'{"id": 7}', 503: b'{"no": "v"}'}


def answer(status: int) -> bytes:
    body = ANSWERS[status]
    return (
        f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
    )


def reports(calls: list[str], base: str) -> list[str]:
    """Return the calls of a program that report a run: `PATCH /v1/…`, without the status code."""
    return [line.rpartition(" ")[0] for line in calls if line.startswith(f"PATCH {base}")]


def expected(prediction: Prediction, status: int) -> list[str]:
    headers = Headers((("content-type", "application/json"),))
    response = AgentResponse(name="", status=status, headers=headers, body=ANSWERS[status])
    return [f"{call.method} {call.path}" for call in prediction.outcome(response).calls if call.log is None]


def check_request(prediction: Prediction, received: RawRequest, secret: Secret, document: Any) -> None:
    """Compare a request with the prediction. The simulated agent signs at another time."""
    assert prediction.wire is not None
    assert received.line == f"{prediction.wire.method} {prediction.wire.address.target} HTTP/1.1"
    assert received.body == prediction.wire.body
    stamp = received.value("x-port-timestamp")
    assert stamp is not None
    with AgentJq({}) as jq:
        again = predicted(jq, document, secret=secret, timestamp=stamp, version=AgentVersion.MAY_2026)
    assert again.wire is not None
    assert received.value("x-port-signature") == dict(again.wire.headers)["X-Port-Signature"]


@pytest.mark.parametrize(
    ("status", "synchronized"), [(200, True), pytest.param(503, False, marks=pytest.mark.extended)]
)
def test_action_run_is_sent_and_reported_as_predicted(
    sandbox: Records, client: httpx.Client, status: int, synchronized: bool
) -> None:
    with handler(answer(status)) as it:
        secret = Secret(sandbox.ready["client_secret"])
        point(client, f"{it.url}/hook?a=b", agent=True, synchronized=synchronized, body=BODY)
        run_id = start(client, title="zoë")
        until(sandbox, run_id, lambda note: "agent" in note)
        document = client.get(f"/v1/actions/runs/{run_id}").json()
        with AgentJq({}) as jq:
            prediction = predicted(jq, document, secret=secret, version=AgentVersion.MAY_2026)
        calls = run_program("agent_actions.py", env=environ_for(sandbox.ready))
        assert (prediction.message.transport, prediction.message.run_id) == (AgentTransport.POLLING, run_id)
        check_request(prediction, it.requests[0], secret, document)
        assert reports(calls, f"/v1/actions/runs/{run_id}") == expected(prediction, status)
        taking = [f"{call.method} {call.path} 200" for call in prediction.taking]
        assert [call for call in calls if call in taking] == taking
        assert all("/access_token" in before for before, call in pairwise(calls) if call in taking)


@pytest.mark.parametrize(("status", "synchronized"), [(200, True)])
def test_node_run_is_sent_and_reported_as_predicted(
    sandbox: Records, client: httpx.Client, status: int, synchronized: bool
) -> None:
    with handler(answer(status)) as it:
        secret = Secret(sandbox.ready["client_secret"])
        workflow = one_webhook(f"{it.url}/hook", agent=True, synchronized=synchronized, headers={"X-Team": "a"})
        run_id = start_workflow(client, workflow, name="zoë", replicas=2)
        until(sandbox, run_id, lambda note: "waits for Port's agent" in note)
        node_run_id = workflow_run(client, run_id)["nodeRuns"][-1]["identifier"]
        calls = run_program("agent_nodes.py", env=environ_for(sandbox.ready))
        sent = json.loads(it.requests[0].body)
        document = {"identifier": node_run_id, "config": sent["context"]["nodeConfig"]}
        with AgentJq({}) as jq:
            prediction = predicted(jq, document, secret=secret, version=AgentVersion.MAY_2026)
        check_request(prediction, it.requests[0], secret, document)
        assert reports(calls, f"/v1/workflows/nodes/runs/{node_run_id}") == expected(prediction, status)
        taking = [f"{call.method} {call.path} 200" for call in prediction.taking]
        assert [call for call in calls if call in taking] == taking
