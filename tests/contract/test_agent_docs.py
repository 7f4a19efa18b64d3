"""What the documentation has for coding agents: docs/llms.txt, and the configuration of clients."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from port_hook_cli.assistant.catalog import TOOLS
from port_hook_cli.cli.commands import COMMANDS
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.signatures.causes import CAUSES
from tests.conftest import Run
from tests.options import options, summary

pytestmark = pytest.mark.once

DOCS = Path(__file__).parents[2] / "docs"
LLMS = (DOCS / "llms.txt").read_text("utf-8")


def servers() -> Iterator[dict[str, Any]]:
    """Yield the server in each configuration on the page about coding agents."""
    page = (DOCS / "agents" / "coding-agents.md").read_text("utf-8")
    for language, block in re.findall(r"(?ms)^```(json|toml)\n(.*?)^```", page):
        document = json.loads(block) if language == "json" else tomllib.loads(block)
        (named,) = document.values()
        yield named["port-hook"]
    for arguments in re.findall(r'`"args": (\[[^`]*\])`', page):
        yield {"command": "port-hook", "args": json.loads(arguments)}


def test_client_configurations_start_the_server_with_existing_options() -> None:
    known = {flag for option in options("mcp") for flag in option.opts}
    found = list(servers())
    assert len(found) == 6
    for server in found:
        assert server["command"] == "port-hook"
        assert server["args"][0] == "mcp"
        assert {word for word in server["args"] if word.startswith("--")} <= known


def test_llms_page_has_every_command_with_one_example() -> None:
    sections = re.findall(r"(?m)^### (\S+)\n\n(.+)\n(?s:.*?)^```sh\n(.+)\n```$", LLMS)
    assert {name: purpose for name, purpose, _ in sections} == {name: summary(name) for name in COMMANDS}
    assert [name for name, _, example in sections if f"port-hook {name}" not in example] == []


def test_llms_page_has_every_exit_code_cause_and_record() -> None:
    assert all(f"| {int(code)} | {code.meaning} |" in LLMS for code in ExitCode)
    assert all(f"| `{slug}` | {meaning} |" in LLMS for slug, meaning in CAUSES.items())
    schemas = [path.stem for path in (DOCS / "reference" / "schemas").glob("*.json")]
    assert {f"port-hook-{name}" for name in schemas} == {
        title.replace("/", "-") for title in re.findall(r"(?m)^- `(port-hook/[^`]+)`:", LLMS)
    }


def test_llms_page_links_to_every_page_of_the_site() -> None:
    targets = set(re.findall(r"\]\(([^)]+)\)", LLMS))
    pages = {page.relative_to(DOCS).with_suffix(".html").as_posix() for page in DOCS.rglob("*.md")}
    schemas = {f"reference/schemas/{path.name}" for path in (DOCS / "reference" / "schemas").glob("*.json")}
    assert targets == pages | schemas


def test_llms_page_explains_how_to_compute_the_signature() -> None:
    assert "`v1,` + base64(HMAC-SHA-256(key, message))" in LLMS
    assert "| `reencoded` |" in LLMS


def test_llms_page_fits_into_the_context_of_a_model() -> None:
    assert len(LLMS) < 40_000


def test_skill_is_in_the_usual_form_and_is_printed_without_a_secret_or_the_extra(run: Run) -> None:
    result = run("mcp", "--skill")
    assert (result.code, result.err) == (ExitCode.OK, "")
    _, front, body = result.out.split("---\n", 2)
    about = yaml.safe_load(front)
    assert about.keys() == {"name", "description"}
    assert about["name"] == "port-hook"
    assert len(about["description"]) <= 1024  # the limit of the form
    commands = re.findall(r"^- `port-hook ([a-z-]+)[^`]*`: (.+)$", body, re.MULTILINE)
    assert len(commands) == 10
    assert commands == [(name, summary(name)) for name, _ in commands]
    assert all(f"`{tool.name}`" in body for tool in TOOLS)


def test_commands_of_the_skill_use_existing_options(run: Run) -> None:
    for line in re.findall(r"`port-hook ([^`]+)`", run("mcp", "--skill").out):
        name, *words = shlex.split(line)
        if name == "help":
            continue
        known = {flag for option in options(name) for flag in option.opts}
        assert {word for word in words if word.startswith("--")} <= known | {"--help", "--all"}, line
