"""Cloudflare quick tunnels. The user's `cloudflared` program runs under a supervisor; see `tunnels/supervisor.py`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from pathlib import Path

from port_hook_cli.tunnels.cloudflared.errors import cannot_run, explain, last_line, not_found, too_old
from port_hook_cli.tunnels.cloudflared.program import find_cloudflared
from port_hook_cli.tunnels.protocol import Opening
from port_hook_cli.tunnels.supervised import SupervisedTunnel, closed_on_failure, start_supervisor

_SUPERVISOR = Path(__file__).parents[1] / "supervisor.py"
# The ingress rules in the user's own config.yml, which are for other tunnels, would apply to this one too.
_CONFIG = Path(__file__).with_name("cloudflared.yml")
# cloudflared gets no other variables: TUNNEL_TOKEN and similar ones are secrets, or change which tunnel is opened.
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
_MAX_RESPONSE_BYTES = 65536
# Time to disconnect from Cloudflare's edge when it is terminated.
_GRACE_S = 1.0


class CloudflaredTunnel(SupervisedTunnel):
    """A quick tunnel; see `port_hook_cli.tunnels.protocol.Tunnel`. cloudflared's metrics server reports its health.

    port-hook asks the metrics server every `poll_s` seconds, and waits up to `response_timeout_s` seconds.
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
        """Return when `url` is known and the edge is connected; raises TunnelError if the tunnel does not open."""
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
        """Return "" if cloudflared had a connection to its edge a second ago, else the problem."""
        return self._problem if self._supervisor.returncode is None else "cloudflared has ended"

    async def close(self) -> None:
        """End cloudflared and its supervisor; kill them after `close_timeout_s` seconds."""
        if self._watch:
            self._watch.cancel()
        await super().close()

    def logged(self, line: str) -> None:
        """Keep a line of the log, and the address of the metrics server that it names."""
        super().logged(line)
        match = _METRICS.search(line)
        if match and not self._metrics.done():
            self._metrics.set_result((match[1], int(match[2])))

    def last_line(self) -> str:
        """Return the last line of the log that is not empty."""
        return last_line(self.log)

    async def _open(self) -> str:
        """Return the public URL when the edge is connected; it is known earlier, but does not work until then."""
        metrics = await self._metrics
        while (await self._get(metrics, "/ready"))[0] != _READY:  # noqa: ASYNC110 - another process becomes ready
            await asyncio.sleep(_POLL_AT_START_S)
        return _url((await self._get(metrics, "/quicktunnel"))[1])

    async def _keep_watch(self) -> None:
        problems = {_READY: "", _NOT_CONNECTED: "cloudflared has no connection to its edge"}
        while self._supervisor.returncode is None:
            await asyncio.sleep(self.poll_s)
            status, _ = await self._get(self._metrics.result(), "/ready")
            self._problem = problems.get(status, "cloudflared's metrics server does not respond")

    async def _get(self, metrics: tuple[str, int], path: str) -> tuple[int, bytes]:
        return await _get(metrics, path, self.response_timeout_s)


async def open_cloudflared(opening: Opening) -> CloudflaredTunnel:
    """Open a quick tunnel to `opening.local_url` with the user's cloudflared program. No account is needed.

    The program ends when the tunnel is closed or this process ends. Raises TunnelError. Cancelling this ends the
    program.
    """
    path = find_cloudflared(opening.environ)
    if not path:
        raise not_found()
    request = {"command": [path, "tunnel", *_options(opening.local_url)], "grace_s": _GRACE_S}
    kept = {name: value for name, value in opening.environ.items() if name.upper() in _ENVIRONMENT}
    tunnel = CloudflaredTunnel(await start_supervisor(_SUPERVISOR, request, kept), path)
    try:
        async with closed_on_failure(tunnel), asyncio.timeout(opening.timeout_s):
            await tunnel.wait_until_open()
    except TimeoutError:
        raise explain(tunnel.log, timeout_s=opening.timeout_s) from None
    return tunnel


def _options(local_url: str) -> tuple[str, ...]:
    return (
        *("--config", str(_CONFIG)),
        "--no-autoupdate",
        *("--url", local_url),
        # cloudflared chooses a free port and logs it; a port that we choose could be taken by then.
        *("--metrics", "127.0.0.1:0"),
        *("--loglevel", "info"),
        # Requests in progress have ended before the tunnel is closed, so cloudflared need not wait its default of 30 s.
        *("--grace-period", "100ms"),
    )


def _url(body: bytes) -> str:
    """Return the public URL in the response of /quicktunnel, `{"hostname": …}`; the host name may have a scheme."""
    try:
        host = json.loads(body)["hostname"]
    except (ValueError, KeyError, TypeError, RecursionError):
        host = None
    if not isinstance(host, str) or not _HOST.fullmatch(host):
        raise too_old("its public URL")
    return host if "://" in host else f"https://{host}"


async def _get(metrics: tuple[str, int], path: str, timeout_s: float) -> tuple[int, bytes]:
    """Return the status and body of an endpoint of cloudflared; the status is 0 if there is no response."""
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
