"""A handler for Port in Flask: `python flask_app.py PORT DEFECT`. With the defect `none`, it is correct."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from common import started_handler

# isort: split
from flask import Flask, Request, request

_METHODS = ("POST", "PUT", "PATCH", "DELETE")


def application(defect: str) -> Flask:
    """Return the application."""
    app, handler = Flask(__name__), started_handler(defect)

    @app.route("/", methods=_METHODS)
    @app.route("/hook", methods=_METHODS)
    def receive() -> tuple[Mapping[str, Any], int]:
        if defect == "charset" and request.headers.get("content-type") != "application/json":
            return {"error": "send application/json"}, 415
        reply = handler.receive(_body(request, defect), request.headers.get, time.time())
        if reply.work is not None:
            threading.Thread(target=reply.work, daemon=True).start()
        return reply.document, reply.status

    return app


def _body(received: Request, defect: str) -> bytes:
    if defect == "parses-first":
        received.get_json(force=True)  # 3,000 levels of lists are a RecursionError
    return received.get_data()


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application(sys.argv[2]).run("127.0.0.1", int(sys.argv[1]), threaded=True)
