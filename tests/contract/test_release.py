"""The release workflow, the container image and the locked example: what is published, and what it is built from."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / ".github/workflows"
pytestmark = pytest.mark.skipif(not WORKFLOWS.exists(), reason="the wheel's tests run without it")


def release() -> dict[str, Any]:
    jobs = yaml.safe_load((WORKFLOWS / "release.yml").read_text("utf-8"))["jobs"]
    assert list(jobs) == ["build", "check", "publish"]
    return dict(jobs)


def commands(job: dict[str, Any]) -> str:
    return "\n".join(step.get("run", "") for step in job["steps"])


def test_job_that_builds_runs_no_test_and_installs_no_package_of_the_tests() -> None:
    targets = re.findall(r"\bmake (.+)", commands(release()["build"]))
    assert targets == ["build"]
    rules = (ROOT / "Makefile").read_text("utf-8")
    assert re.search(r"^build: \$\(VENV\)-build/\.done ##", rules, re.MULTILINE)
    (installed,) = re.findall(r"^\t\$\(VENV\)-build/.*pip install (.*)$", rules, re.MULTILINE)
    assert installed == "$(LOCKED) -r requirements-build.lock"


def test_job_that_publishes_runs_nothing_of_the_repository() -> None:
    publish = release()["publish"]
    actions = [step["uses"].split("@")[0] for step in publish["steps"] if "uses" in step]
    assert actions == ["actions/download-artifact", "pypa/gh-action-pypi-publish"]
    assert re.findall(r"\b(make|python|pip|git)\b", commands(publish)) == []


def test_only_files_with_the_hashes_of_the_job_that_builds_are_published() -> None:
    jobs = release()
    assert list(jobs["build"]["outputs"]) == ["hashes"]
    for name in ("check", "publish"):
        compared = [step for step in jobs[name]["steps"] if "needs.build.outputs.hashes" in str(step.get("env"))]
        assert len(compared) == 1
        assert "sha256sum" in compared[0]["run"]
    assert jobs["publish"]["needs"] == ["build", "check"]


def test_image_is_built_from_images_with_a_digest() -> None:
    lines = re.findall(r"(?m)^FROM (\S+)(?: AS (\S+))?", (ROOT / "Dockerfile").read_text("utf-8"))
    stages = {stage for _, stage in lines}
    bases = [image for image, _ in lines if image not in stages]
    assert bases
    assert [image for image in bases if not re.search(r"@sha256:[0-9a-f]{64}$", image)] == []


def test_every_package_of_the_express_example_is_locked_with_its_hash() -> None:
    folder = ROOT / "examples/express"
    wanted = json.loads((folder / "package.json").read_text("utf-8"))["dependencies"]
    packages = json.loads((folder / "package-lock.json").read_text("utf-8"))["packages"]
    assert packages.pop("")["dependencies"] == wanted
    assert len(packages) > 50
    assert [name for name, package in packages.items() if not package["integrity"].startswith("sha512-")] == []
    assert "npm ci " in (ROOT / ".ci/run").read_text("utf-8")
