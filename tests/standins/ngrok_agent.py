"""The running agent of the simulated ngrok: `ngrok.py` loads this file for `ngrok start` only."""

from __future__ import annotations

import json
import os
import re
import signal
import socketserver
import sys
import threading
from pathlib import Path
from typing import Any, ClassVar, TextIO

from byte_forwarder import ByteForwarder  # type: ignore[import-not-found] # it is beside this file
from json_api import JsonApi  # type: ignore[import-not-found] # it is beside this file

MODE = os.environ.get("NGROK_STANDIN", "")
ACCOUNT = "Your account is limited to 1 simultaneous ngrok agent sessions.\\nYou can view your current agent sessions"
REFUSALS = {
    "105": "The authtoken you specified does not look like a proper ngrok tunnel authtoken.\\nYour authtoken: {token}",
    "107": "The authtoken you specified is properly formed, but it is invalid.\\nYour authtoken: {token}",
    "108": ACCOUNT + " in the dashboard:\\nhttps://dashboard.ngrok.com/agents",
    "4018": "Usage of ngrok requires a verified account and authtoken.\\n\\nSign up for an account: https://…/signup",
    "9999": "Something new \\x1b[31mhappened",
}

ENDPOINT_REFUSALS = {
    "313": "Custom subdomains are a feature on ngrok's paid plans.\r\nFailed to bind the custom subdomain 'x'",
    "319": "You must reserve a custom hostname for your account before it can be bound.\r\nFailed to bind the domain",
    "320": "This domain is reserved for another account.\r\nFailed to bind the domain",
    "334": "The endpoint 'https://x.example' is already online.",
}


def say(line: str, stream: TextIO = sys.stdout) -> None:
    """Print a line immediately."""
    stream.write(line + "\n")
    stream.flush()


def log(level: str, message: str, **fields: str) -> None:
    """Print a line of the agent's log."""
    rest = "".join(f' {name}="{value}"' if " " in value else f" {name}={value}" for name, value in fields.items())
    say(f't=2026-01-01T00:00:00+0000 lvl={level} msg="{message}"{rest}')


def refuse(code: str, token: str) -> None:
    """End like an agent whose session is rejected."""
    words = REFUSALS[code].format(token=token)
    err = f"authentication failed: {words}\\r\\n\\r\\nERR_NGROK_{code}\\r\\n"
    log("eror", "session closing", obj="tunnels.session", err=err)
    log("eror", "terminating with error", obj="app", err=err)
    log("crit", "command failed", err=err)
    say(f"ERROR:  authentication failed: {words}\nERROR:  ERR_NGROK_{code}", sys.stderr)
    sys.exit(1)


def wait_for_ever() -> None:
    """Do nothing until killed."""
    threading.Event().wait()


class Api(JsonApi):  # type: ignore[misc] # of an unknown type
    """The agent's API on its web interface: it lists, starts and stops endpoints."""

    endpoints: ClassVar[dict[str, dict[str, Any]]] = {}
    forwarders: ClassVar[dict[str, ByteForwarder]] = {}

    def respond(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Return the status and the document."""
        if method == "POST":
            return self._start(json.loads(body))
        if method == "DELETE":
            name = path.rpartition("/")[2]
            self.endpoints.pop(name, None)
            self.forwarders.pop(name).shutdown()
            Path(os.environ["NGROK_STANDIN_PIPE"]).with_name("deleted").write_text(name)
            return 204, b""
        if MODE == "old":
            return 404, {"status_code": 404, "msg": "Resource not found"}
        return 200, {"endpoints": list(self.endpoints.values()), "uri": "/api/endpoints"}

    def _start(self, wanted: dict[str, Any]) -> tuple[int, Any]:
        if MODE in ENDPOINT_REFUSALS:
            err = f"failed to start tunnel: {ENDPOINT_REFUSALS[MODE]}\r\n\r\nERR_NGROK_{MODE}"
            return 502, {"error_code": 103, "status_code": 502, "msg": "failed", "details": {"err": err}}
        forwarder = self.forwarders[wanted["name"]] = ByteForwarder(wanted["upstream"]["url"])
        url = wanted.get("url") or f"http://127.0.0.1:{forwarder.server_address[1]}"
        if MODE in {"huge-answer", "long-url"}:
            return 201, {**wanted, "url": url + "/" + "x" * (2**21 if MODE == "huge-answer" else 100_000)}
        self.endpoints[wanted["name"]] = {**wanted, "url": url, "uri": f"/api/endpoints/{wanted['name']}"}
        log("info", "started tunnel", obj="tunnels", name=wanted["name"], url=url)
        return 201, self.endpoints[wanted["name"]]


def lose_session(*_: object) -> None:
    """Log the same lines as an agent when it loses its connection."""
    log("eror", "session closed, starting reconnect loop", obj="csess", id="37e06e0f0ba", err="session closed")
    log("eror", "failed to reconnect session", obj="csess", err="dial tcp: i/o timeout")


def start_session(*_: object) -> None:
    """Log the same lines as an agent when it has a session."""
    log("info", "client session established", obj="tunnels.session")
    log("info", "tunnel session started", obj="tunnels.session")


def start(options: dict[str, str]) -> None:
    """Run the agent until killed."""
    found = re.search(r"\bauthtoken: *([^ ,}\n]+)", Path(options["--config"]).read_text())  # yaml would start slowly
    token = options.get("--authtoken") or os.environ.get("NGROK_AUTHTOKEN") or (found and found[1])
    log("info", "open config file", path=options["--config"], err="nil")
    if MODE == "silent":
        wait_for_ever()
    if MODE == "odd-log":
        sys.stdout.buffer.write(b"\xff\xfe \x1b[2J '\n" + b"\xc3\xbc" * 20_000 + b"\n")
    api = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Api)
    log("info", "starting web service", obj="web", addr=f"127.0.0.1:{api.server_address[1]}", allow_hosts="[]")
    if MODE == "chatty":
        log("info", "a secret line", token=str(token), escape="\x1b[2J")
        wait_for_ever()
    if MODE == "offline":
        err = 'failed to dial ngrok server with address \\"connect.ngrok-agent.com:443\\": dial tcp: no such host'
        log("eror", "failed to reconnect session", obj="tunnels.session", err=err)
        wait_for_ever()
    if not token:
        refuse("4018", "")
    if MODE in REFUSALS:
        refuse(MODE, str(token))
    threading.Thread(target=api.serve_forever, daemon=True).start()
    signal.signal(signal.SIGUSR1, lose_session)
    signal.signal(signal.SIGUSR2, start_session)
    start_session()
    wait_for_ever()
