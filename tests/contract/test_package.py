"""What is published: the text of an index page, the changelog, the container image and the release workflow.

Docker is not needed: the Dockerfile and the workflow are parsed. `make test-install` installs the packages.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from functools import reduce
from pathlib import Path

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
    assert [value for name, value in found if name == "FROM"] == ["${PYTHON} AS build", "${PYTHON}"]
    assert re.fullmatch(r"PYTHON=python:3\.\d+-slim-\w+", dict(found)["ARG"])
    assert not {"ADD", "MAINTAINER", "SHELL"} & {name for name, _ in found}
    installs = re.findall(r"pip install [^&]*", " ".join(value for name, value in found if name == "RUN"))
    assert len(installs) == 2
    assert all("--no-cache-dir" in line and ("--require-hashes" in line or "--no-deps" in line) for line in installs)


@needs_sources
def test_command_of_the_image_is_one_of_port_hooks() -> None:
    from port_hook_cli.cli.app import COMMANDS

    name, *options = yaml.safe_load(dict(instructions())["CMD"])
    assert name in COMMANDS
    assert shlex.join(options) == "--host 0.0.0.0 --tunnel none"


@needs_sources
def test_only_the_wheel_and_the_lock_enter_the_image() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert rules == ["*", "!dist/*.whl", "!requirements.lock"]


@needs_sources
def test_release_uses_pinned_actions_and_a_trusted_publisher() -> None:
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8")
    workflow = yaml.safe_load(text)
    uses = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert len(uses) == len(re.findall(r"uses: \S+@[0-9a-f]{40} # v\d+\.\d+\.\d+\n", text)) > 3
    assert workflow["permissions"] == {}
    assert workflow["jobs"]["build"]["permissions"] == {"contents": "read"}
    assert workflow["jobs"]["publish"]["permissions"] == {"id-token": "write"}
    assert workflow["jobs"]["publish"]["environment"] == "pypi"
    assert "secrets." not in text


@needs_sources
def test_release_runs_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for file in (".github/workflows/release.yml", ".ci/run", "CONTRIBUTING.md"):
        for targets in re.findall(r"(?m)^\s*make ((?:[a-z-]+ ?)+)$", (ROOT / file).read_text("utf-8")):
            assert [name for name in targets.split() if f".PHONY: {name}\n" not in makefile] == [], file
