"""The checks of the installation: versions, and optional packages that are missing."""

from __future__ import annotations

import platform
import re
import sqlite3
from collections.abc import Iterator
from importlib import metadata

from port_hook_cli import __version__
from port_hook_cli.captures.database.opening import require_sqlite
from port_hook_cli.doctor.check import CheckResult, CheckState
from port_hook_cli.errors import StoreError
from port_hook_cli.extras import install_hint

_DISTRIBUTION = "port-hook"
_PACKAGES = ("aiohttp", "cryptography", "httpx", "jq", "jsonschema", "pyngrok", "rich", "typer")
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+).*;.*\bextra *== *['\"]([A-Za-z0-9._-]+)['\"]")


def check_versions() -> CheckResult:
    """Return the versions of port-hook, Python and what port-hook needs."""
    versions = {package: installed_version(package) for package in _PACKAGES}
    missing = [package for package, version in versions.items() if version is None]
    sqlite = sqlite3.sqlite_version
    about = {"port_hook": __version__, "python": platform.python_version(), "platform": platform.platform(terse=True)}
    details = {**about, "sqlite": sqlite, **versions}
    problem, step = "", ""
    if missing:
        problem, step = f" Missing: {', '.join(missing)}.", install_hint(" ".join(missing))
    try:
        require_sqlite(sqlite3.sqlite_version_info)
    except StoreError as too_old:
        problem, step = f" {too_old.message}", too_old.hint
    shown = ", ".join(f"{package} {versions[package]}" for package in ("aiohttp", "jq") if versions[package])
    return CheckResult(
        check="versions",
        state=CheckState.PROBLEM if problem else CheckState.OK,
        message=f"port-hook {__version__}, Python {about['python']}, SQLite {sqlite}, {shown}.{problem}",
        next_step=step,
        details=details,
    )


def check_extras() -> list[CheckResult]:
    """Return one result for each extra of port-hook."""
    return [check_extra(extra, package) for package, extra in _optional_packages()]


def check_extra(extra: str, package: str) -> CheckResult:
    """Return whether an extra's package is installed, and if not, the command that installs it."""
    version = installed_version(package)
    return CheckResult(
        check="extra",
        subject=extra,
        state=CheckState.SKIPPED if version is None else CheckState.OK,
        message="Not installed." if version is None else f"{package} {version} is installed.",
        next_step="" if version else install_hint(package),
        details={"package": package, "version": version},
    )


def _optional_packages() -> Iterator[tuple[str, str]]:
    """Yield the package and the name of each extra, from the metadata of the installed port-hook."""
    try:
        requirements = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return
    yield from (found.groups() for line in requirements if (found := _REQUIREMENT.match(line)))  # type: ignore[misc]


def installed_version(package: str) -> str | None:
    """Return the version of an installed package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
