"""`~/.port/config.yaml`, the file of Port's own CLI: `default_org` and `organizations.<name>`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from port_hook_cli.errors import SettingsError

_FIELDS = ("client_id", "client_secret", "api_url")
_NOTHING = {"", "~", "null", "Null", "NULL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OrgFile:
    """The organisations of one configuration file, by name, and the name of the default one."""

    path: Path
    default: str | None = None
    orgs: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)

    @property
    def open_choice(self) -> tuple[str, ...]:
        """What is to be said when nothing chooses one of several organisations."""
        names = ", ".join(self.orgs)
        return (f"{self.path} has several organisations ({names}) and no default_org.",) if self.orgs else ()

    def choose(self, name: str | None) -> str | None:
        """Return the organisation to use: the wanted, else the default, else the only one; None when that is open.

        Raises SettingsError for a name that the file does not have.
        """
        wanted = name or self.default or (next(iter(self.orgs)) if len(self.orgs) == 1 else None)
        if wanted is None or wanted in self.orgs:
            return wanted
        raise SettingsError(
            f"There is no organisation {wanted!r} in {self.path}.",
            hint=f"It has: {', '.join(self.orgs)}." if self.orgs else "It has none yet; add it under `organizations:`.",
        )


def read_org_file(path: Path) -> OrgFile:
    """Return the organisations in `path`; a missing file has none.

    Raises SettingsError when the file cannot be read, is not YAML (naming the line) or has another shape. PyYAML is
    imported only if the file exists.
    """
    try:
        content = path.read_bytes() if path.is_file() else b""
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read: {error.strerror}.", hint="Make it readable for yourself, or move it away."
        ) from error
    document = _document(path, content) if content else None
    return OrgFile(path=path) if document is None else _org_file(path, document)


def _document(path: Path, content: bytes) -> Any:
    import yaml

    try:
        # The base loader reads every scalar as the text it is: a secret of digits stays a string.
        return yaml.load(content, Loader=yaml.BaseLoader)  # noqa: S506 - BaseLoader builds str, list and dict only
    except yaml.MarkedYAMLError as error:
        # The parser's own words may quote the value, which may be a secret.
        mark = error.problem_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SettingsError(
            f"{path} is not valid YAML{place}.", hint="Correct it there; put a value with special characters in quotes."
        ) from None
    except (yaml.YAMLError, RecursionError):
        raise SettingsError(f"{path} is not valid YAML.", hint="Save it as UTF-8 text.") from None


def _org_file(path: Path, document: Any) -> OrgFile:
    if not isinstance(document, dict):
        raise _shape_error(path, "it is no mapping")
    orgs = document.get("organizations", "")
    if isinstance(orgs, str) and orgs in _NOTHING:
        orgs = {}
    if not isinstance(orgs, dict):
        raise _shape_error(path, "`organizations` is no mapping")
    return OrgFile(
        path=path,
        default=_text(document.get("default_org")),
        orgs={str(name): _org(path, str(name), org) for name, org in orgs.items()},
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value not in _NOTHING else None


def _org(path: Path, name: str, org: Any) -> Mapping[str, str]:
    if not isinstance(org, dict):
        raise _shape_error(path, f"organisation {name!r} is no mapping")
    return {key: value for key in _FIELDS if (value := _text(org.get(key)))}


def _shape_error(path: Path, what: str) -> SettingsError:
    return SettingsError(
        f"{path} does not have the shape of Port's configuration: {what}.",
        hint="It should hold `default_org: NAME` and `organizations: {NAME: {client_id, client_secret, api_url}}`.",
    )
