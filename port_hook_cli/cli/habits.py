"""Options and commands of other tools (curl, gh, HTTPie, ngrok, stripe), and what port-hook has instead.

port-hook imports this module only for an invalid command line. A habit comes before the most similar name, because
`--url` doesn't mean `--org`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from port_hook_cli.cli import gone
from port_hook_cli.invocations.payload import is_run_id


class Habit(NamedTuple):
    """Options of other tools, and the hint about what to use instead.

    The habit applies to commands with the option `instead`. If `instead` is empty, it applies to `commands`.
    """

    typed: tuple[str, ...]
    hint: str
    instead: str = ""
    commands: tuple[str, ...] = ()


_SECRETS = ("--secret", "--client-secret", "--secret-key", "--api-key", "--token", "--key", "--password")
_URLS = ("--url", "--target", "--destination", "--endpoint", "--forward", "--handler", "--forward-url")
_BODIES = ("--data", "--data-raw", "--data-binary", "-d", "--body", "--payload", "--raw")
_CAPTURED = ("show", "replay", "verify", "export", "diff")
_WITH_MORE = ("listen", "replay", "trigger", "check", "sandbox", "report-run", "port-agent")
_FILED = ("sign", "verify", "replay", "trigger", "port-agent", "check")

# If several habits apply, the first counts.
HABITS: Sequence[Habit] = (
    Habit(
        _SECRETS,
        "Set PORT_CLIENT_SECRET or pass --secret-file FILE. Other users of this machine can read a command line.",
        "--secret-file",
    ),
    Habit(
        (*_URLS, "--to"),
        "Pass your handler as an argument: `port-hook listen 8000`. For your own tunnel, pass --tunnel https://HOST.",
        "--forward-to",
    ),
    Habit((*_URLS, "--forward-to", "--host", "--port", "-p"), "Pass the target with --to, such as --to 8000.", "--to"),
    Habit(_BODIES, "Change the body of the source with --set PATH=JSON or --edit.", "--set"),
    Habit(
        (*_BODIES, "--set", "--property", "--properties", "--param", "--params"),
        "Pass inputs with --input NAME=VALUE, or as a file with --input @FILE.",
        "--input",
    ),
    Habit(
        ("-F", "-f"),
        "Pass the file as an argument, and inputs with --input NAME=VALUE.",
        "--input",
    ),
    Habit(("--raw",), "Pass --body to write the raw body.", commands=("show",)),
    Habit(
        ("--curl", "--httpie", "--har", "--postman", "--as", "--type"),
        "Pass the format with --format, such as --format curl.",
        commands=("export", "trigger"),
    ),
    Habit(("--headers",), "Pass each header with --header NAME:VALUE.", "--header"),
    Habit(("--request", "--verb"), "Pass the method with --method.", "--method"),
    Habit(("--verbose", "-v", "-vv", "--debug", "--trace"), "Pass --json to print all details.", "--json"),
    Habit(("--quiet", "-q", "--silent", "-s"), "Pass --compact for one line per invocation.", "--compact"),
    Habit(("--quiet", "-q", "--silent", "-s"), "Add 2>/dev/null: results are on stdout, the rest on stderr.", "--json"),
    Habit(("--skip-verify", "--no-verification", "--no-signature"), "Pass --verify off.", "--verify"),
    Habit(("-k", "--insecure"), "Pass --verify warn to accept requests without a valid signature.", "--verify"),
    Habit(("--subdomain", "--hostname"), "Pass --tunnel ngrok://DOMAIN for a static domain.", "--tunnel"),
    Habit(
        ("--public", "--ngrok", "--expose", "--share"),
        "Choose a tunnel with --tunnel, such as --tunnel ngrok.",
        "--tunnel",
    ),
    Habit(("--event", "--events", "--action", "--filter"), "Choose actions with --only ACTION.", "--only", ()),
    Habit(("--status", "--status-code", "--response"), "Choose the response with --respond, such as 503.", "--respond"),
    Habit(("--code", "--http-status"), "Pass an HTTP status with --status.", commands=("captures",)),
    Habit(
        ("--filter", "--query", "--grep", "-q", "--match"),
        "Pass the text as an argument: `port-hook captures TEXT`, or use --jq EXPR.",
        commands=("captures",),
    ),
    Habit(("-n", "--number", "--lines", "--max", "--tail", "--head"), "Pass the number with --limit.", "--limit"),
    Habit(("--follow", "-f", "--tail"), "Pass --watch to see new captures.", "--watch"),
    Habit(("-n", "--number", "--repeat", "--requests"), "Pass the number of requests with --times.", "--times"),
    Habit(("-c", "--parallel", "--workers", "--threads"), "Pass the number with --concurrency.", "--concurrency"),
    Habit(
        ("--run-id", "--run", "-r"),
        "Pass the run as an argument: `port-hook {command} r_…`.",
        commands=("captures", "report-run"),
    ),
    Habit(("--message", "--text", "-m"), "Pass a log message with --log.", "--log"),
    Habit(("--dry", "--preview", "-n"), "Pass --dry-run.", "--dry-run"),
    Habit(("--force", "-f", "--no-confirm", "--assume-yes"), "Pass --yes.", "--yes"),
    Habit(("-v",), "Run `port-hook --version` to print the version.", "--version"),
    Habit(("--print-json", "--output-format", "--format", "-j", "-o"), "Pass --json.", "--json"),
    Habit(("--out", "--outfile"), "Pass the file with --output.", commands=("export",)),
    Habit(
        ("--id", "--capture", "--last", "--latest"),
        "Pass the capture as an argument: `port-hook {command} last`.",
        commands=_CAPTURED,
    ),
    Habit(_BODIES, "Pass the file as an argument: `port-hook {command} FILE`.", commands=("sign",)),
    Habit(
        ("--find-fault", "--findfault"),
        "Run `port-hook check --to 8000`.",
        commands=("trigger", "verify", "sign", "listen"),
    ),
    Habit(("--curl", "--httpie", "--http"), "Run `port-hook export FILE`.", commands=("sign",)),
    Habit(("--all",), "Run `port-hook {command} --help --all` to show all options.", commands=_WITH_MORE),
    Habit(("--file", "-f"), "Pass the file as an argument: `port-hook {command} FILE`.", commands=_FILED),
)

_LISTEN = "Run `port-hook listen 8000`."
_CAPTURES = "Run `port-hook captures` to list captures."
_TRIGGER = "Run `port-hook trigger ACTION`."
_RUNS = "Run `port-hook runs` to show runs in Port, or `port-hook captures` to list captures."
COMMANDS_ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(("http", "start", "serve", "forward", "tunnel", "expose", "watch", "up", "proxy"), _LISTEN),
    **dict.fromkeys(("list", "ls", "events", "history", "requests"), _CAPTURES),
    **dict.fromkeys(("run", "status", "logs", "log"), _RUNS),
    **dict.fromkeys(("invoke", "execute", "exec", "fire", "call"), _TRIGGER),
    **dict.fromkeys(("action", "actions", "workflow", "workflows"), "Run `port-hook trigger --list`."),
    **dict.fromkeys(("resend", "retry", "send", "repeat", "post"), "Run `port-hook replay last`."),
    **dict.fromkeys(("get", "view", "cat", "describe", "print"), "Run `port-hook show last`."),
    **{name: f"Run `port-hook export last --format {name}`." for name in ("curl", "httpie", "har", "postman")},
    **dict.fromkeys(("ui", "web", "dashboard", "open", "browse"), "Run `port-hook inspect`."),
    **dict.fromkeys(
        ("test", "lint", "audit", "find-fault", "debug", "fix", "fault"),
        "Run `port-hook check --to 8000` to check your handler.",
    ),
    **dict.fromkeys(("report", "update-run", "finish", "log-run"), "Run `port-hook report-run RUN_ID`."),
    **dict.fromkeys(
        ("config", "configure", "settings"), "Run `port-hook help settings`, or `port-hook init` for port-hook.toml."
    ),
    **dict.fromkeys(("auth", "signin", "sign-in"), "Run `port-hook login`."),
    **dict.fromkeys(("whoami", "diagnose", "ping"), "Run `port-hook doctor`."),
    **dict.fromkeys(("mock", "server", "fake", "emulator"), "Run `port-hook sandbox`."),
    **dict.fromkeys(("clean", "clear", "delete", "rm", "purge"), "Run `port-hook prune`."),
    **dict.fromkeys(("completion", "completions"), "Run `port-hook --install-completion`."),
    **dict.fromkeys(("compare",), "Run `port-hook diff`."),
    **dict.fromkeys(("explain", "why", "validate"), "Run `port-hook verify last`."),
    **dict.fromkeys(("example", "tutorial", "quickstart"), "Run `port-hook demo`."),
}
"""Commands of other tools, and the hint for each."""

_SIMILAR = 0.75
_LEAST_START = 3
_PLACE = re.compile(r":?\d{2,5}|(?:https?://|localhost\b|127\.0\.0\.1\b|\[::1\]).*|[\w.-]+:\d{2,5}(?:/.*)?")
_SIGNATURE = re.compile(r"v\d,.*|[0-9a-fA-F]{64}|[A-Za-z0-9+/_-]{43}=", re.DOTALL)
_STATUS = re.compile(r"[1-5](?:\d\d|xx)")
_RANGE = re.compile(r"[\d.]+\s*(?:\.\.|-|,|:)\s*[\d.]+")
_INPUT = re.compile(r"[A-Za-z_][\w.-]*:?=.*", re.DOTALL)

_SHAPES: Sequence[tuple[Callable[[str], object], str]] = (
    (_PLACE.fullmatch, "Run `port-hook listen {}`."),
    (is_run_id, "Run `port-hook captures {}`."),
    (re.compile("last.*|[0-9a-f]{4,12}").fullmatch, "Run `port-hook show {}`."),
    (
        re.compile(r"[^{}]+\.(?:json|http)").fullmatch,
        "Run `port-hook replay {0}`, or `port-hook trigger {0}` for an action or a workflow.",
    ),
)
"""Patterns of words that are not commands, and the hints."""

_ARGUMENTS: Sequence[tuple[Callable[[str], object], str, str]] = (
    (
        re.compile("(?i:success|failure|failed|cancelled)").fullmatch,
        "--label",
        "Pass the status with --status: `--status {}`.",
    ),
    (_SIGNATURE.fullmatch, "--signature", "Pass a signature with --signature: `--signature {}`."),
    (_PLACE.fullmatch, "--to", "Pass it with --to: `--to {}`."),
    (re.compile(r"\d{2,5}").fullmatch, "--port", "Pass it with --port: `--port {}`."),
    (_INPUT.fullmatch, "--input", "Pass inputs with --input: `--input {}`."),
    (_INPUT.fullmatch, "--set", "Pass changes with --set: `--set {}`."),
)
"""Patterns of unexpected arguments, the options that accept them, and the hints."""


def hint_for_option(command: str, typed: str, options: Collection[str]) -> str:
    """Return the hint for an option that `command` doesn't have, or "" if there is no hint."""
    if hint := gone.hint_for_option(command, typed.removeprefix("--")):
        return hint
    for habit in HABITS:
        applies = habit.instead in options if habit.instead else command in habit.commands
        if typed in habit.typed and applies:
            return habit.hint.format(command=command)
    found = closest(typed, options)
    return f"Did you mean {found}?" if found else ""


