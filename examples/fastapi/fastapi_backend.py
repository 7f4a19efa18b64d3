"""A backend for Port's self-service actions in FastAPI: verify, accept, work, report.

PORT_CLIENT_ID=… PORT_CLIENT_SECRET=… uvicorn fastapi_backend:app
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import time
from typing import Annotated

import httpx
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel

TOLERANCE_S = 300
app = FastAPI()


class Vm(BaseModel):
    """The inputs, as the body template of the action passes them on."""

    title: str
    cpu: int


class Invocation(BaseModel):
    """The rendered body template of the action."""

    runId: str  # noqa: N815 - the name in the template
    vm: Vm


async def signed_by_port(request: Request) -> Invocation:
    """Return the invocation in a request; respond 401 unless its raw bytes were signed in the last five minutes."""
    body, timestamp = await request.body(), request.headers.get("x-port-timestamp", "")
    message, secret = timestamp.encode() + b"." + body, os.environ["PORT_CLIENT_SECRET"].encode()
    expected = f"v1,{base64.b64encode(hmac.digest(secret, message, hashlib.sha256)).decode()}"
    is_fresh = timestamp.isdecimal() and abs(time.time() - int(timestamp)) <= TOLERANCE_S
    if not is_fresh or not hmac.compare_digest(
        expected.encode(), request.headers.get("x-port-signature", "").encode("latin-1")
    ):
        raise HTTPException(401, "this was not signed by Port")
    return Invocation.model_validate_json(body)


@app.post("/port/create-vm", status_code=202)
async def accept(
    invocation: Annotated[Invocation, Depends(signed_by_port)], background: BackgroundTasks
) -> dict[str, str]:
    """Accept the run; the work begins after the response."""
    background.add_task(create_vm, invocation.runId, invocation.vm)
    return {"accepted": invocation.runId}


def create_vm(run_id: str, vm: Vm) -> None:
    """Do the work and report the result."""
    api_url = os.environ.get("PORT_API_URL", "https://api.port.io").rstrip("/").removesuffix("/v1")
    with httpx.Client(base_url=f"{api_url}/v1", timeout=30) as port:
        credentials = {"clientId": os.environ["PORT_CLIENT_ID"], "clientSecret": os.environ["PORT_CLIENT_SECRET"]}
        token = port.post("/auth/access_token", json=credentials).raise_for_status().json()["accessToken"]
        port.headers["authorization"] = f"Bearer {token}"
        port.post(f"/actions/runs/{run_id}/logs", json={"message": f"creating {vm.title} with {vm.cpu} CPUs"})
        status = {"status": "SUCCESS", "summary": f"{vm.title} is up", "link": f"https://vms.example.com/{vm.title}"}
        port.patch(f"/actions/runs/{run_id}", json=status).raise_for_status()
