"""The commands `port-hook login` and `port-hook logout`."""

from __future__ import annotations

from enum import StrEnum, unique
from typing import Annotated

import typer

from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import NoEffect, also, argument, command, option, short_option
from port_hook_cli.errors import CREDENTIALS_IN_PORT, PortHookError, SettingsError, UsageError
from port_hook_cli.files.settings_file import LOGINS
from port_hook_cli.port_api import logins
from port_hook_cli.port_api.logins import KeptIn, Login, Logins, login_record
from port_hook_cli.runs.urls import DEFAULT_API_URL, REGIONS, parse_api_url, sends_in_the_clear
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import emit, tell
from port_hook_cli.terminal.prompts import can_ask
from port_hook_cli.text.safe import printable
from port_hook_cli.text.secret import Secret

_TIMEOUT_S = 10.0
_ONLY_LISTS = NoEffect("--list only lists", beside=("--list",))


@unique
class KeepIn(StrEnum):
    """The values of the option `--keep-in`."""

    AUTO = "auto"
    KEYRING = "keyring"
    FILE = "file"

    @property
    def only(self) -> KeptIn | None:
        """The only allowed place for the secret, or None."""
        return None if self is KeepIn.AUTO else KeptIn(self.value)


@command
def login(
    ctx: typer.Context,
    name: Annotated[
        str,
        argument(
            help="A name for the organization, for --org of other commands.",
            metavar="[NAME]",
            name="NAME",
            no_effect=(_ONLY_LISTS,),
        ),
    ] = logins.UNNAMED,
    client_id: Annotated[
        str | None,
        short_option(
            "--client-id", help="The client ID. Default: asks for it.", metavar="ID", no_effect=(_ONLY_LISTS,)
        ),
    ] = None,
    secret_file: Annotated[options.SecretFile, also(in_short_help=True)] = None,
    api_url: Annotated[
        str | None,
        short_option(
            "--api-url",
            help="Another API: an https:// URL, or a sandbox on this machine.",
            metavar="URL",
            no_effect=(_ONLY_LISTS,),
        ),
    ] = None,
    keep_in: Annotated[
        KeepIn,
        option("--keep-in", help="Where to save the secret: auto (the keyring, otherwise a file), keyring or file."),
    ] = KeepIn.AUTO,
    listing: Annotated[bool, short_option("--list", help="List the saved organizations.")] = False,
    as_json: options.Json = False,
) -> ExitCode:
    """Save an organization's credentials.

    Port checks them first. port-hook saves the secret in the system's keyring or in ~/.port-hook/logins.json, which
    only you can read. The organization becomes the default.
    """
    runtime: Runtime = ctx.obj
    if listing:
        return _list(logins.read_logins(runtime.home), runtime, as_json=as_json)
    name = logins.check_name(name)
    addresses = _addresses(api_url)
    identity, secret = _client_id(client_id, runtime), _secret(secret_file, runtime)

    import asyncio  # `logout` and `--list` start faster without it

    from port_hook_cli.port_api.access import find_api
    from port_hook_cli.port_api.responses import about_signing
    from port_hook_cli.port_api.variables import api_timeout_s

    address, claim = asyncio.run(
        find_api(identity, secret, addresses, runtime, timeout_s=api_timeout_s(runtime.environ, _TIMEOUT_S))
    )
    checked = Login(name=name, client_id=identity, api_url=address, kept_in=KeptIn.FILE, secret=secret)
    kept, remark = logins.keep_login(runtime.home, checked, only=keep_in.only)
    if as_json:
        emit(_record("login", kept, is_default=True), runtime.stdout)
    else:
        print(f"Logged in to {printable(address)} as organization {name!r}.", file=runtime.stdout)
    _tell_where(kept, remark, runtime)
    tell(f"note: {about_signing(claim)}", runtime)
    _tell_what_overrides(kept, runtime)
    return ExitCode.OK


def _addresses(api_url: str | None) -> tuple[str, ...]:
    """Return the API URLs to try. Raises UsageError for a URL that would receive the secret unencrypted."""
    if api_url is None:
        return tuple(REGIONS.values())
    try:
        address = parse_api_url(api_url)
    except ValueError as error:
        raise UsageError(f"--api-url is invalid: {error}.", hint=f"Use a URL such as {DEFAULT_API_URL}.") from error
    if sends_in_the_clear(address):
        raise UsageError(
            f"port-hook does not send the client secret to {address} because plain http is not encrypted.",
            hint="Use https:// in the URL.",
        )
    return (address,)


