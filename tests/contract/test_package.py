"""What is published: the text of an index page, the changelog, the container image and the workflows.

Docker is not needed: the Dockerfile and the workflows are parsed. `.ci/test-install` installs the packages.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import tomllib
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
needs_sources = pytest.mark.skipif(not (ROOT / "Dockerfile").exists(), reason="the wheel's tests run without it")


def index_page() -> str:
    """README.md as an index shows it, made as the build does: each substitution is one `re.sub`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    rules = project["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]
    text = (ROOT / "README.md").read_text("utf-8")
    return reduce(lambda page, rule: re.sub(rule["pattern"], rule["replacement"], page), rules, text)


def test_index_page_links_only_to_itself_and_to_absolute_urls() -> None:
    targets = re.findall(r"\]\(([^)]*)\)", index_page())
    assert "https://port.io" in targets
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []


def test_index_page_keeps_the_text_of_links_and_every_heading() -> None:
    page = index_page()
    headings = re.findall(r"(?m)^#+ .*$", (ROOT / "README.md").read_text("utf-8"))
    assert re.findall(r"(?m)^#+ .*$", page) == headings
    assert "examples/" in page
    assert "![" not in page
    assert not re.search(r":\n\n+```\n", page)


def versions() -> list[str]:
    return re.split(r"(?m)^(?=## )", (ROOT / "CHANGELOG.md").read_text("utf-8"))


def test_changelog_is_in_the_form_of_keep_a_changelog() -> None:
    head, *released = versions()
    assert "https://keepachangelog.com" in head
    assert released
    for text in released:
        title = text.splitlines()[0]
        assert re.fullmatch(r"## \[Unreleased\]|## \[\d+\.\d+\.\d+\] - (\d{4}-\d\d-\d\d|unreleased)", title)
        sections = re.findall(r"(?m)^### (.*)$", text)
        assert len(sections) == len(set(sections))
        assert set(sections) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_every_line_of_the_changelog_is_in_a_section() -> None:
    for text in versions()[1:]:
        first = text.split("\n### ", 1)[0]
        assert [line for line in first.splitlines()[1:] if line.strip()] == []
        assert all(re.match(r"- |  |### |$", line) for line in text.splitlines()[1:])


@pytest.mark.once
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only a clone knows which files belong to the project")
def test_source_archive_has_every_file_of_the_clone() -> None:
    from hatchling.builders.sdist import SdistBuilder

    git = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    archived = {str(Path(file.relative_path)) for file in SdistBuilder(str(ROOT)).recurse_included_files()}
    assert {name for name in listed if (ROOT / name).is_file()} - archived == set()


@pytest.mark.once
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only a clone knows which files belong to the project")
def test_wheel_has_every_file_of_the_package() -> None:
    from hatchling.builders.wheel import WheelBuilder

    git = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "port_hook_cli"]
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    packed = {str(Path(file.relative_path)) for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    packed = {name for name in packed if not name.startswith("examples")}  # tests/cli/test_init.py
    assert {name for name in listed if (ROOT / name).is_file()} == packed


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile: name and value, continued lines joined, without comments."""
    lines = [line for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined if line.strip()]


@needs_sources
def test_image_runs_as_a_user_other_than_root_and_checks_its_health() -> None:
    found = instructions()
    names = [name for name, _ in found]
    last_stage = dict(found[len(names) - names[::-1].index("FROM") :])
    assert last_stage["USER"] == "10001:10001"
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert last_stage["ENTRYPOINT"] == '["port-hook"]'
    assert 'CMD ["python", "-c"' in last_stage["HEALTHCHECK"]
    assert "PASSWORD" not in str(found).upper()
    assert not re.search(r"SECRET|TOKEN", last_stage["ENV"])


@needs_sources
def test_image_has_a_pinned_base_and_only_locked_packages() -> None:
    found = instructions()
    base, *stages = [value for name, value in found if name == "FROM"]
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+@sha256:[0-9a-f]{64} AS base", base)
    assert stages == ["base AS build", "base"]
    assert not {"ADD", "MAINTAINER", "SHELL"} & {name for name, _ in found}
    installs = re.findall(r"pip install [^&]*", " ".join(value for name, value in found if name == "RUN"))
    assert len(installs) == 2
    assert all("--no-cache-dir" in line and ("--require-hashes" in line or "--no-deps" in line) for line in installs)


@needs_sources
def test_command_of_the_image_is_a_port_hook_command() -> None:
    from port_hook_cli.cli.commands import COMMANDS

    name, *options = yaml.safe_load(dict(instructions())["CMD"])
    assert name in COMMANDS
    assert shlex.join(options) == "--host 0.0.0.0 --tunnel none"


@needs_sources
def test_only_the_wheel_and_the_lock_enter_the_image() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert rules == ["*", "!dist/*.whl", "!requirements.lock"]


def workflow_files() -> list[Path]:
    return sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@needs_sources
def test_release_uses_a_trusted_publisher() -> None:
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["environment"] == "pypi"
    # The workflow doesn't publish a version without the repository's URL.
    assert "grep -qE '^Repository = \"https://' pyproject.toml" in text


@needs_sources
@pytest.mark.parametrize("file", workflow_files(), ids=lambda file: file.stem)
def test_workflow_uses_pinned_actions_and_minimal_permissions(file: Path) -> None:
    text = file.read_text("utf-8")
    workflow = yaml.safe_load(text)
    jobs = workflow["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    uses = [step["uses"] for step in steps if "uses" in step]
    assert len(uses) == len(re.findall(r"uses: \S+@[0-9a-f]{40} # v\d+\.\d+\.\d+\n", text)) > 0
    assert workflow["permissions"] == {}
    assert all(job["permissions"] == {"contents": "read"} for name, job in jobs.items() if name != "publish")
    assert all(job["timeout-minutes"] <= 120 for job in jobs.values())
    checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    # Text from a pull request must not become part of a command.
    assert set(re.findall(r"\$\{\{ ([^}]*) \}\}", "".join(str(step) for step in steps))) <= {
        "matrix.run",
        "matrix.python",
        "needs.build.outputs.hashes",  # only as a variable, and only base64
    }
    assert "secrets." not in text
    assert "pull_request_target" not in text


def commands(job: dict[str, Any]) -> str:
    """Return the commands of a job, including the ones in its matrix."""
    matrix = job.get("strategy", {}).get("matrix", {})
    in_matrix = [*matrix.get("run", []), *(entry["run"] for entry in matrix.get("include", []))]
    return "\n".join([*in_matrix, *(step.get("run", "") for step in job["steps"])])


def is_made(words: list[str]) -> bool:
    """Check that a command runs targets of the Makefile, or a script."""
    program, *arguments = words
    if program != "make":
        return os.access(ROOT / program, os.X_OK)
    targets = [word for word in arguments if not word.startswith("-")]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    return bool(targets) and all(re.search(rf"(?m)^\.PHONY:.* {name}\b", makefile) for name in targets)


@needs_sources
def test_workflows_hooks_and_ci_run_targets_of_the_makefile_and_scripts() -> None:
    texts = {
        file.name: "\n".join(commands(job) for job in yaml.safe_load(file.read_text("utf-8"))["jobs"].values())
        for file in workflow_files()
    }
    texts |= {file: (ROOT / file).read_text("utf-8") for file in (".ci/run", "CONTRIBUTING.md", "tests/campaign")}
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]
    texts["hooks"] = "\n".join(hook["entry"] for hook in hooks)
    for name, text in texts.items():
        found = re.findall(r"(?m)^\s*(?:step )?((?:make|\.ci/[\w-]+|tests/campaign)(?: [a-z-]+)*)(?: |$)", text)
        assert found, name
        assert [line for line in found if not is_made(line.split())] == [], name


@needs_sources
def test_pull_requests_are_checked_with_every_python_and_on_windows_and_macos() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "check.yml").read_text("utf-8"))["jobs"]
    assert {entry["python"] for entry in jobs["linux"]["strategy"]["matrix"]["include"]} == {
        "3.11",
        "3.12",
        "3.13",
        "3.14",
    }
    systems = jobs["portable"]["strategy"]["matrix"]["system"]
    assert {system.split("-")[0] for system in systems} == {"macos", "windows"}


@needs_sources
def test_hooks_download_nothing() -> None:
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    assert {hook["language"] for hook in repositories[0]["hooks"]} == {"system"}


def test_placeholders_of_urls_are_not_published() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["authors"]
    assert [url for url in project["urls"].values() if re.search(r"REPOSITORY|example\.", url)] == []


def release() -> dict[str, Any]:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8"))["jobs"]
    assert list(jobs) == ["build", "check", "publish"]
    return dict(jobs)


@needs_sources
def test_build_job_runs_no_tests_and_installs_no_test_packages() -> None:
    assert re.findall(r"\bmake .+|\.ci/.+", commands(release()["build"])) == [".ci/build"]
    installed = re.findall(r"pip install (.+)", (ROOT / ".ci/build").read_text("utf-8"))
    assert installed == ["--quiet --no-deps --require-hashes -r requirements-build.lock"]


@needs_sources
def test_publish_job_runs_no_code_of_the_repository() -> None:
    publish = release()["publish"]
    actions = [step["uses"].split("@")[0] for step in publish["steps"] if "uses" in step]
    assert actions == ["actions/download-artifact", "pypa/gh-action-pypi-publish"]
    assert re.findall(r"\b(make|python|pip|git)\b", commands(publish)) == []


@needs_sources
def test_only_files_with_the_hashes_of_the_build_job_are_published() -> None:
    jobs = release()
    assert list(jobs["build"]["outputs"]) == ["hashes"]
    for name in ("check", "publish"):
        compared = [step for step in jobs[name]["steps"] if "needs.build.outputs.hashes" in str(step.get("env"))]
        assert len(compared) == 1
        assert "sha256sum" in compared[0]["run"]
    assert jobs["publish"]["needs"] == ["build", "check"]


@needs_sources
def test_every_package_of_the_express_example_is_locked_with_its_hash() -> None:
    folder = ROOT / "examples/express"
    wanted = json.loads((folder / "package.json").read_text("utf-8"))["dependencies"]
    packages = json.loads((folder / "package-lock.json").read_text("utf-8"))["packages"]
    assert packages.pop("")["dependencies"] == wanted
    assert len(packages) > 50
    assert [name for name, package in packages.items() if not package["integrity"].startswith("sha512-")] == []
    assert "npm ci " in (ROOT / "Makefile").read_text("utf-8")
