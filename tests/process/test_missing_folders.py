"""port-hook in a deleted directory, and for a user without a home folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from port_hook_cli.errors import SettingsError
from port_hook_cli.runtime import system_runtime
from tests.processes import environment

IN_A_DELETED_FOLDER = """
import os, sys
from port_hook_cli.cli.app import main

os.rmdir(os.getcwd())
sys.exit(main(["captures"]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not delete the folder that a process is in")
def test_command_in_a_deleted_directory_reports_it(tmp_path: Path) -> None:
    folder = tmp_path / "deleted"
    folder.mkdir()
    words = [sys.executable, "-c", IN_A_DELETED_FOLDER]
    ended = subprocess.run(
        words, cwd=folder, env=environment(tmp_path), capture_output=True, text=True, timeout=30, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "error: The current directory cannot be used: No such file or directory.\n"
        "hint: If it was deleted, change to another directory.\n"
    )


def test_user_without_a_home_folder_is_told_to_set_home() -> None:
    """A container may run as a user that the system does not know."""

    def find() -> Path:
        raise RuntimeError("Could not determine home directory.")

    with pytest.raises(SettingsError, match="no home directory, and HOME is not set") as raised:
        system_runtime(find)
    assert raised.value.hint.startswith("Set HOME to a directory")
