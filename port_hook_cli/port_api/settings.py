"""Reads the client ID, the client secret and the address of Port's API, in order of precedence.

The order for each setting is: flags > environment > the current directory's `.env` > `~/.port/.env` >
`~/.port/config.yaml` > defaults. If none of these places has a secret, a login is used as a whole: its ID and its
secret. port-hook sends this secret only to the login's address. Someone else may have written the current directory's
`.env`, but the other places belong to the user. So a secret is sent to an address from that file only if the file has
the same secret. docs/reference/settings.md documents this for users.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import field, replace

from port_hook_cli.errors import CredentialsError, MissingCredentialsError, SettingsError
from port_hook_cli.files.settings_file import ENVIRONMENT, PROJECT_FILE, SECRET_VARIABLE
from port_hook_cli.frozen import frozen
from port_hook_cli.port_api.settings_places import Found, SettingsPlaces
from port_hook_cli.runs.urls import DEFAULT_API_URL, DEFAULT_APP_URL, app_url_for, is_ports_own, sends_in_the_clear
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import SigningKeys
from port_hook_cli.text.secret import Secret

ALL_NEEDS = ("client_id", "client_secret", "api_url")
ONLY_THE_SECRET = ("client_secret",)


@frozen
class ApiCredentials:
    """The values that a client of Port's API needs. `api_url` has neither `/v1` nor a trailing slash.

    `conflict` means that another place has another secret. The client adds it to the hint for a 401 response.
    """

    api_url: str
    client_id: str
    client_secret: Secret
    conflict: str = ""


@frozen
class OtherSecret:
    """A client secret that differs from the secret in use, and its place."""

    secret: Secret
    place: str


@frozen
class Settings:
    """Credentials and addresses. `api_url` and `app_url` have neither `/v1` nor a trailing slash.

    `app_url` is "" if the API has no web app (a sandbox). `sources` describes where each setting came from, by field
    name. `gaps` explains why a place lacks a setting. `warnings` are messages about these places. `objection` explains
    why the secret must not be sent to `api_url`, and tells the user what to do. `conflict` is a sentence about two
    places with different secrets, and shows which secret is used. `other_secret` is then the unused secret. Without a
    conflict, `conflict` is "". `placeholders` lists the values copied from an example.
    """

    client_id: str | None = None
    client_secret: Secret | None = None
    api_url: str = DEFAULT_API_URL
    app_url: str = DEFAULT_APP_URL
    sources: Mapping[str, str] = field(default_factory=dict)
    gaps: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    objection: tuple[str, str] | None = None
    conflict: str = ""
    other_secret: OtherSecret | None = None
    placeholders: tuple[str, ...] = ()

    @property
    def secret_place(self) -> str:
        """The place of the client secret: a file, the environment or stdin. The place is "" without a secret."""
        return self.sources.get("client_secret", "").removeprefix(f"{SECRET_VARIABLE} in ")

    @property
    def project_address(self) -> str:
        """The variable that sets the API's address in the current directory's `.env`, or "" if none does."""
        variable, _, place = self.sources.get("api_url", "").partition(" in ")
        return variable if place == PROJECT_FILE else ""

    def signing_keys(self) -> SigningKeys:
        """Return the secrets that may have signed a request. Raises CredentialsError without a client secret."""
        other = self.other_secret
        keys = SigningKeys(self.require_secret(), self.client_id)
        return keys if other is None else keys._replace(other=other.secret, other_place=other.place)

    def require_secret(self) -> Secret:
        """Return the client secret. Raises MissingCredentialsError."""
        if self.client_secret is None:
            raise self._missing("client secret", SECRET_VARIABLE)
        return self.client_secret

    def require_client_id(self) -> str:
        """Return the client ID. Raises MissingCredentialsError."""
        if self.client_id is None:
            raise self._missing("client ID", "PORT_CLIENT_ID")
        return self.client_id

    def require_access(self) -> ApiCredentials:
        """Return the values that a client of the API needs.

        Raises CredentialsError for a missing setting, and for an address that must not get the secret.
        """
        client_id, secret = self.require_client_id(), self.require_secret()
        self.refuse_address()
        return ApiCredentials(api_url=self.api_url, client_id=client_id, client_secret=secret, conflict=self.conflict)

    def refuse_address(self) -> None:
        """Raise CredentialsError if the secret must not be sent to the API's address."""
        if self.objection:
            message, hint = self.objection
            raise CredentialsError(message, hint=hint)

    def _missing(self, what: str, variable: str) -> MissingCredentialsError:
        gaps = "".join(f" {gap}" for gap in self.gaps)
        return MissingCredentialsError(
            f"No {what} is set.{gaps}", hint=f"Run `port-hook login`, or set {variable} (`port-hook help settings`)."
        )


