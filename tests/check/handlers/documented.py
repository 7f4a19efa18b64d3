"""A handler with the verifier of Port's documentation for Python, in FastAPI: `python documented.py PORT DEFECT`.

The verifier does not check the age. It takes for granted that both headers are there and that the body is UTF-8. What
follows the verification is the work of common.py, without a defect.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import sys

from common import CREDENTIALS, started_handler

# isort: split
import uvicorn
from fastapi import BackgroundTasks, FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse


def application(secret: str) -> FastAPI:
    """Return the application."""
    app, handler = FastAPI(), started_handler("none")

    @app.post("/")
    @app.post("/hook")
    async def receive(request: Request, background: BackgroundTasks) -> JSONResponse:
        body = await request.body()
        data = body.decode()
        to_sign = f"{request.headers['x-port-timestamp']}.{data}"
        signature = base64.b64encode(hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).digest()).decode()
        expected = request.headers["x-port-signature"].split(",")[1]
        if signature != expected:
            raise HTTPException(401, "Invalid signature")
        reply = await run_in_threadpool(handler.accept, body, request.headers.get("run_id"), signature)
        if reply.work is not None:
            background.add_task(reply.work)
        return JSONResponse(reply.document, reply.status, background=background)

    return app


if __name__ == "__main__":
    uvicorn.run(application(CREDENTIALS.client_secret), host="127.0.0.1", port=int(sys.argv[1]), log_level="critical")
