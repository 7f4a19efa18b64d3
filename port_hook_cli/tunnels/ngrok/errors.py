"""The errors of ngrok, with what the user can do about them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from port_hook_cli.errors import TunnelError
from port_hook_cli.text.safe import printable, shorten

_AUTHTOKEN_PAGE = "https://dashboard.ngrok.com/get-started/your-authtoken"
_WITHOUT_NGROK = "use your own tunnel with `--public-url URL`, or none with `--tunnel none`"
_GET_NGROK = "Install ngrok (https://ngrok.com/download) so that `ngrok` is on PATH"

NO_TOKEN_HINT = (
    f"Copy yours from {_AUTHTOKEN_PAGE} and run `ngrok config add-authtoken TOKEN` once, "
    "or set NGROK_AUTHTOKEN in the environment."
)
GET_NGROK_HINT = (
    "Install ngrok with your package manager or from https://ngrok.com/download, so that `ngrok` is on PATH; "
    f"or {_WITHOUT_NGROK}."
)
_WRONG_TOKEN = (
    "ngrok does not accept the authtoken",
    f"Copy it again from {_AUTHTOKEN_PAGE}. NGROK_AUTHTOKEN in the environment overrides ngrok's settings.",
)
_DOMAINS_PAGE = "https://dashboard.ngrok.com/domains"
_OTHER_DOMAIN = "or leave out the domain (`--domain`, or `url` in ngrok's settings) and use the one that ngrok chooses"
_NOT_YOURS = (
    "The domain is not reserved for this ngrok account",
    f"Reserve it at {_DOMAINS_PAGE}, with the account of the authtoken, {_OTHER_DOMAIN}.",
)
_PAID_DOMAIN = (
    "The plan of this ngrok account does not include that domain",
    f"Use the domain that {_DOMAINS_PAGE} lists for the account, {_OTHER_DOMAIN}.",
)
_TOO_OLD = ("ngrok no longer supports this version of its agent", "Run `ngrok update`, then try again.")

# https://ngrok.com/docs/errors; the codes are stable, their messages are not.
_CODES = {
    "105": _WRONG_TOKEN,
    "106": _WRONG_TOKEN,
    "107": _WRONG_TOKEN,
    "108": (
        "The ngrok account allows no more agents: another one is already running",
        "Stop it: `pgrep -af ngrok` lists those on this machine, and https://dashboard.ngrok.com/agents lists all.",
    ),
    "120": _TOO_OLD,
    "121": _TOO_OLD,
    "313": _PAID_DOMAIN,
    "314": _PAID_DOMAIN,
    "319": _NOT_YOURS,
    "320": _NOT_YOURS,
    "334": (
        "The account's ngrok domain is already in use elsewhere",
        "Stop the agent that uses it: `pgrep -af ngrok` or https://dashboard.ngrok.com/endpoints shows which one.",
    ),
    "354": _NOT_YOURS,
    "3200": (
        "ngrok reports the endpoint as offline",
        "Try again. If the error persists, see https://dashboard.ngrok.com/endpoints.",
    ),
    "4018": ("ngrok requires an authtoken, and got none", NO_TOKEN_HINT),
    "9040": (
        "ngrok refuses connections from this network's IP address",
        f"Try another network, or {_WITHOUT_NGROK}.",
    ),
}
_KINDS = {
    "AgentConfigError": (
        "ngrok's settings cannot be read: {message}.",
        "Fix or remove that file; `ngrok config check` shows the problem.",
    ),
    "FileNotFoundError": ("ngrok cannot be started: {message}.", f"{_GET_NGROK}, or {_WITHOUT_NGROK}."),
    "OldAgentError": (
        "The installed ngrok agent is version {message}; port-hook needs 3.16 or newer.",
        "Run `ngrok update`, or install the current version from https://ngrok.com/download.",
    ),
    "OSError": (
        "The ngrok program cannot be run: {message}.",
        "Install ngrok for this machine's processor from https://ngrok.com/download.",
    ),
    "PermissionError": (
        "The ngrok program is not executable: {message}.",
        "Make it executable with `chmod +x`, or put another `ngrok` before it on PATH.",
    ),
    "PyngrokNgrokInstallError": (
        "No ngrok program was found, and it could not be downloaded.",
        f"{_GET_NGROK}; {_WITHOUT_NGROK}.",
    ),
}
_OFFLINE = re.compile(r"failed to reconnect session|dial tcp|no such host|network is unreachable|i/o timeout")
# The agent's log lines, in logfmt: `t=… lvl=eror msg="failed to reconnect session" obj=tunnels.session …`.
_MESSAGE = re.compile(r't=\S+ lvl=\w+ msg="([^"]*)"')
_SESSION_LOST = re.compile(r"failed to reconnect session|session closed|heartbeat timeout")
_SESSION_BACK = ("client session established", "tunnel session started")
_LAST_LINES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFailure:
    """The error that the supervisor reported: the exception's name and message, and the status of the agent's API.

    `kind` is `Timeout` or `Gone` if the supervisor reported nothing. `status` is None for other exceptions.
    """

    kind: str
    message: str = ""
    status: int | None = None


def session_problem(line: str) -> str | None:
    """Return what a log line of the agent says about its session: "" if new, a clause if lost, else None."""
    match = _MESSAGE.match(line)
    if not match:
        return None
    if match[1] in _SESSION_BACK:
        return ""
    return "ngrok has lost its session and is reconnecting" if _SESSION_LOST.match(match[1]) else None


def explain(failure: AgentFailure, log: Iterable[str] = ()) -> TunnelError:
    """Return the error to raise. `log` holds the agent's last lines, without the token; they may be unprintable."""
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
            hint=f"Check the network and, behind a proxy, `proxy_url` in ngrok's settings; or {_WITHOUT_NGROK}.",
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
        f"ngrok refused to open the tunnel (ERR_NGROK_{code}).{output}",
        hint=f"See https://ngrok.com/docs/errors/err_ngrok_{code}; or {_WITHOUT_NGROK}.",
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
    lines = [f"\n  {shorten(printable(line), 200)}" for line in log[-_LAST_LINES:]]
    return " Its last output:" + "".join(lines) if lines else ""
