"""The example projects with requirements of their own: what they install is locked."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PROJECTS = ("s3-bucket",)


@pytest.mark.parametrize("project", PROJECTS)
def test_project_requires_the_same_versions_as_the_development_environment(project: str) -> None:
    lines = (EXAMPLES / project / "requirements.txt").read_text("utf-8").splitlines()
    required = {line for line in lines if not line.startswith("#")}
    assert required <= set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]["dev"])


@pytest.mark.parametrize("project", PROJECTS)
def test_action_of_the_project_creates_entities_of_its_blueprint(project: str) -> None:
    action, blueprint = (
        json.loads((EXAMPLES / project / f"{name}.json").read_bytes()) for name in ("action", "blueprint")
    )
    assert action["trigger"]["blueprintIdentifier"] == blueprint["identifier"]
    assert set(blueprint["schema"]["required"]) <= blueprint["schema"]["properties"].keys()
