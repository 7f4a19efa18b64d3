"""What ngrok ran into, in plain words with the fix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from port_hook_cli.errors import TunnelError
from port_hook_cli.text.safe import printable, shorten

_AUTHTOKEN_PAGE = "https://dashboard.ngrok.com/get-started/your-authtoken"
_WITHOUT_NGROK = "bring your own tunnel with `--public-url URL`, or listen without one: `--tunnel none`"
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
    f"Copy it anew from {_AUTHTOKEN_PAGE}. NGROK_AUTHTOKEN in the environment wins over ngrok's own settings.",
)
_DOMAINS_PAGE = "https://dashboard.ngrok.com/domains"
_OTHER_DOMAIN = "or leave the domain out (`--domain`, or `url` in ngrok's settings) and take the one that ngrok gives"
_NOT_YOURS = (
    "The domain is not reserved for this ngrok account",
    f"Reserve it at {_DOMAINS_PAGE}, with the account that the authtoken is of, {_OTHER_DOMAIN}.",
)
_PAID_DOMAIN = (
    "The plan of this ngrok account does not serve that domain",
    f"Give the domain that {_DOMAINS_PAGE} lists for the account, {_OTHER_DOMAIN}.",
)
_TOO_OLD = ("ngrok no longer serves this version of its agent", "Run `ngrok update`, then try again.")

# https://ngrok.com/docs/errors; the codes are stable, the sentences with them are not.
_CODES = {
    "105": _WRONG_TOKEN,
    "106": _WRONG_TOKEN,
    "107": _WRONG_TOKEN,
    "108": (
        "The ngrok account allows no further agent: another one is already running",
        "Stop it: `pgrep -af ngrok` lists those on this machine, https://dashboard.ngrok.com/agents all of them.",
    ),
    "120": _TOO_OLD,
    "121": _TOO_OLD,
    "313": _PAID_DOMAIN,
    "314": _PAID_DOMAIN,
    "319": _NOT_YOURS,
    "320": _NOT_YOURS,
    "334": (
        "The account's ngrok address is already online from somewhere else",
        "Stop the agent that holds it: `pgrep -af ngrok`, or https://dashboard.ngrok.com/endpoints, shows which.",
    ),
    "354": _NOT_YOURS,
    "3200": (
        "ngrok reports the endpoint as offline",
        "Try again; if it stays so, see https://dashboard.ngrok.com/endpoints.",
    ),
    "4018": ("ngrok wants the authtoken of an account and was given none", NO_TOKEN_HINT),
    "9040": (
        "ngrok refuses connections from this network's address",
        f"Try another network, or {_WITHOUT_NGROK}.",
    ),
}
_KINDS = {
    "AgentConfigError": (
        "ngrok's settings cannot be read: {message}.",
        "Mend or remove that file; `ngrok config check` says what is wrong with it.",
    ),
    "FileNotFoundError": ("ngrok cannot be started: {message}.", f"{_GET_NGROK}, or {_WITHOUT_NGROK}."),
    "OldAgentError": (
        "The ngrok agent found is version {message}, and port-hook needs 3.16 or newer.",
        "Run `ngrok update`, or install a current one from https://ngrok.com/download.",
    ),
    "OSError": (
        "The program found as ngrok cannot be run: {message}.",
        "Install ngrok for this machine's kind of processor from https://ngrok.com/download.",
    ),
    "PermissionError": (
        "The program found as ngrok may not be run: {message}.",
        "Make it executable with `chmod +x`, or put another `ngrok` first on PATH.",
    ),
    "PyngrokNgrokInstallError": (
        "There is no ngrok on this machine, and it could not be downloaded.",
        f"{_GET_NGROK}; {_WITHOUT_NGROK}.",
    ),
}
_OFFLINE = re.compile(r"failed to reconnect session|dial tcp|no such host|network is unreachable|i/o timeout")
# The agent's log lines, in logfmt: `t=… lvl=eror msg="failed to reconnect session" obj=tunnels.session …`.
_MESSAGE = re.compile(r't=\S+ lvl=\w+ msg="([^"]*)"')
_SESSION_LOST = re.compile(r"failed to reconnect session|session closed|heartbeat timeout")
_SESSION_BACK = ("client session established", "tunnel session started")
_LAST_WORDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class NgrokFailure:
    """What the leash reported: the exception's name, its words, and the status of the agent's API, if it was that.

    `kind` is `Timeout` or `Gone` for what was noticed from outside.
    """

    kind: str
    message: str = ""
    status: int | None = None


def session_trouble(line: str) -> str | None:
    """Return what a line of the agent's log says of its session: "" for a new one, a clause for a lost one, or None."""
    match = _MESSAGE.match(line)
    if not match:
        return None
    if match[1] in _SESSION_BACK:
        return ""
    return "ngrok has lost its session and is connecting anew" if _SESSION_LOST.match(match[1]) else None


def explain(failure: NgrokFailure, log: Iterable[str] = ()) -> TunnelError:
    """Return the problem to raise. `log` holds the agent's last lines, free of the token; none need be printable."""
    log = list(log)
    code = _code(failure, log)
    if code:
        return _refused(code, failure, log)
    if failure.status == 404:  # noqa: PLR2004 - not found: the agent has no such API
        return _told("OldAgentError", "older than 3.16")
    if failure.kind in _KINDS:
        return _told(failure.kind, failure.message)
    if any(_OFFLINE.search(line) for line in (failure.message, *log)):
        return TunnelError(
            "ngrok cannot reach its service from here." + _last_words(log),
            hint=f"Check the network, and `proxy_url` in ngrok's settings behind a proxy; or {_WITHOUT_NGROK}.",
        )
    return TunnelError(_outcome(failure) + _last_words(log), hint=f"Try `ngrok diagnose`; or {_WITHOUT_NGROK}.")


def _code(failure: NgrokFailure, log: Sequence[str]) -> str | None:
    codes = [match[1] for line in (*log, failure.message) for match in re.finditer(r"ERR_NGROK_(\d+)", line)]
    return codes[-1] if codes else None


def _refused(code: str, failure: NgrokFailure, log: Sequence[str]) -> TunnelError:
    if code in _CODES:
        happened, hint = _CODES[code]
        return TunnelError(f"{happened} (ERR_NGROK_{code}).", hint=hint)
    words = _last_words(log) or f"\n  {shorten(printable(failure.message), 200)}"
    return TunnelError(
        f"ngrok refused to open the tunnel (ERR_NGROK_{code}).{words}",
        hint=f"See https://ngrok.com/docs/errors/err_ngrok_{code}; or {_WITHOUT_NGROK}.",
    )


def _told(kind: str, message: str) -> TunnelError:
    happened, hint = _KINDS[kind]
    return TunnelError(happened.format(message=shorten(printable(message), 300)), hint=hint)


def _outcome(failure: NgrokFailure) -> str:
    if failure.kind == "Timeout":
        return f"ngrok did not open the tunnel within {failure.message}."
    if failure.kind == "Gone":
        return "ngrok was stopped before the tunnel was open."
    return f"ngrok did not open the tunnel: {shorten(printable(failure.message), 300)}"


def _last_words(log: Sequence[str]) -> str:
    lines = [f"\n  {shorten(printable(line), 200)}" for line in log[-_LAST_WORDS:]]
    return " Its last words:" + "".join(lines) if lines else ""
