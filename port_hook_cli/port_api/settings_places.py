"""The places of settings. Each place is read only when necessary."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from port_hook_cli.errors import CredentialsError, SettingsError
from port_hook_cli.files.settings_file import ENVIRONMENT, LOGINS, PROJECT_FILE, SECRET_VARIABLE
from port_hook_cli.files.user_files import read_stdin
from port_hook_cli.frozen import frozen
from port_hook_cli.runs.urls import DEFAULT_API_URL, parse_api_url, region_api_url
from port_hook_cli.runtime import Runtime

if TYPE_CHECKING:
    from port_hook_cli.files.dotenv import DotenvFile
    from port_hook_cli.port_api.logins import Login, Logins

_API_URL_VARIABLES = ("PORT_API_URL", "PORT_API_BASE_URL", "PORT_REGION")


@frozen
class Found:
    """The value of a setting, with its place and its variable."""

    value: str
    place: str
    variable: str = ""

    def __repr__(self) -> str:
        return f"Found({self.source})"  # the value may be a secret

    @property
    def source(self) -> str:
        """A description of the setting's source for messages."""
        return f"{self.variable} in {self.place}" if self.variable else self.place


# The settings of a place by name, and why the place lacks others.
PlaceReading: TypeAlias = tuple[Mapping[str, Found], tuple[str, ...]]


class SettingsPlaces:
    """The places of settings in order of precedence. Each place is read only when necessary.

    `warnings` are about the files that have been read so far.
    """

    def __init__(self, runtime: Runtime, *, org: str | None = None, secret_file: str | None = None) -> None:
        self._runtime, self._org, self._secret_file = runtime, org, secret_file
        self._org_secret: Found | None = None
        self.project_secret: str | None = None
        self.warnings: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[PlaceReading]:
        if self._secret_file:
            yield self._read_secret_file(self._secret_file), ()
        if self._org:
            yield self._named_login(self._org) or self._organization(self._org)
        yield self._variables(self._runtime.environ, ENVIRONMENT)
        yield from self._dotenv()
        if not self._org:
            yield self._organization(None)

    def default_login(self, *, with_secret: bool) -> PlaceReading:
        """Return the settings of the default login. Its secret is read from the keyring only with `with_secret`."""
        if self._org or (logins := self._logins()) is None:
            return {}, ()
        if logins.is_refused:
            return {}, (f"{logins.path} was not used.",)
        if logins.default is not None:
            return self._login(logins.by_name[logins.default], with_secret=with_secret)
        names = ", ".join(logins.by_name)
        return {}, (f"Several logins are saved ({names}), but none is the default.",) if names else ()

    def _named_login(self, name: str) -> PlaceReading | None:
        """Return the settings of the login `name`, or None. Raises CredentialsError for a login without a secret."""
        logins = self._logins()
        if logins is None or name not in logins.by_name:
            return None
        found, gaps = self._login(logins.by_name[name], with_secret=not self._secret_file)
        if not found:
            raise CredentialsError(gaps[0], hint=f"Or log in again: port-hook login {name} --keep-in file")
        return found, gaps

    def _logins(self) -> Logins | None:
        if not os.path.lexists(self._runtime.home / LOGINS):
            return None
        from port_hook_cli.port_api.logins import read_logins

        logins = read_logins(self._runtime.home)
        self.warnings += (logins.warning,) if logins.warning else ()
        return logins

    def _login(self, login: Login, *, with_secret: bool) -> PlaceReading:
        """Return the settings of a login, or no settings if its secret is needed and cannot be read."""
        from port_hook_cli.port_api import logins
        from port_hook_cli.port_api.keyring_entries import KeyringUnusable

        found = {
            "client_id": Found(login.client_id, login.place),
            "api_url": Found(login.api_url, login.place),
        }
        if not with_secret:
            return found, ()
        try:
            secret = logins.with_secret(login).secret
        except KeyringUnusable as unusable:
            return {}, (f"port-hook cannot use the login {login.name!r}: {unusable}. {unusable.advice}".rstrip(),)
        if secret is not None:
            self._runtime.keep_secret(secret.reveal())
            found["client_secret"] = Found(secret.reveal(), login.place)
        return found, ()

    def conflict(self, used: Found | None) -> Found | None:
        """Return a client secret that differs from `used`, from the current directory's `.env` or the user's places.

        A broken file that is read only for this comparison is ignored.
        """
        if used is None:
            return None
        if used.place == ENVIRONMENT:
            return self._other_secret(self._runtime.cwd / ".env", PROJECT_FILE, used)
        if used.place != PROJECT_FILE:
            return None
        path = self._runtime.home / ".port" / ".env"
        if other := self._other_secret(path, str(path), used):
            return other
        return self._org_secret if self._org_secret and self._org_secret.value != used.value else None

    def _other_secret(self, path: Path, place: str, used: Found) -> Found | None:
        if not os.path.lexists(path):
            return None
        from port_hook_cli.files.dotenv import other_secret

        other = other_secret(path, used.value)
        if not other:
            return None
        self._runtime.keep_secret(other)
        return Found(other, place)

    def _variables(self, variables: Mapping[str, str], place: str) -> PlaceReading:
        found: dict[str, Found] = {}
        gaps: tuple[str, ...] = ()
        for name, variable in (("client_id", "PORT_CLIENT_ID"), ("client_secret", SECRET_VARIABLE)):
            if value := variables.get(variable):
                found[name] = Found(value, place, variable)
            elif value is not None:
                gaps += (f"{variable} in {place} is empty.",)
        if "client_secret" in found:
            self._runtime.keep_secret(found["client_secret"].value)
        address = next((name for name in _API_URL_VARIABLES if variables.get(name)), None)
        if address:
            found["api_url"] = Found(_api_url(address, variables[address], place), place, address)
        return found, gaps

    def _dotenv(self) -> Iterator[PlaceReading]:
        from port_hook_cli.files.dotenv import home_dotenv, project_dotenv

        project = project_dotenv(self._runtime.cwd, self._runtime.home)
        self.project_secret = project.values.get(SECRET_VARIABLE)
        yield self._of_dotenv(project)
        yield self._of_dotenv(home_dotenv(self._runtime.home))

    def _of_dotenv(self, file: DotenvFile) -> PlaceReading:
        self.warnings += file.warnings
        found, gaps = self._variables(file.values, file.name)
        unused = [f"{file.name} was not used."] if file.is_refused else []
        unused += [f"{file.name} is a directory, so port-hook did not read it."] if file.is_folder else []
        return found, (*gaps, *unused, *(f"Line {line} of {file.name} is unreadable." for line in file.bad_lines))

    def _organization(self, org: str | None) -> PlaceReading:
        from port_hook_cli.port_api.org_file import read_org_file

        named = self._runtime.environ.get("PORT_CONFIG_FILE")
        path = self._runtime.cwd / named if named else self._runtime.home / ".port" / "config.yaml"
        if named and not path.is_file():
            raise CredentialsError(f"PORT_CONFIG_FILE is invalid: {path} is not a file.", hint="Correct or unset it.")
        file = read_org_file(path)
        self.warnings += file.warnings
        if file.is_refused:
            if org or named:
                raise CredentialsError(
                    f"{file.warnings[0]}.",
                    hint="To run without a configuration file, omit --org and unset PORT_CONFIG_FILE.",
                )
            return {}, (f"{path} was not used.",)
        for secret in file.secrets:
            self._runtime.keep_secret(secret)
        name = file.choose(org or self._runtime.environ.get("PORT_DEFAULT_ORG"))
        if name is None:
            return {}, file.open_choice
        place = f"organization {name} of {path}"
        values = dict(file.orgs[name])
        if "api_url" in values:
            values["api_url"] = _api_url("api_url", values["api_url"], place)
        found = {setting: Found(value, place) for setting, value in values.items()}
        self._org_secret = found.get("client_secret")
        return found, ()

    def _read_secret_file(self, name: str) -> dict[str, Found]:
        secret = read_secret_file(name, self._runtime)
        self._runtime.keep_secret(secret)
        return {"client_secret": Found(secret, f"--secret-file {name}")}


