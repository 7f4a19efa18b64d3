"""`~/.port/config.yaml`, the file of Port's own CLI: `default_org` and `organizations.<name>`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from port_hook_cli.errors import CredentialsError
from port_hook_cli.files.documents import YamlLimit, load_yaml
from port_hook_cli.files.dotenv import exposure_warning
from port_hook_cli.files.settings_file import read_settings_file
from port_hook_cli.frozen import frozen

_FIELDS = ("client_id", "client_secret", "api_url")
_NOTHING = {"", "~", "null", "Null", "NULL"}


@frozen(kw_only=True)
class OrgFile:
    """The organizations of one configuration file, by name, and the name of the default organization.

    `warnings` are for the user. `is_refused` means that the file was not used.
    """

    path: Path
    default: str | None = None
    orgs: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    warnings: tuple[str, ...] = ()
    is_refused: bool = False

    @property
    def secrets(self) -> tuple[str, ...]:
        """All client secrets in the file."""
        return tuple(org["client_secret"] for org in self.orgs.values() if "client_secret" in org)

    @property
    def open_choice(self) -> tuple[str, ...]:
        """The message for a file with several organizations and no selected organization."""
        names = ", ".join(self.orgs)
        return (f"{self.path} has several organizations ({names}) and no default_org.",) if self.orgs else ()

    def choose(self, name: str | None) -> str | None:
        """Return the organization to use: `name`, the default, or the only organization.

        Return None if several are possible. Raises CredentialsError for an unknown name.
        """
        wanted = name or self.default or (next(iter(self.orgs)) if len(self.orgs) == 1 else None)
        if wanted is None or wanted in self.orgs:
            return wanted
        listed = f"It has: {', '.join(self.orgs)}." if self.orgs else "Add it under `organizations:`."
        login = " Or log in with `port-hook login NAME`." if name else ""
        raise CredentialsError(f"Organization not found in {self.path}: {wanted!r}.", hint=listed + login)


def read_org_file(path: Path) -> OrgFile:
    """Return the organizations in `path`. A missing file has no organizations, and an unsafe file is rejected.

    Raises SettingsError if the file cannot be read, is not YAML, or does not have the expected structure. PyYAML is
    imported only if the file exists.
    """
    file = read_settings_file(path, str(path))
    if file.refusal:
        return OrgFile(path=path, warnings=(file.warning,), is_refused=True)
    document = _document(path, file.content) if file.content else None
    found = OrgFile(path=path) if document is None else _org_file(path, document)
    return replace(found, warnings=(exposure_warning(str(path)),)) if file.is_exposed and found.secrets else found


def _document(path: Path, content: bytes) -> Any:
    import yaml

    try:
        # Every scalar is read as text, so a secret of digits stays a string.
        return load_yaml(content, only_text=True)
    except yaml.MarkedYAMLError as error:
        # The parser's message may quote the value, which may be a secret.
        mark = error.problem_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise CredentialsError(
            f"{path} is invalid YAML{place}.",
            hint="Correct that line. Put a value with special characters in quotes.",
        ) from None
    except YamlLimit as error:
        raise CredentialsError(
            f"{path} is invalid YAML: {error}.", hint="Write it in the format of Port's CLI."
        ) from None
    except (yaml.YAMLError, RecursionError):
        raise CredentialsError(f"{path} is invalid YAML.", hint="Save it as UTF-8 text.") from None


def _org_file(path: Path, document: Any) -> OrgFile:
    if not isinstance(document, dict):
        raise _shape_error(path, "it is not a mapping")
    orgs = document.get("organizations", "")
    if isinstance(orgs, str) and orgs in _NOTHING:
        orgs = {}
    if not isinstance(orgs, dict):
        raise _shape_error(path, "`organizations` is not a mapping")
    return OrgFile(
        path=path,
        default=_text(document.get("default_org")),
        orgs={str(name): _org(path, str(name), org) for name, org in orgs.items()},
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value not in _NOTHING else None


def _org(path: Path, name: str, org: Any) -> Mapping[str, str]:
    if not isinstance(org, dict):
        raise _shape_error(path, f"organization {name!r} is not a mapping")
    return {key: value for key in _FIELDS if (value := _text(org.get(key)))}


def _shape_error(path: Path, what: str) -> CredentialsError:
    return CredentialsError(
        f"{path} is not a configuration file of Port's CLI: {what}.",
        hint="It should contain `default_org: NAME` and `organizations: {NAME: {client_id, client_secret, api_url}}`.",
    )
