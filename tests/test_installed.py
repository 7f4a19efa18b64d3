from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

import port_hook_cli
from port_hook_cli.installed import find_program, find_programs, install_command
from port_hook_cli.tunnels.supervisor import taskkill


def a_program(folder: Path, name: str = "ngrok") -> str:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("#!/bin/sh\n")
    (folder / name).chmod(0o755)
    return str(folder / name)


@pytest.mark.parametrize("platform", ["linux", "win32"])
def test_programs_on_path_are_found_in_its_order(tmp_path: Path, platform: str) -> None:
    programs = [a_program(tmp_path / name) for name in ("b", "a")]
    environ = {"PATH": os.pathsep.join(str(tmp_path / name) for name in ("b", "none", "a"))}
    assert list(find_programs("ngrok", environ, platform)) == programs
    assert find_program("ngrok", environ, platform) == programs[0]
    assert find_program("cloudflared", environ, platform) is None


@pytest.mark.parametrize("path", ["", ".", "bin"])
def test_program_in_the_working_folder_is_not_used_on_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    a_program(tmp_path)
    a_program(tmp_path / "bin")
    monkeypatch.chdir(tmp_path)
    assert find_program("ngrok", {"PATH": path}, "win32") is None


def test_empty_part_of_path_is_not_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_program(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert find_program("ngrok", {"PATH": f"{os.pathsep}/absent"}) is None


def test_taskkill_has_a_full_path() -> None:
    command = [r"D:\W\System32\taskkill.exe", "/F", "/T", "/PID", "7"]
    assert taskkill(7, {"SYSTEMROOT": r"D:\W"}) == command
    assert taskkill(7, {})[0] == r"C:\Windows\System32\taskkill.exe"


def test_programs_are_searched_in_one_place() -> None:
    """`shutil.which` looks in the working folder on Windows. The pager searches `less` on other systems only."""
    package = Path(port_hook_cli.__file__).parent
    searching = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"\bwhich\(|find_executable", path.read_text("utf-8"))
    }
    assert searching == {"installed.py", "terminal/programs.py", "cli/demo.py"}  # the demo does not start what it finds
    programs = (package / "terminal" / "programs.py").read_text("utf-8")
    assert programs.count("which(") == 1
    assert 'if os.name == "nt":' in programs.partition("which(")[0]


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
