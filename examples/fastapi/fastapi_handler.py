"""A handler for Port's self-service actions in FastAPI: verify, accept, work, report.

PORT_CLIENT_ID=… PORT_CLIENT_SECRET=… uvicorn fastapi_handler:app
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import threading
import time
from collections import OrderedDict
from typing import Annotated, Any

import httpx
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel, ValidationError

TOLERANCE_S = 300
REMEMBERED_RUNS = 1000

app = FastAPI()
deliveries: OrderedDict[str, None] = OrderedDict()
deliveries_lock = threading.Lock()


class Vm(BaseModel):
    """The inputs, as the body template of the action passes them on."""

    title: str
    cpu: int


class Invocation(BaseModel):
    """The rendered body template of the action."""

    runId: str  # noqa: N815 - the name in the template
    vm: dict[str, Any]


def is_signed_by_port(body: bytes, signature: str, timestamp: str, secret: str, now: float) -> bool:
    """Return whether the raw bytes `body` were signed with `secret`, at most five minutes from `now`."""
    if not secret or not re.fullmatch(r"[0-9]{1,12}", timestamp) or abs(now - int(timestamp)) > TOLERANCE_S:
        return False
    digest = hmac.digest(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return hmac.compare_digest(f"v1,{base64.b64encode(digest).decode()}".encode(), signature.encode())


def is_first_delivery(run_id: str) -> bool:
    """Return whether this run is new, and remember it: a run can be delivered twice, but its work is done once.

    This is the memory of one process. A real handler inserts the run id into a database, under a unique key, which
    holds after a restart and for several processes.
    """
    with deliveries_lock:
        is_new = run_id not in deliveries
        deliveries[run_id] = None
        if len(deliveries) > REMEMBERED_RUNS:
            deliveries.popitem(last=False)
        return is_new


async def signed_by_port(request: Request) -> Invocation:
    """Return the invocation in a request; respond with 401 to one that Port did not sign, and 422 to another body."""
    body = await request.body()  # and not a model, because the signature covers the raw bytes
    names = ("x-port-signature", "x-port-timestamp")
    signature, timestamp = (",".join(request.headers.getlist(name)) for name in names)
    if not is_signed_by_port(body, signature, timestamp, os.environ.get("PORT_CLIENT_SECRET", ""), time.time()):
        raise HTTPException(401, "this was not signed by Port")
    try:
        return Invocation.model_validate_json(body)
    except ValidationError:
        raise HTTPException(422, "the body does not match the template in create_vm.yaml") from None


@app.post("/port/create-vm", status_code=202)
async def accept(
    invocation: Annotated[Invocation, Depends(signed_by_port)], background: BackgroundTasks
) -> dict[str, str]:
    """Accept the run; the work begins after the response."""
    if is_first_delivery(invocation.runId):
        background.add_task(create_vm, invocation.runId, invocation.vm)
    return {"accepted": invocation.runId}


def create_vm(run_id: str, inputs: dict[str, Any]) -> None:
    """Do the work and report the end of the run, whatever happens."""
    api_url = os.environ.get("PORT_API_URL", "https://api.port.io").rstrip("/").removesuffix("/v1")
    with httpx.Client(base_url=f"{api_url}/v1", timeout=30) as port:
        credentials = {"clientId": os.environ["PORT_CLIENT_ID"], "clientSecret": os.environ["PORT_CLIENT_SECRET"]}
        token = port.post("/auth/access_token", json=credentials).raise_for_status().json()["accessToken"]
        port.headers["authorization"] = f"Bearer {token}"
        try:
            vm = Vm.model_validate(inputs)  # here, because a response with 422 would leave the run in progress
            port.post(f"/actions/runs/{run_id}/logs", json={"message": f"creating {vm.title} with {vm.cpu} CPUs"})
            link = f"https://vms.example.com/{vm.title}"
            report = {"status": "SUCCESS", "summary": f"{vm.title} is up", "link": link}
        except Exception as error:
            report = {"status": "FAILURE", "summary": f"The VM was not created: {error}"}
        port.patch(f"/actions/runs/{run_id}", json=report).raise_for_status()
