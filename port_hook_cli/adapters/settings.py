"""Where the client id, the secret and Port's address come from, and in which order.

flags > environment > `.env` of the folder > `~/.port/.env` > `~/.port/config.yaml` > defaults, setting by setting.
docs/reference/settings.md is the user's side of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeAlias

from port_hook_cli.core.api_urls import DEFAULT_API_URL, DEFAULT_APP_URL, app_url_for, parse_api_url, region_api_url
from port_hook_cli.core.redaction import Secret
from port_hook_cli.errors import SettingsError

ALL_NEEDS = ("client_id", "client_secret", "api_url")
ONLY_THE_SECRET = ("client_secret",)

_API_URL_VARIABLES = ("PORT_API_URL", "PORT_API_BASE_URL", "PORT_REGION")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Credentials and addresses. `api_url` and `app_url` have neither `/v1` nor a trailing slash.

    `app_url` is "" where the API has no web app (a sandbox). `sources` says in words where each setting came
    from, by field name; `gaps` says why a place that looked promising gave nothing.
    """

    client_id: str | None = None
    client_secret: Secret | None = None
    api_url: str = DEFAULT_API_URL
    app_url: str = DEFAULT_APP_URL
    sources: Mapping[str, str] = field(default_factory=dict)
    gaps: tuple[str, ...] = ()

    def require_secret(self) -> Secret:
        """Return the client secret; raises SettingsError that says where it may be put."""
        if self.client_secret is None:
            raise self._missing("client secret", "PORT_CLIENT_SECRET", "use --secret-file FILE, ")
        return self.client_secret

    def require_client_id(self) -> str:
        """Return the client id; raises SettingsError that says where it may be put."""
        if self.client_id is None:
            raise self._missing("client id", "PORT_CLIENT_ID", "")
        return self.client_id

    def _missing(self, what: str, variable: str, flag: str) -> SettingsError:
        gaps = "".join(f" {gap}" for gap in self.gaps)
        return SettingsError(
            f"There is no {what}.{gaps}",
            hint=f"Set {variable}, {flag}put it into .env or ~/.port/.env, or name an organisation of "
            "~/.port/config.yaml with --org. Port shows it under `...` > Credentials.",
        )


# Setting -> its value and, in words, where it stands.
_Found: TypeAlias = dict[str, tuple[str, str]]
# What one place gives, and why it did not give more.
_Source: TypeAlias = tuple[_Found, tuple[str, ...]]


def load_settings(
    *,
    environ: Mapping[str, str],
    cwd: Path,
    home: Path,
    stdin: BinaryIO,
    org: str | None = None,
    secret_file: str | None = None,
    needs: tuple[str, ...] = ALL_NEEDS,
) -> Settings:
    """Return the settings by the documented precedence; raises SettingsError naming the file that is wrong.

    A place is read only while one of `needs` is still unknown, so a broken file below everything that is needed
    breaks nothing.
    """
    found: _Found = {}
    gaps: tuple[str, ...] = ()
    for more, more_gaps in _sources(environ, cwd, home, stdin, org, secret_file):
        found = {**more, **found}
        gaps += more_gaps
        if found.keys() >= set(needs):
            break
    return _settings(found, gaps)


def _settings(found: _Found, gaps: tuple[str, ...]) -> Settings:
    values = {name: value for name, (value, _) in found.items()}
    secret = values.get("client_secret")
    api_url = values.get("api_url", DEFAULT_API_URL)
    return Settings(
        client_id=values.get("client_id"),
        client_secret=None if secret is None else Secret(secret),
        api_url=api_url,
        app_url=app_url_for(api_url),
        sources={name: place for name, (_, place) in found.items()},
        gaps=gaps,
    )


def _sources(
    environ: Mapping[str, str], cwd: Path, home: Path, stdin: BinaryIO, org: str | None, secret_file: str | None
) -> Iterator[_Source]:
    """Yield the places from the most to the least important, each read only when it is asked for."""
    if secret_file:
        yield _secret_file(secret_file, cwd, home, stdin), ()
    if org:
        yield _organisation(environ, cwd, home, org)
    yield _variables(environ, "the environment")
    yield from _dotenv(cwd, home)
    if not org:
        yield _organisation(environ, cwd, home, None)


def _secret_file(name: str, cwd: Path, home: Path, stdin: BinaryIO) -> _Found:
    place = "stdin" if name == "-" else name
    secret = _secret_text(place, stdin.read() if name == "-" else _secret_content(name, cwd, home))
    if not secret.strip():
        raise SettingsError(f"The secret file {place} is empty.", hint="Put the client secret of your Port account in.")
    return {"client_secret": (secret, f"--secret-file {name}")}


def _secret_content(name: str, cwd: Path, home: Path) -> bytes:
    # A shell has expanded ~ already; the value of PORT_HOOK_SECRET_FILE in a .env file has met none.
    path = home / name[2:] if name.startswith("~/") else cwd / name
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"The secret file {name} cannot be read: {error.strerror}.",
            hint="Give --secret-file a file, or - for stdin.",
        ) from error


def _secret_text(place: str, content: bytes) -> str:
    """Return the secret less one line end, which an editor or `echo` adds.

    Other white space stays: it may be wrong, and the verdict can then say so.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"The secret file {place} is not UTF-8 text.", hint="Save it as UTF-8.") from error
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def _variables(variables: Mapping[str, str], place: str) -> _Source:
    found: _Found = {}
    gaps: tuple[str, ...] = ()
    for name, variable in (("client_id", "PORT_CLIENT_ID"), ("client_secret", "PORT_CLIENT_SECRET")):
        if value := variables.get(variable):
            found[name] = (value, f"{variable} in {place}")
        elif value is not None:
            gaps += (f"{variable} in {place} is empty.",)
    address = next((name for name in _API_URL_VARIABLES if variables.get(name)), None)
    if address:
        found["api_url"] = (_api_url(address, variables[address], place), f"{address} in {place}")
    return found, gaps


def _api_url(variable: str, value: str, place: str) -> str:
    try:
        return region_api_url(value) if variable == "PORT_REGION" else parse_api_url(value)
    except ValueError as error:
        raise SettingsError(
            f"{variable} in {place} is wrong: {error}.",
            hint="Set PORT_REGION to eu or us." if variable == "PORT_REGION" else f"Write it like {DEFAULT_API_URL}.",
        ) from error


def _dotenv(cwd: Path, home: Path) -> Iterator[_Source]:
    from port_hook_cli.adapters.dotenv_file import dotenv_files

    for file in dotenv_files(cwd, home):
        found, gaps = _variables(file.values, str(file.path))
        yield found, (*gaps, *(f"Line {line} of {file.path} could not be read." for line in file.bad_lines))


def _organisation(environ: Mapping[str, str], cwd: Path, home: Path, org: str | None) -> _Source:
    from port_hook_cli.adapters.org_file import read_org_file

    named = environ.get("PORT_CONFIG_FILE")
    path = cwd / named if named else home / ".port" / "config.yaml"
    if named and not path.is_file():
        raise SettingsError(f"PORT_CONFIG_FILE names {path}, which is no file.", hint="Correct or unset it.")
    file = read_org_file(path)
    name = file.choose(org or environ.get("PORT_DEFAULT_ORG"))
    if name is None:
        return {}, file.open_choice
    place = f"organisation {name} of {path}"
    values = dict(file.orgs[name])
    if "api_url" in values:
        values["api_url"] = _api_url("api_url", values["api_url"], place)
    return {setting: (value, place) for setting, value in values.items()}, ()