def _client_id(given: str | None, runtime: Runtime) -> str:
    if given is None:
        if not can_ask(runtime):
            raise SettingsError("The client ID is missing.", hint="Pass --client-id ID, or run this on a terminal.")
        print(f"You can find both values {CREDENTIALS_IN_PORT}.\nClient ID: ", end="", file=runtime.stderr, flush=True)
        given = runtime.stdin.readline().decode("utf-8", "replace")
    if not given.strip():
        raise SettingsError("The client ID is empty.", hint=f"You can find it {CREDENTIALS_IN_PORT}.")
    return given.strip()


def _secret(secret_file: str | None, runtime: Runtime) -> Secret:
    """Return the secret from a file or the terminal, without whitespace around it."""
    if secret_file is not None:
        from port_hook_cli.port_api.settings_places import read_secret_file

        text = read_secret_file(secret_file, runtime)
    elif can_ask(runtime):
        text = _typed_secret(runtime)
    else:
        raise SettingsError(
            "The client secret is missing.",
            hint="Pass --secret-file FILE, or --secret-file - for stdin, or run this on a terminal.",
        )
    runtime.keep_secret(text.strip())
    if not text.strip():
        raise SettingsError("The client secret is empty.", hint=f"You can find it {CREDENTIALS_IN_PORT}.")
    return Secret(text.strip())


def _typed_secret(runtime: Runtime) -> str:
    from getpass import getpass

    try:
        return getpass("Client secret (hidden): ", stream=runtime.stderr)
    except EOFError:
        return ""


def _tell_where(kept: Login, remark: str, runtime: Runtime) -> None:
    if kept.kept_in is KeptIn.KEYRING:
        tell(f"note: the secret is in the keyring ({printable(remark)})", runtime)
        return
    tell(f"note: the secret is in {runtime.home / LOGINS} (mode 0600), because {printable(remark)}", runtime)


def _tell_what_overrides(kept: Login, runtime: Runtime) -> None:
    """Print a note if another place has a secret, which then overrides the login."""
    from port_hook_cli.port_api.settings import ONLY_THE_SECRET, load_settings

    try:
        settings = load_settings(runtime, needs=ONLY_THE_SECRET)
    except PortHookError:
        return  # the command that needs the broken file reports the error
    if settings.secret_place and settings.secret_place != kept.place:
        source = printable(settings.sources["client_secret"])
        tell(f"note: {source} overrides this login. To use the login, pass --org {printable(kept.name)}", runtime)


def _list(kept: Logins, runtime: Runtime, *, as_json: bool) -> ExitCode:
    if kept.warning:
        tell(f"warning: {printable(kept.warning)}", runtime)
    for login in kept.by_name.values():
        is_default = login.name == kept.default
        if as_json:
            emit(_record("listed", login, is_default=is_default), runtime.stdout)
        else:
            print(_line(login, is_default=is_default), file=runtime.stdout)
    if not kept.by_name:
        tell("No logins are saved. Run `port-hook login` to save credentials.", runtime)
    return ExitCode.OK


def _line(login: Login, *, is_default: bool) -> str:
    mark = "  (default)" if is_default else ""
    return printable(f"{login.name}  {login.api_url}  client ID {login.client_id}  secret in the {login.kept_in}{mark}")


def _record(kind: str, login: Login, *, is_default: bool) -> dict[str, object]:
    return login_record(
        kind, login.name, login.client_id, login.api_url, kept_in=str(login.kept_in), is_default=is_default
    )


@command
def logout(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        argument(
            help="The organization. Required if several are saved.", metavar="[NAME]", name="NAME", excludes=("--all",)
        ),
    ] = None,
    all_of_them: Annotated[bool, short_option("--all", help="Delete the credentials of all organizations.")] = False,
    as_json: options.Json = False,
) -> ExitCode:
    """Delete saved credentials.

    Deletes only the copy on this machine. The credentials stay valid in Port.
    """
    runtime: Runtime = ctx.obj
    logins.delete_leftovers(runtime.home)
    kept = logins.read_logins(runtime.home)
    logins.refuse_unused(kept)
    chosen = _chosen(kept, name, all_of_them=all_of_them)
    for each in chosen:
        removed = logins.remove_login(runtime.home, each)
        if as_json:
            emit(_record("removed", removed, is_default=each == kept.default), runtime.stdout)
        else:
            print(f"Logged out of organization {printable(each)!r}.", file=runtime.stdout)
    if not chosen:
        tell("No logins are saved.", runtime)
    return ExitCode.OK


def _chosen(kept: Logins, name: str | None, *, all_of_them: bool) -> tuple[str, ...]:
    if all_of_them:
        return tuple(kept.by_name)
    if name is not None:
        return (name,)
    if len(kept.by_name) > 1:
        raise UsageError(
            f"Several logins are saved: {printable(', '.join(kept.by_name))}.", hint="Pass a name or --all."
        )
    return tuple(kept.by_name)
