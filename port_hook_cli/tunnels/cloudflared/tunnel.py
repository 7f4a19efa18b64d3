"""Cloudflare quick tunnels: the user's `cloudflared` under a supervisor (`tunnels/supervisor.py`), and its errors."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from port_hook_cli.errors import TunnelError
from port_hook_cli.installed import find_program
from port_hook_cli.text.safe import brief
from port_hook_cli.tunnels.protocol import NotUsable, Opening, Usable
from port_hook_cli.tunnels.supervised import SupervisedTunnel, closed_on_failure, quoted_output, start_supervisor

_SUPERVISOR = Path(__file__).parents[1] / "supervisor.py"
# The ingress rules in the user's own config.yml are for other tunnels, but would also apply to this tunnel.
_CONFIG = Path(__file__).with_name("cloudflared.yml")
# cloudflared gets no other variables: TUNNEL_TOKEN and similar variables are secrets, or change which tunnel is opened.
_ENVIRONMENT = frozenset(
    {"PATH", "HOME", "USERPROFILE", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "LANG", "TZ", "GODEBUG"}
    | {"SSL_CERT_DIR", "SSL_CERT_FILE"}
    | {"TUNNEL_EDGE_BIND_ADDRESS", "TUNNEL_EDGE_IP_VERSION", "TUNNEL_REGION", "TUNNEL_TRANSPORT_PROTOCOL"}
)
_METRICS = re.compile(r"Starting metrics server on (127\.0\.0\.1):(\d{1,5})/metrics")
_HOST = re.compile(r"(https?://)?[a-z0-9.-]{1,253}(:\d{1,5})?", re.IGNORECASE)
_READY, _NOT_CONNECTED = 200, 503
_POLL_AT_START_S = 0.05
_POLL_S = 1.0
_RESPONSE_TIMEOUT_S = 1.0
_MAX_PORT = 65535
_MAX_RESPONSE_BYTES = 65536
# The time that cloudflared gets for disconnecting from Cloudflare's edge when it is terminated.
_GRACE_S = 1.0


def check_usable(environ: Mapping[str, str], home: Path, *, can_ask: bool) -> Usable | NotUsable:
    """Return why `--tunnel auto` can use cloudflared, or why it cannot."""
    del home, can_ask
    program = find_program("cloudflared", environ)
    return Usable(f"{program} is installed") if program else NotUsable("cloudflared is not on PATH")


async def open_cloudflared(opening: Opening, *, grace_s: float = _GRACE_S) -> CloudflaredTunnel:
    """Open a quick tunnel to `opening.local_url` with the user's cloudflared program. No account is needed.

    When the tunnel is closed or this process ends, the program is terminated, and killed if it still runs
    `grace_s` seconds later.
    Raises TunnelError. Cancelling this call also ends the program.
    """
    path = find_program("cloudflared", opening.environ)
    if not path:
        raise not_found()
    request = {"command": [path, "tunnel", *_options(opening.local_url)], "grace_s": grace_s}
    kept = {name: value for name, value in opening.environ.items() if name.upper() in _ENVIRONMENT}
    tunnel = CloudflaredTunnel(await start_supervisor(_SUPERVISOR, request, kept), path)
    try:
        async with closed_on_failure(tunnel), asyncio.timeout(opening.timeout_s):
            await tunnel.wait_until_open()
    except TimeoutError:
        raise explain(tunnel.log, timeout_s=opening.timeout_s) from None
    return tunnel


class CloudflaredTunnel(SupervisedTunnel):
    """A quick tunnel. See `port_hook_cli.tunnels.protocol.Tunnel`. cloudflared's metrics server reports its health.

    port-hook asks the metrics server every `poll_s` seconds, and waits up to `response_timeout_s` seconds for a
    response.
    """

    program = "cloudflared"

    def __init__(self, supervisor: asyncio.subprocess.Process, path: str) -> None:
        super().__init__(supervisor)
        self.poll_s = _POLL_S
        self.response_timeout_s = _RESPONSE_TIMEOUT_S
        self._path = path
        self._metrics: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
        self._problem = ""
        self._watch: asyncio.Task[None] | None = None

    async def wait_until_open(self) -> None:
        """Wait until `url` is known and the edge is connected. Raises TunnelError if the tunnel does not open."""
        ended, opening = self.keep_reading(), asyncio.create_task(self._open())
        try:
            await asyncio.wait({ended, opening}, return_when=asyncio.FIRST_COMPLETED)
            if not opening.done():
                raise cannot_run(self._path, self.problem["message"]) if self.problem else explain(self.log)
            self.url = opening.result()
        finally:
            opening.cancel()
        self._watch = asyncio.create_task(self._keep_watch())

    def health(self) -> str:
        """Return "" if cloudflared had a connection to its edge a second ago. Otherwise return the problem."""
        return self._problem if self._supervisor.returncode is None else "cloudflared has ended"

    async def close(self) -> None:
        """End cloudflared and its supervisor. Kill both after `close_timeout_s` seconds."""
        if self._watch:
            self._watch.cancel()
        await super().close()

    def logged(self, line: str) -> None:
        """Store a line of the log. If the line contains the address of the metrics server, store the address too."""
        super().logged(line)
        match = _METRICS.search(line)
        if match and int(match[2]) <= _MAX_PORT and not self._metrics.done():
            self._metrics.set_result((match[1], int(match[2])))

    def last_line(self) -> str:
        """Return the last nonempty line of the log, made printable, or ""."""
        return next(reversed(_messages(self.log)), "")

    async def _open(self) -> str:
        """Return the public URL when the edge is connected. The URL is known earlier, but doesn't work until then."""
        metrics = await self._metrics
        while (await _get(metrics, "/ready", self.response_timeout_s))[0] != _READY:  # noqa: ASYNC110 - another process becomes ready
            await asyncio.sleep(_POLL_AT_START_S)
        return _url((await _get(metrics, "/quicktunnel", self.response_timeout_s))[1])

    async def _keep_watch(self) -> None:
        problems = {_READY: "", _NOT_CONNECTED: "cloudflared has no connection to its edge"}
        while self._supervisor.returncode is None:
            await asyncio.sleep(self.poll_s)
            status, _ = await _get(self._metrics.result(), "/ready", self.response_timeout_s)
            self._problem = problems.get(status, "cloudflared's metrics server does not respond")


