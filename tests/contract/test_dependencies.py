"""The bounds of dependencies are true: `make test-lowest` runs the suite with the lowest versions that they allow."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-lowest.lock", "requirements-tools.lock")
pytestmark = pytest.mark.skipif(not (ROOT / LOCKS[0]).exists(), reason="the wheel's tests run without the locks")


def lower_bounds() -> Iterator[tuple[str, str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["ssh"]]:
        bound = re.match(r"([\w-]+)>=([\d.]+)", requirement)
        assert bound, f"{requirement} has no lower bound"
        yield bound[1].lower(), bound[2]


@pytest.mark.parametrize(("name", "version"), sorted(set(lower_bounds())))
def test_lowest_allowed_version_is_the_one_that_is_tested(name: str, version: str) -> None:
    lock = (ROOT / "requirements-lowest.lock").read_text("utf-8")
    locked = re.findall(rf"(?m)^{name}==([\d.]+)", lock)
    assert [numbers(found) for found in locked] == [numbers(version)], "see CONTRIBUTING.md"


def numbers(version: str) -> list[int]:
    """The parts of a version, without zeros at the end: 46 is 46.0.0."""
    return [int(part) for part in re.sub(r"(\.0)+$", "", version).split(".")]


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_version_has_hashes(name: str) -> None:
    lines = (ROOT / name).read_text("utf-8").replace("\\\n", " ").splitlines()
    assert len(lines) > 10
    assert [line[:40] for line in lines if "==" in line and "--hash=sha256:" not in line] == []
