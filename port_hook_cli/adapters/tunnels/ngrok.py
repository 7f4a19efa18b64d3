"""ngrok tunnels, through pyngrok, on a leash (see `leash.py`)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from port_hook_cli.adapters.prober import probe
from port_hook_cli.adapters.tunnels.ngrok_errors import NO_TOKEN_HINT, Failure, explain
from port_hook_cli.adapters.tunnels.ngrok_files import find_agent, find_config, managed_agent
from port_hook_cli.core.reach import Probing
from port_hook_cli.errors import TunnelError
from port_hook_cli.views.text import printable

_DOWNLOAD_TIMEOUT_S = 180
_LEASH = Path(__file__).with_name("leash.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the leash is told, as one line of JSON on its stdin; never shown, as it may hold the token."""

    agent: str
    install: bool
    config: str | None
    token: str | None = field(repr=False)
    upstream: str
    timeout_s: float
    import_path: tuple[str, ...]


class NgrokTunnel:
    """A tunnel that a leash process holds; see `port_hook_cli.adapters.tunnels.Tunnel`."""

    def __init__(self, leash: asyncio.subprocess.Process) -> None:
        self.url = ""
        self.log: deque[str] = deque(maxlen=20)
        self.close_timeout_s: float = 3
        self.relays_answers = True
        self._leash = leash
        self._rest: asyncio.Task[None] | None = None

    async def wait_until_open(self) -> None:
        """Return when `url` is known; raise `TunnelError` when there will be none."""
        while report := await self._next_report():
            if "error" in report:
                raise explain(Failure(**report["error"]), self.log)
            if "url" in report:
                self.url = report["url"].rstrip("/")
                # An agent whose log nobody reads would stall.
                self._rest = asyncio.create_task(self._read_on())
                return
        raise explain(Failure(kind="Gone"), self.log)

    def health(self) -> str:
        """Return "" while the agent runs: it connects anew by itself, and says so in its log only."""
        return "" if self._leash.returncode is None else "the ngrok agent has ended"

    async def probe(self, path: str, token: str) -> Probing:
        """Ask the listener for `path` through the public URL."""
        return await probe(self.url + path, token)

    async def lost(self) -> str:
        """Wait until the tunnel ends without having been closed; return what happened."""
        if self._rest:
            await asyncio.shield(self._rest)
        words = f" Its last words: {printable(self.log[-1])}" if self.log else ""
        return f"The ngrok agent has ended, and the public URL with it.{words}"

    async def close(self) -> None:
        """Hang up, and end the agent and its leash: by force when that takes more than `close_timeout_s` seconds."""
        if self._leash.stdin:
            self._leash.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.close_timeout_s):
                return await self._ended()
        _kill(self._leash)
        return await self._ended()

    async def _ended(self) -> None:
        await (asyncio.shield(self._rest) if self._rest else self._read_on())
        await self._leash.wait()

    async def _read_on(self) -> None:
        while await self._next_report():
            pass

    async def _next_report(self) -> dict[str, Any] | None:
        """Return what the leash says next, a log line being kept; None when it has ended."""
        line = await self._leash.stdout.readline() if self._leash.stdout else b""
        report: dict[str, Any] | None = json.loads(line) if line else None
        if report and "log" in report:
            self.log.append(report["log"])
        return report


async def open_ngrok(
    local_url: str,
    *,
    environ: Mapping[str, str],
    home: Path,
    notice: Callable[[str], None],
    timeout_s: float = 20,
) -> NgrokTunnel:
    """Open an ngrok tunnel to `local_url`; the agent ends when the tunnel is closed or this process dies.

    The authtoken comes from NGROK_AUTHTOKEN or the user's own ngrok settings and reaches the agent through a file
    of mode 0600. Without any `ngrok` on this machine pyngrok downloads one, after a `notice`; that is not counted
    in `timeout_s`. Raises `TunnelError`. Cancelling it ends the agent, too.
    """
    order = _order(local_url, environ, home, timeout_s)
    if order.install:
        notice(f"There is no ngrok on this machine; downloading it to {order.agent} …")
    tunnel = NgrokTunnel(await _start_leash(order, environ))
    try:
        async with asyncio.timeout(timeout_s + _DOWNLOAD_TIMEOUT_S * order.install):
            await tunnel.wait_until_open()
    except TimeoutError:
        await tunnel.close()
        raise explain(Failure(kind="Timeout", message=f"{timeout_s:g} s"), tunnel.log) from None
    except BaseException:
        await tunnel.close()
        raise
    return tunnel


def _order(local_url: str, environ: Mapping[str, str], home: Path, timeout_s: float) -> Order:
    config, token = find_config(environ, home), environ.get("NGROK_AUTHTOKEN", "").strip()
    if not config and not token:
        raise TunnelError("There is no ngrok authtoken.", hint=NO_TOKEN_HINT)
    agent = find_agent(environ, home)
    return Order(
        agent=str(agent or managed_agent(environ, home)),
        install=agent is None,
        config=str(config) if config else None,
        token=token or None,
        upstream=local_url,
        # A second bound, in case that ours should fail; pyngrok's own does not hold for a silent agent.
        timeout_s=timeout_s + 5,
        import_path=tuple(sys.path),
    )


async def _start_leash(order: Order, environ: Mapping[str, str]) -> asyncio.subprocess.Process:
    leash = await asyncio.create_subprocess_exec(
        sys.executable,
        "-IS",
        str(_LEASH),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        # Port's secrets are none of the agent's business; pyngrok would put the token on its command line.
        env={name: v for name, v in environ.items() if not name.startswith("PORT_") and name != "NGROK_AUTHTOKEN"},
        # A Ctrl-C is ours alone: what is in flight still needs the tunnel.
        start_new_session=True,
    )
    if leash.stdin:
        leash.stdin.write(json.dumps(asdict(order)).encode() + b"\n")
        with contextlib.suppress(ConnectionError):
            await leash.stdin.drain()
    return leash


def _kill(leash: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        if sys.platform == "win32":
            leash.kill()
        else:
            os.killpg(leash.pid, signal.SIGKILL)
