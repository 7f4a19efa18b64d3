"""The bounds of dependencies are true: `.ci/test-lowest` runs tests with the lowest versions that they allow.

It installs `requirements.lock` and `requirements-dev.lock`, then replaces the versions in `requirements-lowest.lock`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-lowest.lock")
pytestmark = pytest.mark.skipif(not (ROOT / LOCKS[0]).exists(), reason="the wheel's tests run without the locks")


def lower_bounds() -> Iterator[tuple[str, str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    for requirement in [*project["dependencies"], *(line for extra in extras for line in extra)]:
        bound = re.match(r"([\w-]+)>=([\d.]+)", requirement)
        assert bound, f"{requirement} has no lower bound"
        yield bound[1].lower(), bound[2]


def locked(name: str) -> list[tuple[str, str]]:
    """Return the packages of a lock, each with its version and the condition for installing it."""
    return re.findall(r"(?m)^([^\s=]+)(==[^\\\n]*)", (ROOT / name).read_text("utf-8"))


def test_lowest_allowed_version_is_tested() -> None:
    pins = [locked("requirements-lowest.lock"), [each for lock in LOCKS[:2] for each in locked(lock)]]
    for name, version in set(lower_bounds()):
        lowest, latest = ([pin for package, pin in found if package == name] for found in pins)
        tested = {tuple(numbers(pin[2:].split()[0])) for pin in lowest or latest}
        assert tested == {tuple(numbers(version))}, f"{name}: see CONTRIBUTING.md"


def numbers(version: str) -> list[int]:
    """The parts of a version, without zeros at the end: 46 is 46.0.0."""
    return [int(part) for part in re.sub(r"(\.0)+$", "", version).split(".")]


def test_no_version_is_locked_twice() -> None:
    found = [package for name in LOCKS for package in locked(name)]
    assert len(found) == len(set(found)) > 150


def test_packages_and_tests_use_the_same_build_tools() -> None:
    tools = {(package, pin.split()[0]) for package, pin in locked("requirements-build.lock")}
    assert {"build", "hatchling"} <= {package for package, _ in tools}
    assert tools <= {(package, pin.split()[0]) for name in LOCKS for package, pin in locked(name)}


def test_every_locked_version_has_hashes() -> None:
    for name in (*LOCKS, "requirements-build.lock"):
        lines = (ROOT / name).read_text("utf-8").replace("\\\n", " ").splitlines()
        assert len(lines) >= 10
        assert [line[:40] for line in lines if "==" in line and "--hash=sha256:" not in line] == []