def _options(local_url: str) -> tuple[str, ...]:
    return (
        *("--config", str(_CONFIG)),
        "--no-autoupdate",
        *("--url", local_url),
        # cloudflared chooses a free port and logs it. Another program could take a port that port-hook chooses in
        # advance.
        *("--metrics", "127.0.0.1:0"),
        *("--loglevel", "info"),
        # Requests in progress have ended before the tunnel is closed, so cloudflared doesn't have to wait its default
        # of 30 s.
        *("--grace-period", "100ms"),
    )


def _url(body: bytes) -> str:
    """Return the public URL in the response of /quicktunnel, `{"hostname": …}`. The host name may include a scheme."""
    try:
        host = json.loads(body)["hostname"]
    except (ValueError, KeyError, TypeError, RecursionError):
        host = None
    if not isinstance(host, str) or not _HOST.fullmatch(host):
        raise too_old("its public URL")
    return host if "://" in host else f"https://{host}"


async def _get(metrics: tuple[str, int], path: str, timeout_s: float) -> tuple[int, bytes]:
    """Return the status and body of a cloudflared endpoint. The status is 0 if there is no response."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(*metrics)
            try:
                # An HTTP/1.0 response is not chunked, and ends with the connection.
                writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                response = b""
                while (part := await reader.read(_MAX_RESPONSE_BYTES)) and len(response) < _MAX_RESPONSE_BYTES:
                    response += part
            finally:
                writer.close()
        head, _, body = response.partition(b"\r\n\r\n")
        return int(head.split(maxsplit=2)[1]), body
    return 0, b""


_OTHERS = "use another tunnel (`--tunnel localhost.run` needs no account or program)"
_RELEASES = "https://github.com/cloudflare/cloudflared/releases"
_UPDATE = "Update it with `cloudflared update`, or with your package manager if that installed it."

# Errors in the log, the most specific error first. The patterns match messages of cloudflared
# (cmd/cloudflared/tunnel/quick_tunnel.go) and of Go's network library. 1015 is Cloudflare's error for a rate limit.
_KNOWN = (
    (
        re.compile(r"429 Too Many Requests|error code: 1015"),
        "Cloudflare does not open more quick tunnels for this network's IP address for now (429: too many requests).",
        f"Wait a few minutes and try again. Until then, {_OTHERS}.",
    ),
    (
        re.compile(r"failed to request quick Tunnel: .*x509"),
        "cloudflared does not trust the certificate of api.trycloudflare.com.",
        f"A proxy decrypts TLS: set SSL_CERT_FILE to its certificate. Or {_OTHERS}.",
    ),
    (
        re.compile(r"failed to request quick Tunnel"),
        "cloudflared cannot connect to Cloudflare.",
        f"Check the network. cloudflared doesn't use a proxy. Or {_OTHERS}.",
    ),
    (
        re.compile(r"failed to \w+ quick.[Tt]unnel|QuickTunnel response"),
        "Cloudflare's service for quick tunnels did not create a tunnel.",
        f"Try again. https://www.cloudflarestatus.com lists outages. Or {_OTHERS}.",
    ),
    (
        re.compile(r"flag provided but not defined|Incorrect Usage"),
        "This version of cloudflared does not support the options that port-hook uses.",
        _UPDATE,
    ),
)
# The disclaimer that cloudflared logs before every quick tunnel.
_DISCLAIMER = re.compile(r"Thank you for trying Cloudflare Tunnel")
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\S+ ")
_LAST_LINES = 3


def not_found() -> TunnelError:
    """Return the error for a PATH that doesn't contain cloudflared."""
    return TunnelError(
        "No cloudflared program was found on PATH.",
        hint="Install it (`brew install cloudflared`, `winget install --id Cloudflare.cloudflared` or "
        f"{_RELEASES}), or {_OTHERS}.",
    )


