from __future__ import annotations

import os
import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest

import port_hook_cli
from port_hook_cli.installed import find_program, find_programs, install_command, optional_packages, shell_command
from port_hook_cli.tunnels.supervisor import taskkill

ROOT = Path(__file__).parents[1]


def a_program(folder: Path, name: str = "ngrok") -> str:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("#!/bin/sh\n")
    (folder / name).chmod(0o755)
    return str(folder / name)


def test_programs_on_path_are_found_in_its_order(tmp_path: Path) -> None:
    for platform in ("linux", "win32"):
        programs = [a_program(tmp_path / name) for name in ("b", "a")]
        environ = {"PATH": os.pathsep.join(str(tmp_path / name) for name in ("b", "none", "a"))}
        assert list(find_programs("ngrok", environ, platform)) == programs
        assert find_program("ngrok", environ, platform) == programs[0]
        assert find_program("cloudflared", environ, platform) is None


def test_program_in_the_current_directory_is_not_used_on_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("", "bin"):
        a_program(tmp_path)
        a_program(tmp_path / "bin")
        monkeypatch.chdir(tmp_path)
        assert find_program("ngrok", {"PATH": path}, "win32") is None


def test_empty_part_of_path_is_not_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_program(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert find_program("ngrok", {"PATH": f"{os.pathsep}/absent"}) is None


def test_programs_are_searched_by_one_function() -> None:
    """`shutil.which` looks in the current directory on Windows. The pager searches `less` on other systems only."""
    package = Path(port_hook_cli.__file__).parent
    searching = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"\bwhich\(|find_executable", path.read_text("utf-8"))
    }
    assert searching == {
        "installed.py",
        "terminal/pager.py",
        "cli/demo.py",
    }  # the demo does not start the program that it finds
    pager = (package / "terminal" / "pager.py").read_text("utf-8")
    assert pager.count("which(") == 1
    assert 'if os.name == "nt":' in pager.partition("which(")[0]


def an_environment(folder: Path, **files: str) -> Path:
    """Return the prefix of an environment of pipx or uv, with the files that the tool leaves there."""
    prefix = folder / "venvs" / "port-hook"
    prefix.mkdir(parents=True)
    for name, text in files.items():
        (prefix / name.replace("__", ".").replace("_receipt", "-receipt")).write_text(text, "utf-8")
    return prefix


def test_pipx_adds_a_package_of_an_extra_with_its_bounds(tmp_path: Path) -> None:
    prefix = an_environment(tmp_path, pipx_metadata__json="{}")
    assert install_command(["asyncssh"], prefix) == "pipx inject port-hook 'asyncssh<3,>=2.23'"
    assert install_command(["jq", "jsonschema"], prefix) == "pipx inject port-hook jq jsonschema"

    command = install_command(["keyring"], tmp_path, has_pip=True)
    assert command == f"{shlex.quote(sys.executable)} -m pip install 'keyring<26,>=25.6'"


def test_pipx_run_environment_has_no_name_to_inject_into(tmp_path: Path) -> None:
    prefix = tmp_path / "3f2a9c0b1d4e"
    prefix.mkdir()
    (prefix / "pipx_metadata.json").touch()
    assert install_command(["jq"], prefix, has_pip=True) == f"{shlex.quote(sys.executable)} -m pip install jq"


def uv_tool(folder: Path, *requirements: str, rest: str = "") -> Path:
    listed = ", ".join(requirements)
    return an_environment(folder, uv_receipt__toml=f"[tool]\nrequirements = [{listed}]\nentrypoints = []\n{rest}")


def test_uv_installs_the_same_source_again_with_all_packages(tmp_path: Path) -> None:
    itself = f'{{ name = "port-hook", extras = ["mcp"], directory = "{tmp_path}" }}'
    others = ('{ name = "keyring" }', '{ name = "httpx", extras = ["http2"], specifier = ">=0.28" }')
    prefix = uv_tool(tmp_path, itself, *others, rest='python = "3.12"\n')
    assert install_command(["asyncssh"], prefix) == (
        "uv tool install --with keyring --with 'httpx[http2]>=0.28' --with 'asyncssh<3,>=2.23' "
        f"--python 3.12 '{tmp_path}[mcp]'"
    )


def test_uv_installs_an_editable_tool_as_editable_again(tmp_path: Path) -> None:
    prefix = uv_tool(tmp_path, f'{{ name = "port-hook", editable = "{tmp_path}" }}')
    assert install_command(["keyring"], prefix).endswith(f" --editable {tmp_path}")


@pytest.mark.parametrize(
    "requirement",
    [
        '{ name = "port-hook" }',
        '{ name = "port-hook", directory = "/absent/clone" }',
        '{ name = "port-hook", git = "https://git.example.com/port-hook.git" }',
    ],
)
def test_uv_tool_from_an_unknown_source_is_not_replaced_by_a_package_of_an_index(
    tmp_path: Path, requirement: str
) -> None:
    prefix = uv_tool(tmp_path, requirement)
    assert install_command(["jq"], prefix, has_pip=False) == (
        f"uv pip install --python {shlex.quote(sys.executable)} jq"
    )


@pytest.mark.parametrize("text", ["", "[tool]", "[tool]\nrequirements = 3", "[tool]\nrequirements = [3]"])
def test_unreadable_receipt_of_uv_is_ignored(tmp_path: Path, text: str) -> None:
    prefix = an_environment(tmp_path, uv_receipt__toml=text)
    assert install_command(["jq"], prefix, has_pip=False).startswith("uv pip install ")


def test_command_is_quoted_for_the_shell_of_the_system() -> None:
    words = [r"C:\Program Files\python.exe", "-m", "pip", "keyring<26"]
    assert shell_command(words, "win32") == r'"C:\Program Files\python.exe" -m pip "keyring<26"'
    assert shell_command(["/a b/python", "keyring<26"], "linux") == "'/a b/python' 'keyring<26'"

    command = [r"D:\W\System32\taskkill.exe", "/F", "/T", "/PID", "7"]
    assert taskkill(7, {"SYSTEMROOT": r"D:\W"}) == command
    assert taskkill(7, {})[0] == r"C:\Windows\System32\taskkill.exe"


def test_each_extra_has_the_requirement_of_the_project_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for extra, (line,) in project["optional-dependencies"].items():
        package, requirement = optional_packages()[extra]
        assert re.match(r"[\w-]+", line)[0] == package  # type: ignore[index]
        assert sorted(re.findall(r"[<>=]+[\d.]+", line)) == sorted(re.findall(r"[<>=]+[\d.]+", requirement))


def test_docs_list_the_commands_printed_by_doctor(tmp_path: Path) -> None:
    prefix = an_environment(tmp_path, pipx_metadata__json="{}")
    expected = {install_command([package], prefix) for package, _ in optional_packages().values()}
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    found = {line for page in pages for line in re.findall(r"pipx inject [^\n`]*", page.read_text("utf-8"))}
    assert found == {line for line in expected if "pytest" not in line}


def test_only_the_install_page_lists_extras_of_a_new_pipx_installation() -> None:
    """`pipx install` does not change an existing installation, so another page must not recommend it."""
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        if page != ROOT / "docs" / "install" / "install.md":
            assert re.findall(r"pipx install '?\.\[", page.read_text("utf-8")) == [], page.name