def load_settings(
    runtime: Runtime,
    *,
    org: str | None = None,
    secret_file: str | None = None,
    needs: tuple[str, ...] = ALL_NEEDS,
) -> Settings:
    """Return the settings by the documented precedence. Raises SettingsError with the name of a faulty file.

    Places are read in order until all `needs` are known, so a broken file in a later place doesn't matter.
    `runtime` remembers every secret that this function finds, even if another secret is used.
    """
    places = SettingsPlaces(runtime, org=org, secret_file=secret_file)
    found: dict[str, Found] = {}
    login: Mapping[str, Found] = {}
    gaps: tuple[str, ...] = ()
    for more, more_gaps in places:
        found = {**more, **found}
        gaps += more_gaps
        if found.keys() >= set(needs):
            break
    else:
        if "client_secret" not in found:
            login, more_gaps = places.default_login(with_secret="client_secret" in needs)
            found = {**login, **found}
            gaps += more_gaps
    used = found.get("client_secret")
    settings = _settings(found, gaps, places, login, runtime)
    other = places.conflict(used) if "client_secret" in needs else None
    warnings = (*places.warnings, *settings.placeholders, *_warn_of_plain_http(settings, runtime))
    if used is None or other is None:
        return replace(settings, warnings=warnings)
    conflict = (
        f"{used.source} differs from the client secret in {other.place}. port-hook uses the secret in {used.place}"
    )
    return replace(
        settings,
        warnings=(*warnings, conflict),
        conflict=f"{conflict}.",
        other_secret=OtherSecret(Secret(other.value), other.place),
    )


def _is_plain_http_allowed(runtime: Runtime) -> bool:
    from port_hook_cli.port_api.variables import allows_plain_http  # few addresses need it

    return allows_plain_http(runtime.environ)


def _warn_of_plain_http(settings: Settings, runtime: Runtime) -> Iterator[str]:
    if settings.client_secret and sends_in_the_clear(settings.api_url) and _is_plain_http_allowed(runtime):
        yield (
            "PORT_HOOK_INSECURE_API is set, so anyone on the network between here and "
            f"{settings.api_url} can read the client secret"
        )


def known_secrets(runtime: Runtime) -> Iterator[tuple[Secret, str]]:
    """Yield the client secret and the name of each place, up to the first unreadable place, without the keyring."""
    from port_hook_cli.port_api.logins import read_logins

    try:
        for found, _ in SettingsPlaces(runtime):
            if secret := found.get("client_secret"):
                yield Secret(secret.value), secret.place
        for login in read_logins(runtime.home).by_name.values():
            if login.secret is not None:
                runtime.keep_secret(login.secret.reveal())
                yield login.secret, login.place
    except SettingsError:
        return  # the explanation only lacks the secrets of the remaining places


def _settings(
    found: Mapping[str, Found],
    gaps: tuple[str, ...],
    places: SettingsPlaces,
    login: Mapping[str, Found],
    runtime: Runtime,
) -> Settings:
    secret, api_url = found.get("client_secret"), found.get("api_url")
    address = DEFAULT_API_URL if api_url is None else api_url.value
    return Settings(
        client_id=found["client_id"].value if "client_id" in found else None,
        client_secret=None if secret is None else Secret(secret.value),
        api_url=address,
        app_url=app_url_for(address),
        sources={name: setting.source for name, setting in found.items()},
        gaps=gaps,
        objection=None
        if secret is None or api_url is None
        else _login_objection(found, login) or _objection(api_url, secret, places.project_secret, runtime),
        placeholders=tuple(
            f"the {what} ({found[name].source}) is a placeholder from an example"
            for name, what in (("client_secret", "client secret"), ("client_id", "client ID"))
            if name in found and is_placeholder(found[name].value)
        ),
    )