def cannot_run(program: str, reason: str) -> TunnelError:
    """Return the error for a program that the operating system cannot start. `reason` is the message of the system."""
    return TunnelError(
        f"port-hook cannot run the cloudflared at {brief(program)}: {brief(reason)}.",
        hint=f"Install the build for this machine from {_RELEASES}. Or {_OTHERS}.",
    )


def too_old(fact: str) -> TunnelError:
    """Return the error for a cloudflared that does not report a `fact` that port-hook needs."""
    return TunnelError(f"This version of cloudflared does not report {fact}.", hint=_UPDATE)


def explain(log: Iterable[str], *, timeout_s: float | None = None) -> TunnelError:
    """Return the error to raise. `log` holds cloudflared's last lines, which may be unprintable.

    `timeout_s` is the exceeded timeout. None means that cloudflared ended by itself.
    """
    log = list(log)
    for pattern, happened, hint in _KNOWN:
        if any(pattern.search(line) for line in log):
            return TunnelError(happened + _last_output(log), hint=hint)
    if timeout_s is None:
        return TunnelError(
            "cloudflared ended before the tunnel was open." + _last_output(log), hint=f"Try again, or {_OTHERS}."
        )
    return TunnelError(
        f"cloudflared did not connect to Cloudflare within {timeout_s:g} s." + _last_output(log),
        hint=f"Allow UDP or TCP to port 7844. For TCP, set TUNNEL_TRANSPORT_PROTOCOL=http2. Or {_OTHERS}.",
    )


def _last_output(log: Iterable[str]) -> str:
    return quoted_output(_messages(log)[-_LAST_LINES:])


def _messages(log: Iterable[str]) -> list[str]:
    lines = (_TIME.sub("", line).strip() for line in log if not _DISCLAIMER.search(line))
    return [brief(line, 200) for line in lines if line]
