"""ngrok tunnels. The agent runs under a supervisor; see `supervisor.py`."""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from port_hook_cli.errors import TunnelError, UsageError
from port_hook_cli.tunnels.ngrok.errors import GET_NGROK_HINT, NO_TOKEN_HINT, AgentFailure, explain, session_problem
from port_hook_cli.tunnels.ngrok.files import find_agent, find_config, managed_agent
from port_hook_cli.tunnels.protocol import Opening
from port_hook_cli.tunnels.supervised import SupervisedTunnel, closed_on_failure, start_supervisor

_DOWNLOAD_TIMEOUT_S = 180
_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_DOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,62})(\.[a-z0-9-]{1,63})+", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """What the supervisor needs, as one line of JSON on its stdin. It may contain the token, so it is never shown.

    `url` is the requested public URL; with None, ngrok and the user's settings choose it.
    """

    agent: str
    install: bool
    config: str | None
    token: str | None = field(repr=False)
    upstream: str
    url: str | None
    timeout_s: float
    import_path: tuple[str, ...]


class NgrokTunnel(SupervisedTunnel):
    """A tunnel that the ngrok agent keeps open; see `port_hook_cli.tunnels.protocol.Tunnel`."""

    program = "The ngrok agent"

    def __init__(self, supervisor: asyncio.subprocess.Process) -> None:
        super().__init__(supervisor)
        self._session_problem = ""

    async def wait_until_open(self) -> None:
        """Return when `url` is known; raises TunnelError if the agent does not open the tunnel."""
        while report := await self.next_report():
            if "error" in report:
                raise explain(AgentFailure(**report["error"]), self.log)
            if "url" in report:
                self.url = report["url"].rstrip("/")
                self.keep_reading()
                return
        raise explain(AgentFailure(kind="Gone"), self.log)

    def health(self) -> str:
        """Return "" while the agent runs and has a session, according to its log. It reconnects by itself."""
        return self._session_problem if self._supervisor.returncode is None else "the ngrok agent has ended"

    def logged(self, line: str) -> None:
        """Keep a line of the agent's log, and what it says about the session."""
        super().logged(line)
        problem = session_problem(line)
        if problem is not None:
            self._session_problem = problem


async def open_ngrok(opening: Opening) -> NgrokTunnel:
    """Open an ngrok tunnel to `opening.local_url`; the agent ends when the tunnel is closed or this process dies.

    The authtoken comes from NGROK_AUTHTOKEN or the user's ngrok settings, and reaches the agent in a file with mode
    0600. If this machine has no `ngrok` program, pyngrok downloads one after the user agrees; this does not count
    toward `opening.timeout_s`. `opening.domain` is the requested host name of the public URL. Raises TunnelError, and
    UsageError for an invalid domain. Cancelling this ends the agent.
    """
    request = _start_request(opening)
    if request.install:
        await _agree_to_download(opening)
        opening.notice(f"Downloading ngrok to {request.agent} …")
    # The agent must not get Port's secrets. pyngrok would put a token from the environment on its command line.
    kept = {n: v for n, v in opening.environ.items() if not n.startswith("PORT_") and n != "NGROK_AUTHTOKEN"}
    tunnel = NgrokTunnel(await start_supervisor(_SUPERVISOR, asdict(request), kept))
    timeout_s = opening.timeout_s + _DOWNLOAD_TIMEOUT_S * request.install
    try:
        async with closed_on_failure(tunnel), asyncio.timeout(timeout_s):
            await tunnel.wait_until_open()
    except TimeoutError:
        raise explain(AgentFailure(kind="Timeout", message=f"{opening.timeout_s:g} s"), tunnel.log) from None
    return tunnel


async def _agree_to_download(opening: Opening) -> None:
    """Ask before downloading a program that cannot be verified; raises TunnelError if the user does not agree.

    pyngrok fetches a "stable" archive whose content changes with each release, and ngrok publishes no checksum for it.
    """
    if not opening.can_ask:
        raise TunnelError(
            "No ngrok program was found. port-hook downloads one only if you agree on a terminal, "
            "because it cannot verify the download.",
            hint=GET_NGROK_HINT,
        )
    if not await opening.ask(
        "No ngrok program was found. Download it from ngrok's CDN? "
        "ngrok publishes no checksum for it, so port-hook cannot verify it."
    ):
        raise TunnelError("No ngrok program was found, and you declined the download.", hint=GET_NGROK_HINT)


def _start_request(opening: Opening) -> StartRequest:
    environ, home = opening.environ, opening.home
    url = f"https://{_host(opening.domain)}" if opening.domain else None
    config, token = find_config(environ, home), environ.get("NGROK_AUTHTOKEN", "").strip()
    if not config and not token:
        raise TunnelError("There is no ngrok authtoken.", hint=NO_TOKEN_HINT)
    agent = find_agent(environ, home)
    return StartRequest(
        agent=str(agent or managed_agent(environ, home)),
        install=agent is None,
        config=str(config) if config else None,
        token=token or None,
        upstream=opening.local_url,
        url=url,
        # Our own timeout ends first. pyngrok's has no effect on a silent agent.
        timeout_s=opening.timeout_s + 5,
        import_path=tuple(sys.path),
    )


def _host(domain: str) -> str:
    host = domain.strip().removeprefix("https://").rstrip("/")
    if not _DOMAIN.fullmatch(host):
        raise UsageError(
            f"--domain {domain!r} is not a domain.", hint="Write it as name.ngrok-free.app or hooks.example.com."
        )
    return host.lower()
