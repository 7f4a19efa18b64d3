"""The pages of `port-hook help TOPIC`: what several commands have in common. Imported only for these pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.help_page import HelpPage

_OPTIONS: tuple[Any, ...] = (options.Json, options.Store, options.Org, options.SecretFile)
_PLACES = (
    ("--secret-file", "The client secret in a file."),
    ("--org NAME", "An organization from `login`, or from Port's ~/.port/config.yaml."),
    ("environment", "The variables below."),
    (
        "./.env, ~/.port/.env",
        "The same PORT_ variables. ./.env gets less trust, because someone else may have written it.",
    ),
    ("login", "The default organization that `port-hook login` saved."),
)
_VARIABLES = (
    ("PORT_CLIENT_ID", "The client ID of your organization."),
    ("PORT_CLIENT_SECRET", "The client secret, which signs requests."),
    ("PORT_API_URL", "The URL of Port's API. Default: https://api.port.io"),
    ("PORT_REGION", "eu or us, instead of PORT_API_URL."),
    ("PORT_HOOK_LISTEN_PORT", "The default of --port for `listen`. Each option of a command has such a variable."),
    (
        "PORT_HOOK_STORE",
        "The default of --store for all commands. --org, --secret-file and --tolerance have such variables.",
    ),
    ("PORT_HOOK_API_TIMEOUT", "The limit in seconds for each request to Port's API. Default: 30"),
    (
        "PORT_HOOK_INSECURE_API",
        "1 allows plain http to Port's API, which sends the secret unencrypted. Only in the environment.",
    ),
    ("NO_COLOR, FORCE_COLOR", "Turn colors off, or on even in a pipe. NO_COLOR takes precedence."),
    ("PAGER", "The pager for long output on a terminal. cat turns paging off."),
)


def _options(page: HelpPage) -> None:
    page.write_line("Options that many commands have. A command's help names its common options.")
    with page.section("Common options"):
        page.write_dl(map(_row, _OPTIONS))


def _row(hint: Any) -> tuple[str, str]:
    info = get_args(hint)[1]
    return f"{info.declared.name} {info.metavar or ''}".rstrip(), info.help


def _settings(page: HelpPage) -> None:
    page.write_line("Each setting comes from the first of these places that has it.")
    with page.section("Places"):
        page.write_dl(_PLACES)
    with page.section("Variables"):
        page.write_dl(_VARIABLES)
    page.write_paragraph()
    page.write_line("`port-hook init` creates port-hook.toml, which sets options for the current directory.")
    page.write_line("`port-hook doctor` shows the source of each setting.")


def _exit_codes(page: HelpPage) -> None:
    page.write_line("Codes of all commands. A code never changes its meaning.")
    with page.section("Exit codes"):
        page.write_dl((str(code.value), code.meaning) for code in ExitCode)


TOPICS: Mapping[str, Callable[[HelpPage], None]] = {
    "options": _options,
    "settings": _settings,
    "exit-codes": _exit_codes,
}
"""The pages by topic."""