def hint_for_root_option(typed: str, words: Sequence[str], options_of: Mapping[str, Collection[str]]) -> str:
    """Return the hint for an option before the command, or "" if the command doesn't have that option."""
    name = typed.partition("=")[0]
    command = next((word for word in words if name in options_of.get(word, ())), None)
    return f"Put it after the command: `port-hook {command} {name}`." if command else ""


def hint_for_command(typed: str, commands: Iterable[str]) -> str:
    """Return the hint for an unknown command, or "" if there is no hint."""
    if new := gone.COMMANDS.get(typed):
        return f"Run `port-hook {new}`."
    if hint := COMMANDS_ELSEWHERE.get(typed.lower()):
        return hint
    if similar := closest(typed, commands):
        return f"Did you mean {similar}?"
    found = next((hint for looks_like, hint in _SHAPES if looks_like(typed)), "")
    return found.format(_pasted(typed))


def hint_for_argument(typed: str, options: Collection[str]) -> str:
    """Return the hint for an argument that a command doesn't accept, or "" if there is no hint."""
    word = _pasted(typed)
    for looks_like, name, hint in _ARGUMENTS:
        if name in options and looks_like(typed):
            return hint.format(word)
    return ""


def _pasted(typed: str) -> str:
    """Return a word, quoted for a shell, because someone else may have chosen the name of a mistyped file."""
    return shlex.quote(typed)


def hint_for_value(command: str, option: str, typed: str) -> str:
    """Return the hint for a value that an option doesn't accept, or "" if there is no hint."""
    if command == "captures" and option == "--verdict" and _STATUS.fullmatch(typed):
        return f"Pass an HTTP status with --status: `--status {typed}`."
    if option == "--delay" and _RANGE.fullmatch(typed):
        return "Pass one number of seconds, such as `--delay 1`."
    return ""


def closest(typed: str, names: Iterable[str]) -> str | None:
    """Return the closest name: the most similar name, or a name that begins with `typed`. Return None without one."""
    found = max(_scores(typed, names), default=(0.0, ""))
    return found[1] or None


def _scores(typed: str, names: Iterable[str]) -> Iterator[tuple[float, str]]:
    wanted = typed.lstrip("-").lower()
    for name in names:
        bare = name.lstrip("-")
        if name.startswith("--") != typed.startswith("--"):
            continue
        score = SequenceMatcher(None, wanted, bare).ratio()
        is_close = score > _SIMILAR or (score == _SIMILAR and wanted[:1] == bare[:1])
        if is_close or (len(wanted) >= _LEAST_START and bare.startswith(wanted)):
            yield score, name
