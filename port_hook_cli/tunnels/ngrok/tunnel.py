"""ngrok tunnels, through pyngrok, on a leash (see `leash.py`)."""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from port_hook_cli.errors import TunnelError, UsageError
from port_hook_cli.tunnels.ngrok.errors import GET_NGROK_HINT, NO_TOKEN_HINT, NgrokFailure, explain, session_trouble
from port_hook_cli.tunnels.ngrok.files import find_agent, find_config, managed_agent
from port_hook_cli.tunnels.protocol import Opening
from port_hook_cli.tunnels.supervised import TetheredTunnel, closed_on_failure, start_tether

_DOWNLOAD_TIMEOUT_S = 180
_LEASH = Path(__file__).with_name("supervisor.py")
_DOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,62})(\.[a-z0-9-]{1,63})+", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the leash is told, as one line of JSON on its stdin; never shown, as it may hold the token.

    `url` is the public URL that the endpoint is to have; None leaves it to ngrok and the user's settings.
    """

    agent: str
    install: bool
    config: str | None
    token: str | None = field(repr=False)
    upstream: str
    url: str | None
    timeout_s: float
    import_path: tuple[str, ...]


class NgrokTunnel(TetheredTunnel):
    """A tunnel that a leash process holds; see `port_hook_cli.tunnels.protocol.Tunnel`."""

    program = "The ngrok agent"

    def __init__(self, leash: asyncio.subprocess.Process) -> None:
        super().__init__(leash)
        self._trouble = ""

    async def wait_until_open(self) -> None:
        """Return when `url` is known; raise `TunnelError` when there will be none."""
        while report := await self.next_report():
            if "error" in report:
                raise explain(NgrokFailure(**report["error"]), self.log)
            if "url" in report:
                self.url = report["url"].rstrip("/")
                self.read_on()
                return
        raise explain(NgrokFailure(kind="Gone"), self.log)

    def health(self) -> str:
        """Return "" while the agent runs and has a session, as far as its log says: it connects anew by itself."""
        return self._trouble if self._tether.returncode is None else "the ngrok agent has ended"

    def noted(self, line: str) -> None:
        """Keep a line of the agent's log, and what it says of the session."""
        super().noted(line)
        trouble = session_trouble(line)
        if trouble is not None:
            self._trouble = trouble


async def open_ngrok(opening: Opening) -> NgrokTunnel:
    """Open an ngrok tunnel to `opening.local_url`; the agent ends when the tunnel is closed or this process dies.

    The authtoken comes from NGROK_AUTHTOKEN or the user's own ngrok settings and reaches the agent through a file
    of mode 0600. Without any `ngrok` on this machine pyngrok downloads one if the user agrees; this does not count
    toward `opening.timeout_s`. `opening.domain` is the requested host name of the public URL. Raises `TunnelError`,
    and `UsageError` for what is no domain. Cancelling it ends the agent, too.
    """
    order = _order(opening)
    if order.install:
        await _agree_to_download(opening)
        opening.notice(f"Downloading ngrok to {order.agent} …")
    # Port's secrets are none of the agent's business; pyngrok would put the token on its command line.
    kept = {n: v for n, v in opening.environ.items() if not n.startswith("PORT_") and n != "NGROK_AUTHTOKEN"}
    tunnel = NgrokTunnel(await start_tether(_LEASH, asdict(order), kept))
    bound_s = opening.timeout_s + _DOWNLOAD_TIMEOUT_S * order.install
    try:
        async with closed_on_failure(tunnel), asyncio.timeout(bound_s):
            await tunnel.wait_until_open()
    except TimeoutError:
        raise explain(NgrokFailure(kind="Timeout", message=f"{opening.timeout_s:g} s"), tunnel.log) from None
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


def _order(opening: Opening) -> Order:
    environ, home = opening.environ, opening.home
    url = f"https://{_host(opening.domain)}" if opening.domain else None
    config, token = find_config(environ, home), environ.get("NGROK_AUTHTOKEN", "").strip()
    if not config and not token:
        raise TunnelError("There is no ngrok authtoken.", hint=NO_TOKEN_HINT)
    agent = find_agent(environ, home)
    return Order(
        agent=str(agent or managed_agent(environ, home)),
        install=agent is None,
        config=str(config) if config else None,
        token=token or None,
        upstream=opening.local_url,
        url=url,
        # A second bound, in case that ours should fail; pyngrok's own does not hold for a silent agent.
        timeout_s=opening.timeout_s + 5,
        import_path=tuple(sys.path),
    )


def _host(domain: str) -> str:
    host = domain.strip().removeprefix("https://").rstrip("/")
    if not _DOMAIN.fullmatch(host):
        raise UsageError(f"{domain!r} is no domain.", hint="Write it as name.ngrok-free.app or hooks.example.com.")
    return host.lower()