def read_secret_file(name: str, runtime: Runtime) -> str:
    """Return the client secret in the file `name`, or from stdin if `name` is `-`.

    Raises SettingsError if the file is unreadable, empty, or not UTF-8 text.
    """
    place = "stdin" if name == "-" else name
    secret = _secret_text(place, _secret_from_stdin(runtime) if name == "-" else _secret_content(name, runtime))
    if not secret.strip():
        raise SettingsError(f"The secret file {place} is empty.", hint="Write your Port account's client secret to it.")
    return secret


def _secret_from_stdin(runtime: Runtime) -> bytes:
    """Return the content of stdin. Stdin is read only once, because a command may read its settings more than once."""
    if runtime.memory.stdin is None:
        runtime.memory.stdin = read_stdin(runtime.stdin)
    return runtime.memory.stdin


def _secret_content(name: str, runtime: Runtime) -> bytes:
    # A shell expands ~ in an option, but nothing expands ~ in the PORT_HOOK_SECRET_FILE of a container or service.
    path = runtime.home / name[2:] if name.startswith("~/") else runtime.cwd / name
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"port-hook cannot read the secret file {name}: {error.strerror}.",
            hint="Pass a file to --secret-file, or - for stdin.",
        ) from error


def _secret_text(place: str, content: bytes) -> str:
    """Return the secret without the one line end that an editor or `echo` adds.

    Other whitespace stays, so that the diagnosis of a signature can report it.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"The secret file {place} is not UTF-8 text.", hint="Save it as UTF-8.") from error
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def _api_url(variable: str, value: str, place: str) -> str:
    try:
        return region_api_url(value) if variable == "PORT_REGION" else parse_api_url(value)
    except ValueError as error:
        raise CredentialsError(
            f"{variable} in {place} is invalid: {error}.",
            hint="Set PORT_REGION to eu or us." if variable == "PORT_REGION" else f"Write it like {DEFAULT_API_URL}.",
        ) from error
