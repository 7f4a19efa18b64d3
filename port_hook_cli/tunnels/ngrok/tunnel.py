"""ngrok tunnels: the agent under a supervisor (`supervisor.py`), its settings, and explanations of its errors."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, field
from pathlib import Path

from port_hook_cli.errors import TunnelError
from port_hook_cli.frozen import frozen
from port_hook_cli.installed import find_programs
from port_hook_cli.text.safe import printable, shorten
from port_hook_cli.tunnels.protocol import NotUsable, Opening, Usable
from port_hook_cli.tunnels.supervised import SupervisedTunnel, closed_on_failure, quoted_output, start_supervisor

# pyngrok installs a script named `ngrok` next to Python. The agent itself is about 30 MB.
_MAX_SCRIPT_BYTES = 1 << 20
_DOWNLOAD_TIMEOUT_S = 180
_SUPERVISOR = Path(__file__).with_name("supervisor.py")


@frozen(kw_only=True)
class StartRequest:
    """The data that the supervisor needs, as one line of JSON on its stdin.

    The data may contain the token, so it is never shown. `url` is the requested public URL. If it is None, ngrok and
    the user's settings choose the URL.
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
    """A tunnel of the ngrok agent. See `port_hook_cli.tunnels.protocol.Tunnel`."""

    program = "The ngrok agent"

    def __init__(self, supervisor: asyncio.subprocess.Process) -> None:
        super().__init__(supervisor)
        self._session_problem = ""

    async def wait_until_open(self) -> None:
        """Wait until `url` is known. Raises TunnelError if the agent does not open the tunnel."""
        while report := await self.next_report():
            if "error" in report:
                raise explain(AgentFailure(**report["error"]), self.log)
            if "url" in report:
                self.url = report["url"].rstrip("/")
                self.keep_reading()
                return
        raise explain(AgentFailure(kind="Gone"), self.log)

    def health(self) -> str:
        """Return "" while the agent runs and its log shows a session. The agent reconnects by itself."""
        return self._session_problem if self._supervisor.returncode is None else "the ngrok agent has ended"

    def logged(self, line: str) -> None:
        """Store a line of the agent's log, and the state of the session that the line shows."""
        super().logged(line)
        problem = session_problem(line)
        if problem is not None:
            self._session_problem = problem


