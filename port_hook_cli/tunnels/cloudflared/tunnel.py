"""Cloudflare's quick tunnels, through the user's own `cloudflared`, on a tether (see `tether.py`)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from pathlib import Path

from port_hook_cli.tunnels.cloudflared.errors import cannot_run, explain, last_word, not_found, too_old
from port_hook_cli.tunnels.cloudflared.program import find_program
from port_hook_cli.tunnels.protocol import Opening
from port_hook_cli.tunnels.supervised import TetheredTunnel, closed_on_failure, start_tether

_TETHER = Path(__file__).parents[1] / "supervisor.py"
# The user's own config.yml speaks of other tunnels: its ingress rules would answer for this one, with 404.
_CONFIG = Path(__file__).with_name("cloudflared.yml")
# An allow-list: TUNNEL_TOKEN and the like are secrets or change what is opened, the rest is none of its business.
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
_ANSWER_TIMEOUT_S = 1.0
_LARGEST_ANSWER = 65536
# How long it may take to take its leave from the edge, once told to end.
_GRACE_S = 1.0


class CloudflaredTunnel(TetheredTunnel):
    """A quick tunnel; see `port_hook_cli.tunnels.protocol.Tunnel`. What it knows comes from the metrics endpoints."""

    program = "cloudflared"

    def __init__(self, tether: asyncio.subprocess.Process, path: str) -> None:
        super().__init__(tether)
        self._path = path
        self._metrics: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
        self._trouble = ""
        self._watch: asyncio.Task[None] | None = None

    async def wait_until_open(self) -> None:
        """Return when `url` is known and the edge connected; raise `TunnelError` when there will be no tunnel."""
        ended, opening = self.read_on(), asyncio.create_task(self._open())
        try:
            await asyncio.wait({ended, opening}, return_when=asyncio.FIRST_COMPLETED)
            if not opening.done():
                raise cannot_run(self._path, self.problem["message"]) if self.problem else explain(self.log)
            self.url = opening.result()
        finally:
            opening.cancel()
        self._watch = asyncio.create_task(self._keep_watch())

    def health(self) -> str:
        """Return "" while cloudflared had a connection to its edge a second ago, else what is wrong."""
        return self._trouble if self._tether.returncode is None else "cloudflared has ended"

    async def close(self) -> None:
        """End cloudflared and its tether, by force after `close_timeout_s` seconds."""
        if self._watch:
            self._watch.cancel()
        await super().close()

    def noted(self, line: str) -> None:
        """Keep a line of the log, and where it says that the metrics are."""
        super().noted(line)
        match = _METRICS.search(line)
        if match and not self._metrics.done():
            self._metrics.set_result((match[1], int(match[2])))

    def last_word(self) -> str:
        """Return the last line of the log that says something."""
        return last_word(self.log)

    async def _open(self) -> str:
        """Return the public URL once the edge is connected: it is known earlier, and leads nowhere until then."""
        metrics = await self._metrics
        while (await _ask(metrics, "/ready"))[0] != _READY:  # noqa: ASYNC110 - another process gets ready
            await asyncio.sleep(_POLL_AT_START_S)
        return _url((await _ask(metrics, "/quicktunnel"))[1])

    async def _keep_watch(self) -> None:
        words = {_READY: "", _NOT_CONNECTED: "cloudflared has no connection to its edge"}
        while self._tether.returncode is None:
            await asyncio.sleep(_POLL_S)
            status, _ = await _ask(self._metrics.result(), "/ready")
            self._trouble = words.get(status, "cloudflared does not answer on this machine")


async def open_cloudflared(opening: Opening) -> CloudflaredTunnel:
    """Open a quick tunnel to `opening.local_url`, which wants no account; the program is the user's own.

    It ends when the tunnel is closed or this process dies. Raises `TunnelError`. Cancelling it ends the program, too.
    """
    path = find_program(opening.environ)
    if not path:
        raise not_found()
    order = {"command": [path, "tunnel", *_options(opening.local_url)], "grace_s": _GRACE_S}
    kept = {name: value for name, value in opening.environ.items() if name.upper() in _ENVIRONMENT}
    tunnel = CloudflaredTunnel(await start_tether(_TETHER, order, kept), path)
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
        # It takes a free port and says which in its log; one that we looked for could be taken by then.
        *("--metrics", "127.0.0.1:0"),
        *("--loglevel", "info"),
        # What was in flight is answered when we close; the default, 30 s, would only be waited for.
        *("--grace-period", "100ms"),
    )


def _url(answer: bytes) -> str:
    """Return the public URL that /quicktunnel tells, as `{"hostname": …}`; as cloudflared, bear a scheme with it."""
    try:
        host = json.loads(answer)["hostname"]
    except (ValueError, KeyError, TypeError, RecursionError):
        host = None
    if not isinstance(host, str) or not _HOST.fullmatch(host):
        raise too_old("which public URL it has")
    return host if "://" in host else f"https://{host}"


async def _ask(metrics: tuple[str, int], path: str) -> tuple[int, bytes]:
    """Return status and body of an endpoint of cloudflared's; 0 where there is no answer."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        async with asyncio.timeout(_ANSWER_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(*metrics)
            try:
                # Version 1.0: the answer has no chunks, and ends with the connection.
                writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                answer = b""
                while (part := await reader.read(_LARGEST_ANSWER)) and len(answer) < _LARGEST_ANSWER:
                    answer += part
            finally:
                writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split(maxsplit=2)[1]), body
    return 0, b""
