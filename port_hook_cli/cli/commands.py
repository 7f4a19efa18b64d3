"""The commands of the core and of the features, in the order of the help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from port_hook_cli.registry import CommandRow, features

_CLI = "port_hook_cli.cli"
_CORE = {
    "listen": CommandRow(f"{_CLI}.listen:listen", "Receive and read"),
    "captures": CommandRow(f"{_CLI}.captures:captures", "Receive and read"),
    "show": CommandRow(f"{_CLI}.show:show", "Receive and read"),
    "diff": CommandRow(f"{_CLI}.diff:diff", "Receive and read"),
    "verify": CommandRow(f"{_CLI}.verify:verify", "Receive and read"),
    "replay": CommandRow(f"{_CLI}.replay:replay", "Send to your handler"),
    "sign": CommandRow(f"{_CLI}.sign:sign", "Send to your handler"),
    "export": CommandRow(f"{_CLI}.export:export", "Send to your handler"),
    "report-run": CommandRow(f"{_CLI}.report_run:report_run", "Runs in Port"),
    "login": CommandRow(f"{_CLI}.login:login", "Set up"),
    "init": CommandRow(f"{_CLI}.init:init"),
    "logout": CommandRow(f"{_CLI}.login:logout"),
    "prune": CommandRow(f"{_CLI}.prune:prune"),
}
_TITLES = ("Receive and read", "Send to your handler", "Runs in Port", "Without Port", "Set up")

ADDED: Mapping[str, CommandRow] = {name: row for each in features().values() for name, row in each.commands.items()}
"""The commands of the features."""

ROWS: Mapping[str, CommandRow] = {**_CORE, **ADDED}
"""All commands, unordered."""


def _grouped(title: str) -> Sequence[str]:
    names = [name for name, row in _CORE.items() if row.group == title]
    for name, row in ADDED.items():
        if row.group == title:
            follows = names.index(row.after) + 1 if row.after in names else len(names) if row.after else 0
            names.insert(follows, name)
    return tuple(names)


GROUPS: Mapping[str, Sequence[str]] = {title: names for title in _TITLES if (names := _grouped(title))}
"""The commands by help heading, with the most used first."""

MORE = tuple(sorted(_grouped("")))
"""The commands whose descriptions `--help` shows only with `--all`."""

COMMANDS = (*(name for names in GROUPS.values() for name in names), *MORE)