def _login_objection(found: Mapping[str, Found], login: Mapping[str, Found]) -> tuple[str, str] | None:
    """Return why the secret of a login must not be sent: another place has another address or another client ID."""
    if "client_secret" not in login:
        return None
    place, address, client_id = login["client_secret"].place, found["api_url"], found["client_id"]
    if address.value != (own := login["api_url"].value):
        problem = (
            f"port-hook sends the client secret ({place}) only to {own}, not to {address.value} ({address.source})."
        )
        return problem, _how_to_choose(address.variable, f"{SECRET_VARIABLE} and PORT_CLIENT_ID")
    if client_id.value != login["client_id"].value:
        problem = f"The client ID ({client_id.source}) does not belong to the client secret ({place})."
        return problem, _how_to_choose(client_id.variable, SECRET_VARIABLE)
    return None


def _how_to_choose(variable: str, others: str) -> str:
    return f"Remove {variable or 'it'} there, set {others} as well, or choose the login with --org."


def _objection(api_url: Found, secret: Found, project_secret: str | None, runtime: Runtime) -> tuple[str, str] | None:
    """Return why a secret must not be sent to an address and what the user can do, or None if it may be sent."""
    is_from_project = api_url.place == PROJECT_FILE and not is_ports_own(api_url.value)
    if is_from_project and secret.value != project_secret:
        variable = api_url.variable
        unset = f"unset {SECRET_VARIABLE}" if secret.place == ENVIRONMENT else "put the same secret into ./.env"
        problem = (
            f"port-hook does not send the client secret ({secret.source}) to {api_url.value}, "
            f"because this URL comes only from {variable} in ./.env."
        )
        return problem, (
            f"If ./.env is left over from a sandbox, delete it. Otherwise {unset}, or export {variable} if you trust "
            "it."
        )
    if sends_in_the_clear(api_url.value) and not _is_plain_http_allowed(runtime):
        address = f"{api_url.value} ({api_url.source})"
        return (
            f"port-hook does not send the client secret to {address} because plain http is not encrypted.",
            "Use https:// in the URL, or set PORT_HOOK_INSECURE_API=1 if you accept that others can read the secret.",
        )
    return None


# The whole value must match. A client secret from Port is a long random string, so it never matches.
_PLACEHOLDER = r"""(?xia)
    \.{2,} | …+ | [xX]{3,} | \*+ | [#_-]+                                  # ... xxx ***
    | <[^<>]*> | \[[^\[\]]*\] | \{\{.*\}\} | %\w+% | \$\w+ | \$\{.*\}     # <your secret> [secret] {{ x }} %X% $X ${X}
    | (?:change|replace|fill|edit)[-_ ]?(?:me|this|it|in)
    | todo | tbd | fixme | placeholder | redacted | null | none | undefined
    | (?:(?:put|insert|enter|paste|add)[-_ ])?(?:your|the)[-_ ](?:own[-_ ])?(?:port[-_ ])?
      (?:client[-_ ]?)?(?:secret|id|credentials?)(?:[-_ ](?:key|value|here))?
    | (?:port[-_ ])?client[-_ ]?(?:secret|id)(?:[-_ ](?:value|here))?       # the variable's own name
    """
_MAX = 64


def is_placeholder(value: str) -> bool:
    """Return whether a credential is the unchanged placeholder of an example."""
    text = value.strip().strip("'\"`").strip()
    if len(text) > _MAX or (text.isalnum() and not text.isalpha()):  # no placeholder has digits but no punctuation
        return False
    return re.fullmatch(_PLACEHOLDER, text) is not None
