"""The demo: the whole job on this machine, with nothing set and nothing left behind."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from port_hook_cli.cli.app import main
from port_hook_cli.runtime import Runtime
from tests.conftest import Run
from tests.processes import environment, port_hook


def test_demo_shows_a_successful_run_and_a_refused_request_without_settings(run: Run, folder: Path) -> None:
    env = {"PORT_CLIENT_SECRET": "of-someone", "PORT_API_URL": "http://127.0.0.1:1", "PORT_CLIENT_ID": "of-someone"}
    result = run("demo", env=env)

    assert (result.code, result.err) == (0, "")
    assert "of-someone" not in result.out
    assert [character for character in result.out if not (character.isprintable() or character == "\n")] == []
    arrived, reported, refused = (
        result.out.index(text) for text in ("2. A user runs", "3. The handler has done", "4. The same request")
    )
    first, second = result.out[arrived:reported], result.out[refused:]
    assert "create_vm CREATE" in first
    assert re.search(r"forwarded +http://127\.0\.0\.1:\d+/ +202 in ", first)
    assert "The run in Port is now SUCCESS." in result.out[reported:refused]
    assert re.search(r"cause +wrong-secret", second)
    assert "401 and not forwarded" in second
    assert "the run stays IN_PROGRESS until the handler reports its result" in first
    assert "report-run" not in result.out
    assert "port-hook listen --tunnel none" in second
    assert all("umask 077" in line for line in second.splitlines() if "> .env" in line)
    assert max(map(len, second[second.index("Next, ") :].split("\n\n")[0].splitlines())) <= 80
    assert list(folder.iterdir()) == []


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
