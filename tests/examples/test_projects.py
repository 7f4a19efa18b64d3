"""The example projects with requirements of their own: what they install is locked, and what they render works."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PROJECTS = ("s3-bucket", "software-template")


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


def node_runs_the_template() -> bool:
    """Whether this machine has a Node with `import.meta.filename` (20.11)."""
    node = shutil.which("node")
    if node is None:
        return False
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(map(int, re.findall(r"\d+", version)[:2])) >= (20, 11)


@pytest.mark.extended
def test_service_from_the_template_passes_its_own_tests(folder: Path) -> None:
    if not node_runs_the_template():
        pytest.skip("Node 20.11 or newer is not on this machine")
    template = str(EXAMPLES / "software-template" / "template")
    config = folder / "cookiecutter.yaml"
    config.write_text(json.dumps({"replay_dir": str(folder / "replay")}))
    render = [sys.executable, "-m", "cookiecutter", "--no-input", f"--config-file={config}", f"--output-dir={folder}"]
    subprocess.run([*render, template, "name=billing"], check=True, cwd=folder, timeout=30)
    command = ["node", "--test"]
    done = subprocess.run(command, cwd=folder / "billing", capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pass 1\n" in done.stdout