async def open_ngrok(opening: Opening) -> NgrokTunnel:
    """Open an ngrok tunnel to `opening.local_url`. The agent ends when the tunnel is closed or this process dies.

    The authtoken comes from NGROK_AUTHTOKEN or from the user's ngrok settings, and reaches the agent in a file with
    mode 0600. If this machine has no `ngrok` program, pyngrok downloads the program after the user agrees. The download
    doesn't count toward `opening.timeout_s`. `opening.address` is `ngrok://` with the requested domain, or None. Raises
    TunnelError. Cancelling this call also ends the agent.
    """
    request = _start_request(opening)
    if request.install:
        await _agree_to_download(opening)
        opening.notice(f"Downloading ngrok to {request.agent} …")
    # The agent must not get Port's secrets. pyngrok would put a token from the environment on the agent's command line.
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
    """Ask the user before downloading a program that cannot be verified. Raises TunnelError if the user does not agree.

    pyngrok fetches a "stable" archive whose content changes with each release, and ngrok publishes no checksum for it.
    """
    if not opening.can_ask:
        raise TunnelError(
            "No ngrok program was found. port-hook downloads it only if you agree on a terminal, "
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
    url = opening.address.replace("ngrok://", "https://") if opening.address else None
    config, token = find_config(environ, home), environ.get("NGROK_AUTHTOKEN", "").strip()
    if not config and not token:
        raise TunnelError("ngrok needs an authtoken, but none is set.", hint=NO_TOKEN_HINT)
    agent = find_agent(environ, home)
    return StartRequest(
        agent=str(agent or managed_agent(environ, home)),
        install=agent is None,
        config=str(config) if config else None,
        token=token or None,
        upstream=opening.local_url,
        url=url,
        # The timeout of port-hook must end first, because pyngrok's timeout has no effect on a silent agent.
        timeout_s=opening.timeout_s + 5,
        import_path=tuple(sys.path),
    )


def find_config(environ: Mapping[str, str], home: Path, platform: str = sys.platform) -> Path | None:
    """Return the path of the user's ngrok settings.

    The path is NGROK_CONFIG, or ngrok.yml in the agent's default directory if this file exists.
    """
    named = environ.get("NGROK_CONFIG")
    if not named:
        path = ngrok_folder(environ, home, platform) / "ngrok.yml"
        return path if path.is_file() else None
    if not Path(named).is_file():
        raise TunnelError(f"NGROK_CONFIG is invalid: file not found: {named}.", hint="Correct or unset it.")
    return Path(named)


def find_agent(environ: Mapping[str, str], home: Path) -> Path | None:
    """Return the path of ngrok: PYNGROK_NGROK_PATH, `ngrok` on PATH, or the program that pyngrok installed."""
    named = environ.get("PYNGROK_NGROK_PATH")
    if named:
        if not Path(named).is_file():
            raise TunnelError(f"PYNGROK_NGROK_PATH is invalid: file not found: {named}.", hint="Correct or unset it.")
        return Path(named)
    found = map(Path, find_programs("ngrok", environ))
    on_path = next((path for path in found if not _is_pyngrok(path)), None)
    managed = managed_agent(environ, home)
    return on_path or (managed if managed.is_file() else None)


def managed_agent(environ: Mapping[str, str], home: Path, platform: str = sys.platform) -> Path:
    """Return the path where pyngrok installs the agent."""
    return ngrok_folder(environ, home, platform) / ("ngrok.exe" if platform == "win32" else "ngrok")


def ngrok_folder(environ: Mapping[str, str], home: Path, platform: str = sys.platform) -> Path:
    """Return the directory where ngrok (https://ngrok.com/docs/agent/config) and pyngrok store the user's files."""
    if platform == "darwin":
        return home / "Library" / "Application Support" / "ngrok"
    if platform == "win32":
        return Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "ngrok"
    return Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "ngrok"


def check_usable(environ: Mapping[str, str], home: Path, *, can_ask: bool) -> Usable | NotUsable:
    """Return why `--tunnel auto` can use ngrok, or why it cannot.

    The agent must be installed: `auto` never downloads it.
    """
    del can_ask
    try:
        if find_agent(environ, home) is None:
            return NotUsable("the ngrok program is not installed")
        if environ.get("NGROK_AUTHTOKEN", "").strip():
            return Usable("NGROK_AUTHTOKEN is set")
        if config := find_config(environ, home):
            return Usable(f"{config} exists")
    except TunnelError as problem:
        return NotUsable(problem.message.removesuffix("."))
    return NotUsable("NGROK_AUTHTOKEN is not set, and ngrok has no configuration file")


def _is_pyngrok(path: Path) -> bool:
    """Return whether the file is pyngrok's script named `ngrok`. This script would start another agent."""
    with contextlib.suppress(OSError):
        return path.stat().st_size < _MAX_SCRIPT_BYTES and b"pyngrok" in path.read_bytes()
    return False


_AUTHTOKEN_PAGE = "https://dashboard.ngrok.com/get-started/your-authtoken"
_WITHOUT_NGROK = "use another tunnel (`--tunnel localhost.run` needs no account or program)"
_GET_NGROK = "Install ngrok (https://ngrok.com/download) so that `ngrok` is on PATH"

NO_TOKEN_HINT = (
    f"Copy yours from {_AUTHTOKEN_PAGE} and run `ngrok config add-authtoken TOKEN` once, "
    "or set NGROK_AUTHTOKEN in the environment."
)
GET_NGROK_HINT = f"{_GET_NGROK}, or {_WITHOUT_NGROK}."
_WRONG_TOKEN = (
    "ngrok does not accept the authtoken",
    f"Copy it again from {_AUTHTOKEN_PAGE}. NGROK_AUTHTOKEN in the environment overrides ngrok's settings.",
)
_DOMAINS_PAGE = "https://dashboard.ngrok.com/domains"
_OTHER_DOMAIN = "or let ngrok choose one"
_NOT_YOURS = (
    "The domain is not reserved for this ngrok account",
    f"Reserve it at {_DOMAINS_PAGE}, with the account of the authtoken, {_OTHER_DOMAIN}.",
)
_PAID_DOMAIN = (
    "The plan of this ngrok account does not include that domain",
    f"Use the domain that {_DOMAINS_PAGE} lists for the account, {_OTHER_DOMAIN}.",
)
_TOO_OLD = ("ngrok no longer supports this version of its agent", "Run `ngrok update`, then try again.")

# The codes are from https://ngrok.com/docs/errors. They are stable, but their messages are not.
_CODES = {
    "105": _WRONG_TOKEN,
    "106": _WRONG_TOKEN,
    "107": _WRONG_TOKEN,
    "108": (
        "The ngrok account allows no more agents: another agent is already running",
        "Stop it: `pgrep -af ngrok` lists agents on this machine, and https://dashboard.ngrok.com/agents lists all.",
    ),
    "120": _TOO_OLD,
    "121": _TOO_OLD,
    "313": _PAID_DOMAIN,
    "314": _PAID_DOMAIN,
    "319": _NOT_YOURS,
    "320": _NOT_YOURS,
    "334": (
        "The account's ngrok domain is already in use elsewhere",
        "Stop the agent that uses it: `pgrep -af ngrok` or https://dashboard.ngrok.com/endpoints shows the agent.",
    ),
    "354": _NOT_YOURS,
    "3200": (
        "ngrok reports the endpoint as offline",
        "Try again. If the error persists, see https://dashboard.ngrok.com/endpoints.",
    ),
    "4018": ("ngrok requires an authtoken, but got none", NO_TOKEN_HINT),
    "9040": (
        "ngrok blocks connections from this network's IP address",
        f"Try another network, or {_WITHOUT_NGROK}.",
    ),
}
_KINDS = {
    "AgentConfigError": (
        "port-hook cannot read ngrok's settings: {message}.",
        "Fix or remove that file. `ngrok config check` shows the problem.",
    ),
    "FileNotFoundError": ("port-hook cannot start ngrok: {message}.", GET_NGROK_HINT),
    "OldAgentError": (
        "The installed ngrok agent is version {message}, but port-hook needs 3.16 or later.",
        "Run `ngrok update`, or install the current version from https://ngrok.com/download.",
    ),
    "OSError": (
        "port-hook cannot run the ngrok program: {message}.",
        "Install ngrok for this machine's processor from https://ngrok.com/download.",
    ),
    "PermissionError": (
        "The ngrok program is not executable: {message}.",
        "Make it executable with `chmod +x`, or put another `ngrok` before it on PATH.",
    ),
    "PyngrokNgrokInstallError": (
        "No ngrok program was found, and the download failed.",
        GET_NGROK_HINT,
    ),
}
_OFFLINE = re.compile(r"failed to reconnect session|dial tcp|no such host|network is unreachable|i/o timeout")
# The agent's log lines are in logfmt: `t=… lvl=eror msg="failed to reconnect session" obj=tunnels.session …`.
_MESSAGE = re.compile(r't=\S+ lvl=\w+ msg="([^"]*)"')
_SESSION_LOST = re.compile(r"failed to reconnect session|session closed|heartbeat timeout")
_SESSION_BACK = ("client session established", "tunnel session started")
_LAST_LINES = 5


@frozen(kw_only=True)
class AgentFailure:
    """The supervisor's report of an error: the name and message of the exception, and the status of the agent's API.

    `kind` is `Timeout` or `Gone` if the supervisor reported nothing. `status` is None for exceptions without a status.
    """

    kind: str
    message: str = ""
    status: int | None = None


def session_problem(line: str) -> str | None:
    """Return the session's state in a log line of the agent: "" for a new session, a clause for a lost one, or None."""
    match = _MESSAGE.match(line)
    if not match:
        return None
    if match[1] in _SESSION_BACK:
        return ""
    return "ngrok has lost its session and is reconnecting" if _SESSION_LOST.match(match[1]) else None


def explain(failure: AgentFailure, log: Iterable[str] = ()) -> TunnelError:
    """Return the error to raise. `log` holds the agent's last lines without the token. The lines may be unprintable."""
    log = list(log)
    code = _code(failure, log)
    if code:
        return _refused(code, failure, log)
    if failure.status == 404:  # noqa: PLR2004 - not found: the agent has no such API
        return _known_error("OldAgentError", "older than 3.16")
    if failure.kind in _KINDS:
        return _known_error(failure.kind, failure.message)
    if any(_OFFLINE.search(line) for line in (failure.message, *log)):
        return TunnelError(
            "ngrok cannot connect to its service." + _last_output(log),
            hint=f"Check the network and, behind a proxy, `proxy_url` in ngrok's settings. Or {_WITHOUT_NGROK}.",
        )
    return TunnelError(_outcome(failure) + _last_output(log), hint=f"Run `ngrok diagnose`, or {_WITHOUT_NGROK}.")


def _code(failure: AgentFailure, log: Sequence[str]) -> str | None:
    codes = [match[1] for line in (*log, failure.message) for match in re.finditer(r"ERR_NGROK_(\d+)", line)]
    return codes[-1] if codes else None


def _refused(code: str, failure: AgentFailure, log: Sequence[str]) -> TunnelError:
    if code in _CODES:
        happened, hint = _CODES[code]
        return TunnelError(f"{happened} (ERR_NGROK_{code}).", hint=hint)
    output = _last_output(log) or f"\n  {shorten(printable(failure.message), 200)}"
    return TunnelError(
        f"ngrok rejected the tunnel (ERR_NGROK_{code}).{output}",
        hint=f"See https://ngrok.com/docs/errors/err_ngrok_{code}. Or {_WITHOUT_NGROK}.",
    )


def _known_error(kind: str, message: str) -> TunnelError:
    happened, hint = _KINDS[kind]
    return TunnelError(happened.format(message=shorten(printable(message), 300)), hint=hint)


def _outcome(failure: AgentFailure) -> str:
    if failure.kind == "Timeout":
        return f"ngrok did not open the tunnel within {failure.message}."
    if failure.kind == "Gone":
        return "ngrok was stopped before the tunnel was open."
    return f"ngrok did not open the tunnel: {shorten(printable(failure.message), 300)}"


def _last_output(log: Sequence[str]) -> str:
    return quoted_output([shorten(printable(line), 200) for line in log[-_LAST_LINES:]])
