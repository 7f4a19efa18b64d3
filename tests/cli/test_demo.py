"""The demo: the complete example on this machine, without settings and without leftover files."""

from __future__ import annotations

import io
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from port_hook_cli.cli.app import main
from port_hook_cli.runtime import Runtime
from tests.conftest import Run


def test_demo_shows_a_workflow_run_an_action_run_and_a_rejected_request_without_settings(
    runtime: Callable[..., Runtime], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    env = {"PORT_CLIENT_SECRET": "of-someone", "PORT_API_URL": "http://127.0.0.1:1", "PORT_CLIENT_ID": "of-someone"}
    output, errors = io.StringIO(), io.StringIO()
    world = replace(runtime(env={**env, "PATH": str(Path(sys.executable).parent)}), stdout=output, stderr=errors)
    assert (main(("demo",), world), errors.getvalue()) == (0, "")
    out = output.getvalue()
    assert "of-someone" not in out
    assert [character for character in out if not (character.isprintable() or character == "\n")] == []
    started, arrived, refused, end = (
        out.index(text) for text in ("2. A user runs", "3. A user runs", "4. The same request", "Next, with your")
    )
    node, action, changed = out[started:arrived], out[arrived:refused], out[refused:end]
    assert re.search(r"\d  deploy_service#deploy  valid  -> 202 in \S+ m?s ", node)
    assert re.search(r"  run     wfnr_\w{16}  of wfr_\w{16}, ", node)
    assert re.search(r'inputs +service "cart"  version "2.0"\n', node)
    assert "The workflow run is now SUCCESS." in node
    assert "Port does not document whether it signs requests of nodes. The sandbox does." in node
    assert re.search(r"\d  create_vm CREATE  valid  -> 202 in \S+ m?s ", action)
    assert "the action run, which is now SUCCESS." in action
    assert re.search(r"cause +body-changed", changed)
    assert "-> 401, not forwarded" in changed
    assert "report-run" not in out
    assert (list(folder.iterdir()), list(temporary.iterdir())) == ([], [])
    next_steps = out[end:].splitlines()
    assert len(out.splitlines()) <= 50
    assert max(map(len, out.splitlines())) <= 80
    assert [line.split("  ")[1] for line in next_steps[1:]] == ["port-hook check --to 8000", "port-hook listen 8000"]
    secret, token = sorted(world.memory.secrets, key=lambda value: "." in value)  # for masking
    assert re.fullmatch("[0-9a-f]{64}", secret)
    assert token.count(".") == 2


def test_demo_shows_how_to_activate_its_environment_before_the_next_commands(run: Run) -> None:
    lines = run("demo", env={"PATH": ""}).out.splitlines()
    [after] = [number for number, line in enumerate(lines) if line.startswith("Next, in a terminal with `")]
    assert str(Path(sys.executable).parent) in lines[after]
    assert lines[after + 1].startswith("  port-hook ")
