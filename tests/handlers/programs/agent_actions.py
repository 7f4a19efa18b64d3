"""One round of Port's execution agent for action runs: claim, acknowledge, send, report, in the published order."""

from __future__ import annotations

import json
from typing import Any

from polling_agent import POLL, RESERVED, call, invoke

STEPS = (
    "An action message has been received",
    "Preparing the payload for the request",
    "Sending the request",
)


def work_off(run: dict[str, Any]) -> None:
    path, config = f"/v1/actions/runs/{run['id']}", run["payload"]
    for message in STEPS:
        call("POST", f"{path}/logs", {"message": message})
    status, text = invoke(config, config["body"], {"runId": run["id"]})
    call("POST", f"{path}/logs", {"message": f"The webhook responded with status code: {status}"})
    if config["synchronized"] and text:
        call("PATCH", f"{path}/response", {"response": json.loads(text)})
    if not 200 <= status < 400:
        failed = f"Failed to invoke the webhook with status code: {status}. Response: {text}"
        call("PATCH", path, {"status": "FAILURE", "summary": failed})
        call("PATCH", path, {"status": "FAILURE", "summary": "Agent failed to process the run"})
    elif config["synchronized"]:
        call("PATCH", path, {"status": "SUCCESS"})


call("PATCH", "/v1/organization", {"settings": {"portAgentStreamerName": "POLLING"}})
claimed = call("POST", "/v1/actions/runs/claim-pending", {**POLL, "invocationMethod": "WEBHOOK"}, RESERVED)
call("PATCH", "/v1/actions/runs/ack", {"runIds": [run["id"] for run in claimed["runs"]]}, RESERVED)
for each in claimed["runs"]:
    work_off(each)
