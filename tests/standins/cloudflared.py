"""A simulated `cloudflared tunnel --url URL`: a quick tunnel without the internet.

    cloudflared.py FOLDER tunnel [--config FILE] --url URL --metrics HOST:PORT [--grace-period D] [other flags]

It prints cloudflared's log to stderr, serves /ready and /quicktunnel at the metrics address, and forwards every byte
from a port of its own on 127.0.0.1 to URL. Like cloudflared, it prints the URL before the tunnel is up, reads
config.yml in ~/.cloudflared unless --config selects another file, and rejects a quick tunnel if that file has a tunnel.
After SIGTERM, it waits for its grace period and ends.

FOLDER is the test's. The program writes its arguments and environment to `seen` there, as JSON. It writes its process
ID to the named pipe `pipe`, and leaves the pipe open until it ends. A file `mode` selects a failure: `offline`,
`limited` (429), `outage`, `odd-answer` and `deep-answer` (of /quicktunnel), `never-ready`, `slow` (ready when there is
a file `go`), `chatty` (an endless log at the start), `exits`, `old-flags`, `stubborn` (ignores SIGTERM). While there is
a file `down`, /ready responds with 503.

Its public URL cannot be https://NAME.trycloudflare.com, which is on the internet. So /quicktunnel names a host with a
scheme, `http://127.0.0.1:PORT`: cloudflared accepts a scheme from Cloudflare's API, and port-hook one from cloudflared.
A file `host` has a host other than 127.0.0.1, at which nothing is reachable.

What it leaves out: the edge, TLS and QUIC. It does not add headers (cloudflared adds CF-Connecting-IP and
X-Forwarded-*), has no limits of 100 MB or 100 s for a response, and finds a tunnel in a config.yml by a single word.
Its log messages come from cloudflared's source and from reports of its users.
"""

from __future__ import annotations

import json
import os
import signal
import socketserver
import sys
import threading
import time
from pathlib import Path

from byte_forwarder import ByteForwarder  # type: ignore[import-not-found] # it is beside this file
from json_api import JsonApi  # type: ignore[import-not-found] # it is beside this file

FOLDER = Path(sys.argv[1])
API = "https://api.trycloudflare.com/tunnel"
NO_NETWORK = "dial tcp: lookup api.trycloudflare.com: network is unreachable"
NO_JSON = "invalid character 'e' looking for beginning of value"
TOO_MANY = 'status_code="429 Too Many Requests"'
REFUSALS = {
    "offline": [f'failed to request quick Tunnel: Post "{API}": {NO_NETWORK}'],
    "limited": [
        f'ERR Error unmarshaling QuickTunnel response: error code: 1015 error="{NO_JSON}" {TOO_MANY}',
        f"failed to unmarshal quick Tunnel: {NO_JSON}",
    ],
    "outage": [f"failed to unmarshal quick Tunnel: {NO_JSON}"],
    "exits": ["something \x1b[2J\x07new"],
}


def mode() -> str:
    """Return the failure; "" for none."""
    return (FOLDER / "mode").read_text() if (FOLDER / "mode").exists() else ""


def log(words: str) -> None:
    """Print a line of the log."""
    stamp = "" if words.startswith("failed") else "2026-01-01T00:00:00Z "
    sys.stderr.write(f"{stamp}{words}\n")
    sys.stderr.flush()


def metrics_api(hostname: str) -> type[JsonApi]:
    """Make the API of the metrics address."""

    class Metrics(JsonApi):  # type: ignore[misc] # of an unknown type
        def respond(self, method: str, path: str, body: bytes) -> tuple[int, object]:
            """Return the status and the document."""
            if path == "/ready":
                ready = is_ready()
                return 200 if ready else 503, {"status": 200 if ready else 503, "readyConnections": int(ready)}
            if path == "/quicktunnel" and mode() == "deep-answer":
                return 200, b"[" * 50_000
            if path == "/quicktunnel":
                return 200, {"hostname": 'x"\x1b[2J' if mode() == "odd-answer" else hostname}
            return 404, {}

    return Metrics


def refuse(lines: list[str]) -> None:
    """End like cloudflared when it does not get a tunnel."""
    for line in lines:
        log(line)
    sys.exit(1)


def end_softly(grace: str) -> None:
    """Handle SIGTERM: log it, and end after the grace period."""
    # Not with sys.stderr, which may be in use when the signal arrives.
    os.write(2, b"2026-01-01T00:00:00Z INF Initiating graceful shutdown due to signal terminated ...\n")
    if mode() != "stubborn":
        time.sleep(float(grace.removesuffix("ms")) / 1000 if grace.endswith("ms") else float(grace.removesuffix("s")))
        os._exit(0)


def run(options: dict[str, str]) -> None:
    """Open the tunnel and leave it open."""
    config = Path(options.get("--config") or Path.home() / ".cloudflared" / "config.yml")
    if config.exists() and "tunnel:" in config.read_text().splitlines()[0]:
        refuse(["Use `cloudflared tunnel run` to start tunnel of-the-user"])
    if mode() == "old-flags":
        refuse(["Incorrect Usage: flag provided but not defined: -grace-period"])
    while mode() == "chatty":
        log("INF " + "x" * 100_000 + "\x1b[2J\xff")
    log("INF Thank you for trying Cloudflare Tunnel. Doing so, without a Cloudflare account, is a quick way to …")
    log("INF Requesting new quick Tunnel on trycloudflare.com...")
    if mode() in REFUSALS:
        refuse(REFUSALS[mode()])
    host = (FOLDER / "host").read_text() if (FOLDER / "host").exists() else "127.0.0.1"
    hostname = f"http://{host}:{ByteForwarder(options['--url']).server_address[1]}"
    log("INF |  Your quick Tunnel has been created! Visit it at (it may take some time to be reachable):  |")
    log(f"INF |  {hostname}  |")
    host, port = options["--metrics"].rsplit(":", 1)
    metrics = socketserver.ThreadingTCPServer((host, int(port)), metrics_api(hostname))
    threading.Thread(target=metrics.serve_forever, args=(0.01,), daemon=True).start()
    if mode() == "impossible-port":
        log("INF Starting metrics server on 127.0.0.1:99999/metrics")
    log(f"INF Starting metrics server on {host}:{metrics.server_address[1]}/metrics")
    if mode() == "never-ready":
        log('ERR Failed to dial a quic connection error="failed to dial to edge with quic: timeout" connIndex=0')
    else:
        log("INF Registered tunnel connection connIndex=0 protocol=quic")
    threading.Event().wait()


def is_ready() -> bool:
    """Return whether /ready responds with 200."""
    waits = mode() == "slow" and not (FOLDER / "go").exists()
    return not (waits or mode() == "never-ready" or (FOLDER / "down").exists())


def main() -> None:
    """Run the command line."""
    arguments = sys.argv[2:]
    (FOLDER / "seen").write_text(json.dumps({"arguments": arguments, "environment": dict(os.environ)}))
    pipe = os.open(FOLDER / "pipe", os.O_WRONLY)
    os.write(pipe, f"{os.getpid()}\n".encode())
    flags = [part for part in arguments[1:] if part != "--no-autoupdate"]
    options = dict(zip(flags[::2], flags[1::2], strict=True))
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    signal.signal(signal.SIGTERM, lambda *_: end_softly(options.get("--grace-period", "30s")))
    run(options)


main()
