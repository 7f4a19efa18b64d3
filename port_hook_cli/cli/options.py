"""Options that several commands share: one name, one meaning, and one help text each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from port_hook_cli.cli.option_groups import ANY_VALUE, NEVER, NoEffect, Trust, option, option_group

if TYPE_CHECKING:
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.runtime import Runtime


def finite(seconds: float | None) -> float | None:
    """Return the number of seconds of an option.

    Raises BadParameter for `inf` and `nan`, which are floats in Python.
    """
    if seconds is not None and not math.isfinite(seconds):
        raise typer.BadParameter(f"{seconds} is not a number of seconds.")
    return seconds


def size(text: str) -> int:
    """Return the size of an option in bytes. Raises BadParameter if `text` is not a size."""
    from port_hook_cli.http.limits import parse_size  # few commands have size options

    try:
        return parse_size(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def one_of(names: Sequence[str]) -> Callable[[str], str]:
    """Return a parser that accepts only `names`. Unlike an enum, the parser can use names from a table."""

    def parse(text: str) -> str:
        if text not in names:
            raise typer.BadParameter(f"{text!r} is not one of {', '.join(map(repr, names))}.")
        return text

    return parse


def request_format(names: Sequence[str], text: str, *, trust: Trust = NEVER, no_effect: Sequence[NoEffect] = ()) -> Any:
    """Return the option --format for `Annotated`. `names` contains `invocations.snippets.FORMATS` and more formats.

    `text` is the help before the names, such as `The format:`.
    """
    return option(
        "--format",
        help=f"{text} {', '.join(names[:-1])} or {names[-1]}.",
        metavar="FORMAT",
        parser=one_of(names),
        choices=tuple(names),
        trust=trust,
        no_effect=tuple(no_effect),
    )


def seconds(flag: str, text: str, *, least: float = 0, trust: Trust = NEVER) -> Any:
    """Return an option for `Annotated` whose value is a number of seconds, at least `least`. `text` is its help."""
    return option(flag, metavar="S", min=least, help=text, callback=finite, trust=trust)


def target(
    text: str, *, trust: Trust = NEVER, no_effect: tuple[NoEffect, ...] = (), in_short_help: bool = False
) -> Any:
    """Return the option --to for `Annotated`, the target of requests. `text` is its help."""
    return option("--to", metavar="URL|PORT", help=text, trust=trust, no_effect=no_effect, in_short_help=in_short_help)


Json = Annotated[
    bool,
    option(
        "--json", help="Print only versioned JSON records on stdout, one per line.", trust=ANY_VALUE, is_shared=True
    ),
]
Store = Annotated[
    Path | None,
    option(
        "--store",
        is_shared=True,
        help="The capture store. Default: .port-hook/captures.db in the current directory.",
        metavar="PATH",
    ),
]
Org = Annotated[
    str | None,
    option(
        "--org", is_shared=True, help="The organization to use, from `login` or ~/.port/config.yaml.", metavar="NAME"
    ),
]
SecretFile = Annotated[
    str | None,
    option(
        "--secret-file",
        is_shared=True,
        help="Read the client secret from a file, or from stdin with '-'.",
        metavar="PATH|-",
        stdin="the secret",
    ),
]
InspectPort = Annotated[
    int, option("--inspect-port", metavar="N", help="The inspector's port; 0 chooses a free port.", min=0, max=65535)
]
InspectActions = Annotated[
    list[Path] | None,
    option(
        "--actions",
        metavar="PATH",
        help="Offer the actions and workflows in this file or directory in the inspector (repeatable).",
    ),
]
PrivateKey = Annotated[
    str | None, option("--private-key", metavar="FILE", help="The private key for inputs with client-side encryption.")
]
Tolerance = Annotated[
    float, seconds("--tolerance", "Accept timestamps that are at most S seconds off.", trust=Trust(0.0, 300.0))
]
ResponseTimeout = Annotated[
    float, seconds("--timeout", "Wait S seconds for each response; 0 waits indefinitely.", trust=Trust(0.001, 40.0))
]
TIMESTAMP_UNIT = option(
    "--timestamp-unit", help="The unit of the timestamp: seconds, as documented, or milliseconds.", trust=ANY_VALUE
)
"""The option for a TimestampUnit, to use in `Annotated`.

This module does not import the type, because not every command signs.
"""
DryRun = Annotated[bool, option("--dry-run", help="Print what would be sent, without sending it.")]
ExpectStatus = Annotated[
    str | None,
    option(
        "--expect-status",
        metavar="CODE|2xx",
        help="Exit with code 1 unless every response had this status.",
        trust=ANY_VALUE,
    ),
]


@option_group()
class CredentialOptions:
    """The options for the organization and its client secret."""

    org: Org = None
    secret_file: SecretFile = None

    def access(self, runtime: Runtime, *, needs: tuple[str, ...] | None = None) -> PortAccess:
        """Return the access to Port, by default for its API.

        The secret's file is read only if `needs` include the secret.
        """
        from port_hook_cli.port_api.access import PortAccess
        from port_hook_cli.port_api.settings import ALL_NEEDS
        from port_hook_cli.terminal.console import sayer

        needs = ALL_NEEDS if needs is None else needs

        return PortAccess(
            runtime,
            sayer(runtime),
            org=self.org,
            secret_file=self.secret_file if "client_secret" in needs else None,
            needs=needs,
        )
