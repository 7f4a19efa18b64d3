"""Names that port-hook once had, and what replaces them.

A name stays here forever, so that old notes and scripts get a hint. port-hook imports this module only for an unknown
name and for `PORT_HOOK_…` variables. The values are words for the command line, such as `--verify strict`, or a
sentence.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from port_hook_cli.errors import SettingsError

COMMANDS: Mapping[str, str] = {"agent": "port-agent"}
"""Former names of commands, with the new names."""

_API = {
    "api-timeout": "Set PORT_HOOK_API_TIMEOUT to a number of seconds.",
    "insecure-api": "Set PORT_HOOK_INSECURE_API=1 in the environment.",
}
_FILES = {name: f"--with {name}=FILE" for name in ("entity", "event", "user", "secrets", "outputs")}
_NO_PAGER = {"no-pager": "Set PAGER=cat."}
_REPLAY_FAULT = "Run `port-hook check`, which finds the same mistakes."

OPTIONS: Mapping[str, Mapping[str, str]] = {
    "listen": {
        **_API,
        "in-order": "Leave it out: requests of the same run are always forwarded in order.",
        "no-in-order": "Leave it out: requests of the same run are always forwarded in order.",
        "forward-timeout": "--timeout S",
        "handler": "--forward-to 8000",
        "public-url": "--tunnel https://HOST",
        "domain": "--tunnel ngrok://DOMAIN",
        "probe-interval": "Leave it out: port-hook checks the public URL every 30 s.",
        "copy": "Press c in the terminal to copy the URL.",
        "from-end": "--since now",
        "strict": "--verify strict",
        "allow-unverified": "--verify warn",
        "no-verify": "--verify off",
        "refuse-replays": "Run `port-hook check`, which tests whether your handler rejects repeated requests.",
        "fail-rate": "--fail-first N",
        "seed": "Leave it out: --fail-first repeats exactly.",
        "drop": "--respond drop",
        "max-response": "Leave it out: the limit is 32 MiB.",
        "follow-timeout": "Leave it out: port-hook follows a run for 600 s.",
        "once": "--count 1",
        "full": "Leave it out: it is the default. --no-compact overrides a project's file.",
        "decrypt-path": "Run `port-hook decrypt last PATH`.",
        "actions": "Run `port-hook inspect --actions PATH`.",
        "open": "--inspect",
        "max-captures": "--max-store SIZE",
    },
    "captures": {
        **_NO_PAGER,
        "status-code": "--status CODE",
        "run": "Pass the run as an argument: `port-hook captures r_…`.",
        "search": "Pass the text as an argument: `port-hook captures TEXT`.",
    },
    "show": {**_NO_PAGER, "file": "Run `port-hook export last --format capture`."},
    "diff": _NO_PAGER,
    "verify": {"received-at": "Leave it out: `verify` uses the age of a capture on arrival."},
    "inspect": {
        **_API,
        "inspect-port": "--port N",
        "open": "Leave it out: the browser opens unless you pass --no-open.",
    },
    "replay": {
        **_API,
        "as": "--to lambda://HOST:PORT",
        "find-fault": _REPLAY_FAULT,
        "plot": "Leave it out: --times prints percentiles, and --json prints each latency.",
    },
    "trigger": {
        **_API,
        **_FILES,
        "inputs": "--input @FILE",
        "kafka": "--to kafka://HOST:PORT",
        "operation": "Leave it out: the action's definition contains it.",
        "origin": "Run `port-hook replay --set trigger.origin=API` with the printed request.",
    },
    "check": {
        **_API,
        **_FILES,
        "inputs": "--input @FILE",
        "output": "--with outputs=FILE",
        "find-fault": _REPLAY_FAULT,
    },
    "sign": {
        "format": "Run `port-hook export payload.json --format curl`, or pass --json.",
        "to": "Run `port-hook export payload.json --to URL`.",
        "timestamp-unit": "Pass 13 digits with --timestamp for milliseconds.",
    },
    "report-run": _API,
    "sandbox": {
        **dict.fromkeys(
            ("workflows", "actions", "blueprints"), "Pass the file as an argument: `port-hook sandbox PATH`."
        ),
        "run": "Leave it out: unknown runs are created.",
        "strict-runs": "--strict",
        "delivery-timeout": "--timeout S",
        "open": "--inspect",
    },
    "login": {
        **_API,
        "org": "Pass the name as an argument: `port-hook login NAME`.",
        "region": "Leave it out: port-hook finds the region that accepts the credentials.",
    },
    "logout": {"org": "Pass the name as an argument: `port-hook logout NAME`."},
    "doctor": {**_API, "forward-to": "--to URL|PORT"},
    "init": {
        "forward-to": "Pass the handler as an argument: `port-hook init 8000`.",
        "compact": "Write compact = true under [listen] in port-hook.toml.",
    },
    "mcp": _API,
    "port-agent": {
        **_API,
        "take-over": "Run `port-hook listen --kafka --take-over`.",
        "yes": "Leave it out: `port-agent` doesn't ask.",
        "report": "Run `port-hook report-run`.",
        "to-its-url": "Pass --to. The execution agent itself sends to other machines.",
        "timeout": "Leave it out: the agent's own timeout applies.",
        "response-status": "--response STATUS",
    },
    "render": dict.fromkeys(("within", "timeout"), "Leave it out: the limit is 5 s."),
    "restore": _API,
}
"""Former options by command, without dashes."""

_HANDLER = "Write handler = 8000 at the top of the file."
_HANDLER_KEYS = {"forward-to", "to", "handler"}


def hint_for_option(command: str, option: str) -> str:
    """Return what replaces a former option of a command, or "" for any other name. The name has no dashes."""
    instead = OPTIONS.get(command, {}).get(option, "")
    return f"Pass {instead}." if instead.startswith("--") else instead


def hint_for_key(command: str, option: str) -> str:
    """Return what replaces a former key of a project's file, or "" for any other key."""
    if option in _HANDLER_KEYS:
        return _HANDLER
    name, value = _successor(command, option)
    shown = f'"{value}"' if value else "true"
    return f"Write {name} = {shown} in [{command}]." if name else hint_for_option(command, option)


def refuse_variables(command: str, names: Collection[str], options: Collection[str]) -> None:
    """Raise SettingsError for a variable of a former option or of the command's former name.

    `names` are the `PORT_HOOK_…` variables that are set. `options` are the command's options, without dashes.
    """
    for old in (old for old, new in COMMANDS.items() if new == command):
        for name in names:
            if name.startswith(prefix := _variable(old, "")):
                successor = _variable(command, name.removeprefix(prefix))
                raise SettingsError(f"{name} has no effect: {old} is now {command}.", hint=f"Set {successor} instead.")
    for option in OPTIONS.get(command, {}):
        if (name := _variable(command, option)) in names and option not in options:
            successor, value = _successor(command, option)
            hint = f"Set {_variable(command, successor)}={value or 1}." if successor else OPTIONS[command][option]
            raise SettingsError(f"{name} has no effect: {command} has no option --{option}.", hint=hint)


def _successor(command: str, option: str) -> tuple[str, str]:
    """Return the option that replaces a former option, without dashes, and its value. Both are "" without one."""
    instead = OPTIONS.get(command, {}).get(option, "")
    name, _, value = instead.removeprefix("--").partition(" ")
    return (name, value) if instead.startswith("--") and ":" not in name else ("", "")


def _variable(command: str, option: str) -> str:
    return f"PORT_HOOK_{command}_{option}".replace("-", "_").upper()
