"""A handler for Port in FastAPI: `python fastapi_app.py PORT DEFECT`. With the defect `none`, it is correct."""

from __future__ import annotations

import asyncio
import sys
import time

from common import started_handler

# isort: split
import uvicorn
from fastapi import BackgroundTasks, FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

_METHODS = ["POST", "PUT", "PATCH", "DELETE"]
_DEADLINE_S = 0.1


def application(defect: str) -> FastAPI:
    """Return the application."""
    app, handler = FastAPI(), started_handler(defect)

    @app.api_route("/", methods=_METHODS)
    @app.api_route("/hook", methods=_METHODS)
    async def receive(request: Request, background: BackgroundTasks) -> JSONResponse:
        body = await _body(request, defect)
        reply = await run_in_threadpool(handler.receive, body, request.headers.get, time.time())
        if reply.work is not None:
            background.add_task(reply.work)
        return JSONResponse(reply.document, reply.status, background=background)

    return app


async def _body(request: Request, defect: str) -> bytes:
    if defect != "slow":
        return await request.body()
    try:
        return await asyncio.wait_for(request.body(), _DEADLINE_S)
    except TimeoutError:
        raise HTTPException(408, "the body took too long") from None


if __name__ == "__main__":
    uvicorn.run(application(sys.argv[2]), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
