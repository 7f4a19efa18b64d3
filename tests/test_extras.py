from __future__ import annotations

import sys
from pathlib import Path

import pytest

from port_hook_cli.installed import install_command


@pytest.mark.parametrize(
    ("mark", "command"),
    [
        ("pipx_metadata.json", "pipx inject port-hook jq jsonschema"),
        ("uv-receipt.toml", f"uv pip install --python {sys.executable} jq jsonschema"),
        ("pyvenv.cfg", f"{sys.executable} -m pip install jq jsonschema"),
    ],
)
def test_install_command_matches_how_port_hook_was_installed(tmp_path: Path, mark: str, command: str) -> None:
    prefix = tmp_path / "port-hook"
    prefix.mkdir()
    (prefix / mark).touch()
    assert install_command("jq jsonschema", prefix) == command
