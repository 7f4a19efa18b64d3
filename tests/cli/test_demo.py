"""The demo: the complete example on this machine, without settings and without leftover files."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from port_hook_cli.cli.app import main
from port_hook_cli.runtime import Runtime
from tests.conftest import Run
from tests.processes import environment, port_hook


def test_demo_shows_a_workflow_run_an_action_run_and_a_rejected_request_without_settings(
    run: Run, folder: Path
) -> None:
    env = {"PORT_CLIENT_SECRET": "of-someone", "PORT_API_URL": "http://127.0.0.1:1", "PORT_CLIENT_ID": "of-someone"}
    result = run("demo", env=env)

    assert (result.code, result.err) == (0, "")
    assert "of-someone" not in result.out
    assert [character for character in result.out if not (character.isprintable() or character == "\n")] == []
    started, arrived, refused, end = (
        result.out.index(text) for text in ("2. A user runs", "3. A user runs", "4. The same request", "Next:")
    )
    node, action, changed = result.out[started:arrived], result.out[arrived:refused], result.out[refused:end]
    assert "workflow node deploy_service/deploy" in node
    assert re.search(r"run +wfnr_\w{16}\n +of run +wfr_\w{16}\n", node)
    assert re.search(r'inputs +service +"cart"\n +version +"2.0"\n', node)
    assert "The workflow run is now SUCCESS." in node
    assert "Port does not document whether it signs them." in node
    assert "create_vm CREATE" in action
    assert "the action run, which is now SUCCESS." in action
    for part in (node, action):
        assert "signature valid" in part
        assert re.search(r"forwarded +http://127\.0\.0\.1:\d+/ +202 in ", part)
    assert re.search(r"cause +body-changed", changed)
    assert "401 and not forwarded" in changed
    assert "report-run" not in result.out
    assert list(folder.iterdir()) == []


def test_demo_fits_on_one_screen_and_ends_with_commands_for_the_users_handler(run: Run) -> None:
    out = run("demo", env={"PATH": str(Path(sys.executable).parent)}).out
    next_steps = out[out.index("Next:") :].splitlines()
    assert len(out.splitlines()) <= 50
    assert max(map(len, next_steps)) <= 80
    assert [line.strip() for line in next_steps if line.startswith("  port-hook")] == [
        "port-hook replay --find-fault --to 8000",
        "port-hook listen --forward-to 8000",
    ]


def test_demo_shows_the_path_setting_before_the_next_commands(run: Run) -> None:
    lines = run("demo", env={"PATH": ""}).out.splitlines()
    after = lines[lines.index("Next:") + 1 :]
    assert str(Path(sys.executable).parent) in after[0]
    assert after[1].startswith("  port-hook ")


def test_demo_registers_its_generated_secret_and_token_for_masking(
    runtime: Callable[..., Runtime], folder: Path
) -> None:
    world = runtime()
    assert main(("demo",), world) == 0
    secret, token = sorted(world.memory.secrets, key=lambda value: "." in value)
    assert re.fullmatch("[0-9a-f]{64}", secret)
    assert token.count(".") == 2


def test_demo_leaves_no_temporary_file(folder: Path, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    env = environment(folder, TMPDIR=str(temporary))
    del env["PORT_CLIENT_SECRET"]
    done = port_hook(folder, "demo", env=env)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"SUCCESS" in done.stdout
    assert list(temporary.iterdir()) == []
