"""One round of Port's execution agent for workflow nodes: claim, acknowledge all, then send and report one by one."""

from __future__ import annotations

import json
from typing import Any

from polling_agent import POLL, RESERVED, call, invoke


def work_off(run: dict[str, Any]) -> None:
    path, config = f"/v1/workflows/nodes/runs/{run['identifier']}", run["config"]
    if config.get("agent") is not True:
        return
    for message in ("A workflow node run has been received", "Sending the request"):
        call("POST", f"{path}/logs", {"logs": [{"level": "INFO", "message": message}]})
    status, text = invoke(config, {}, {"runId": run["identifier"], "nodeConfig": config})
    if not 200 <= status < 400:
        for _ in range(2):  # the published agent sends it twice
            call("PATCH", path, {"status": "COMPLETED", "result": "FAILED"})
    elif config.get("synchronized"):
        output = {"response": {"status": status, "data": json.loads(text) if text else {}}}
        call("PATCH", path, {"status": "COMPLETED", "result": "SUCCESS", "output": output})


claimed = call("POST", "/v1/workflows/runs/claim-pending", POLL, RESERVED)["nodeRuns"]
acked = [
    run
    for run in claimed
    if call("PATCH", "/v1/workflows/runs/ack", {"nodeRunIdentifier": run["identifier"]}, RESERVED).get("acked")
]
for each in acked:
    work_off(each)
