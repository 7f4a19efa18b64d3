"""The running agent of the simulated ngrok: `ngrok.py` loads this file for `ngrok start` only."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, TextIO

from byte_forwarder import ByteForwarder  # type: ignore[import-not-found] # it is beside this file

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


class Api(BaseHTTPRequestHandler):
    """The agent's API on its web interface."""

    endpoints: ClassVar[dict[str, dict[str, Any]]] = {}
    forwarders: ClassVar[dict[str, ByteForwarder]] = {}

    def answer(self, status: int, document: Any = None) -> None:
        """Respond with JSON."""
        body = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """List the endpoints."""
        if MODE == "old":
            self.answer(404, {"status_code": 404, "msg": "Resource not found"})
        else:
            self.answer(200, {"endpoints": list(self.endpoints.values()), "uri": "/api/endpoints"})

    def do_POST(self) -> None:
        """Start an endpoint."""
        wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if MODE in ENDPOINT_REFUSALS:
            err = f"failed to start tunnel: {ENDPOINT_REFUSALS[MODE]}\r\n\r\nERR_NGROK_{MODE}"
            self.answer(502, {"error_code": 103, "status_code": 502, "msg": "failed", "details": {"err": err}})
            return
        forwarder = self.forwarders[wanted["name"]] = ByteForwarder(wanted["upstream"]["url"])
        url = wanted.get("url") or f"http://127.0.0.1:{forwarder.server_address[1]}"
        if MODE in {"huge-answer", "long-url"}:
            self.answer(201, {**wanted, "url": url + "/" + "x" * (2**21 if MODE == "huge-answer" else 100_000)})
            return
        self.endpoints[wanted["name"]] = {**wanted, "url": url, "uri": f"/api/endpoints/{wanted['name']}"}
        log("info", "started tunnel", obj="tunnels", name=wanted["name"], url=url)
        self.answer(201, self.endpoints[wanted["name"]])

    def do_DELETE(self) -> None:
        """Stop an endpoint."""
        name = self.path.rpartition("/")[2]
        self.endpoints.pop(name, None)
        self.forwarders.pop(name).shutdown()
        Path(os.environ["NGROK_STANDIN_PIPE"]).with_name("deleted").write_text(name)
        self.answer(204)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Do not log."""


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
    import yaml  # not needed for the version

    config = yaml.safe_load(Path(options["--config"]).read_text()) or {}
    block = config.get("agent", {}) if str(config.get("version")) == "3" else config
    token = options.get("--authtoken") or os.environ.get("NGROK_AUTHTOKEN") or block.get("authtoken")
    log("info", "open config file", path=options["--config"], err="nil")
    if MODE == "silent":
        wait_for_ever()
    if MODE == "odd-log":
        sys.stdout.buffer.write(b"\xff\xfe \x1b[2J '\n" + b"\xc3\xbc" * 20_000 + b"\n")
    api = ThreadingHTTPServer(("127.0.0.1", 0), Api)
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
