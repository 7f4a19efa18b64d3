from __future__ import annotations

import os
import re
import socket
import stat
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from port_hook_cli.cli.app import main
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.files.example_handlers import HANDLERS, PATH
from port_hook_cli.runtime import Runtime
from tests.conftest import Run
from tests.processes import NO_OTHER_PLUGINS, PYTEST
from tests.sandboxes import a_sandbox, environ_of
from tests.sockets import free_port
from tests.terminal_streams import Keyboard, Screen

EXAMPLES = Path(__file__).parents[2] / "examples"
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="modes, links and pseudo terminals are POSIX")


def written(folder: Path) -> object:
    return tomllib.loads((folder / "port-hook.toml").read_text("utf-8"))


def answer(runtime: Callable[..., Runtime], typed: bytes, *args: str) -> tuple[int, str]:
    """Run `init` on a terminal on which the user types `typed`. Return the exit code and stderr."""
    stderr = Screen()
    code = main(("init", *args), replace(runtime(), stdin=Keyboard(typed), stderr=stderr))
    return code, stderr.getvalue()


def test_init_writes_the_defaults_without_a_terminal(run: Run, folder: Path) -> None:
    result = run("init")
    assert (result.code, result.err) == (ExitCode.OK, "")
    assert result.out == "Created ./port-hook.toml. Start with `port-hook listen`.\n"
    assert written(folder) == {"handler": 8000}
    assert [path.name for path in folder.iterdir()] == ["port-hook.toml"]


def test_init_writes_the_options_without_a_terminal(run: Run, folder: Path) -> None:
    assert run("init", 'localhost:80/"ab"', "--port", "0").code == 0
    assert written(folder) == {"handler": 'http://localhost:80/"ab"', "listen": {"port": 0}}


@POSIX
def test_file_of_init_is_used_by_listen(run: Run, folder: Path) -> None:
    run("init", "--port", "0")
    (folder / "port-hook.toml").write_text(
        (folder / "port-hook.toml").read_text().replace("# [", "[").replace('# "', '"').replace("# c", "c")
    )
    result = run("listen", "--tunnel", "none", "--stop-after", "0", "--verify", "off")
    assert result.code == ExitCode.OK
    taken = "handler 8000, --port 0, --route deploy_service#deploy=8001, --route create_vm=8002"
    assert f"note: from ./port-hook.toml: {taken}\n" in result.err


def test_init_asks_for_the_handler_on_a_terminal(runtime: Callable[..., Runtime], folder: Path) -> None:
    code, shown = answer(runtime, b"9000/hook\n")
    assert (code, shown) == (ExitCode.OK, "Your handler [8000]: ")
    assert written(folder) == {"handler": "http://127.0.0.1:9000/hook"}
    assert answer(runtime, b"", "2", "--force") == (ExitCode.OK, "")
    assert written(folder) == {"handler": 2}


def test_init_asks_again_after_an_invalid_answer(runtime: Callable[..., Runtime], folder: Path) -> None:
    code, shown = answer(runtime, b"example.com\nx y\n9000\n")
    assert code == ExitCode.OK
    assert shown.count("Your handler [8000]: ") == 3
    assert written(folder) == {"handler": 9000}


def test_init_writes_nothing_after_the_third_invalid_answer(runtime: Callable[..., Runtime], folder: Path) -> None:
    code, shown = answer(runtime, b"x y\nexample.com\n ftp://x\n9001\n")
    assert (code, shown.count("Your handler [8000]: ")) == (ExitCode.USAGE, 3)
    assert list(folder.iterdir()) == []


def test_init_ends_when_stdin_ends_after_an_invalid_answer(runtime: Callable[..., Runtime]) -> None:
    code, shown = answer(runtime, b"x y\n")
    assert (code, shown.count("Your handler [8000]: ")) == (ExitCode.USAGE, 2)
    assert shown.splitlines()[-2].endswith(" No valid answer was entered.")


def test_init_rejects_a_handler_on_another_machine(run: Run) -> None:
    result = run("init", "https://example.com")
    assert result.code == ExitCode.USAGE
    assert "error: The handler is not on this machine." in result.err


def test_init_overwrites_a_file_only_with_force(run: Run, folder: Path) -> None:
    (folder / "port-hook.toml").write_text("broken")
    result = run("init")
    assert (result.code, result.out) == (ExitCode.STORE, "")
    assert "error: ./port-hook.toml already exists.\nhint: Edit it, or overwrite it with --force." in result.err
    assert (folder / "port-hook.toml").read_text() == "broken"
    assert run("init", "--force").code == ExitCode.OK
    assert written(folder)


@POSIX
def test_init_replaces_a_link_and_leaves_its_target(run: Run, folder: Path) -> None:
    target = folder.parent / "profile"
    (folder / "port-hook.toml").symlink_to(target)
    assert run("init").code == ExitCode.STORE
    assert not target.exists()
    target.write_text("mine")
    assert run("init", "--force").code == ExitCode.OK
    assert target.read_text() == "mine"
    assert written(folder)


@POSIX
def test_file_of_init_is_not_writable_for_a_group(run: Run, folder: Path) -> None:
    before = os.umask(0)
    try:
        run("init")
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "port-hook.toml").stat().st_mode) == 0o644


def test_init_reports_an_unwritable_file(run: Run, folder: Path) -> None:
    (folder / "port-hook.toml").mkdir()
    result = run("init", "--force")
    assert result.code == ExitCode.STORE
    assert "./port-hook.toml cannot be written: " in result.err
    assert [path.name for path in folder.iterdir()] == ["port-hook.toml"]


def test_init_writes_an_example_handler_and_its_test(run: Run, folder: Path) -> None:
    for name, handler in HANDLERS.items():
        result = run("init", "--handler", name)
        assert result.code == ExitCode.OK
        assert result.out.startswith(f"Created {', '.join(handler.files)}.\n")
        assert "\nSet:     PORT_CLIENT_ID and PORT_CLIENT_SECRET\n" in result.out
        assert max(map(len, result.out.splitlines())) <= 80
        assert {each.name for each in folder.iterdir()} == set(handler.files)
        for file in handler.files:
            assert (folder / file).read_bytes() == (EXAMPLES / name / file).read_bytes()
            (folder / file).unlink()


def test_init_writes_no_handler_over_an_existing_file(run: Run, folder: Path) -> None:
    (folder / "create_vm.yaml").write_text("mine")
    result = run("init", "--handler", "flask")
    assert (result.code, result.err.splitlines()[0]) == (ExitCode.STORE, "error: create_vm.yaml already exists.")
    assert [each.name for each in folder.iterdir()] == ["create_vm.yaml"]
    assert run("init", "8000", "--handler", "flask").code == ExitCode.USAGE


def test_wheel_contains_the_files_of_the_example_handlers() -> None:
    project = tomllib.loads((EXAMPLES.parent / "pyproject.toml").read_text("utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    files = {f"examples/{name}/{file}" for name, handler in HANDLERS.items() for file in handler.files}
    assert included == {file: f"port_hook_cli/{file}" for file in files}


@pytest.mark.extended
@pytest.mark.parametrize("name", HANDLERS)
def test_written_handler_passes_its_test_and_every_check(name: str, run: Run, folder: Path) -> None:
    assert run("init", "--handler", name).code == ExitCode.OK
    if name == "express":
        modules = EXAMPLES / "express" / "node_modules"
        if not modules.is_dir():
            pytest.skip("Express is not installed")
        (folder / "node_modules").symlink_to(modules)
    environ = {**os.environ, **NO_OTHER_PLUGINS}
    words = [*PYTEST, "-rs", *HANDLERS[name].test.split()[1:]]
    done = subprocess.run(words, cwd=folder, env=environ, capture_output=True, text=True, timeout=170, check=False)
    if skipped := re.search(r"SKIPPED .*?: (.*)", done.stdout):
        pytest.skip(skipped[1])
    assert done.returncode == 0, done.stdout + done.stderr
    program, *arguments = HANDLERS[name].start.replace("8000", str(port := free_port())).split()
    if program != "node" and find_spec(program) is None:
        pytest.skip(f"{program} is not installed")
    command = ["node", *arguments] if program == "node" else [sys.executable, "-m", program, *arguments]
    with a_sandbox() as sandbox:
        variables = environ_of(sandbox)
        with subprocess.Popen(command, cwd=folder, env={**environ, **variables}, stderr=subprocess.DEVNULL) as handler:
            try:
                wait_for_port(port)
                url = f"http://127.0.0.1:{port}{PATH}"
                checked = run("check", "create_vm.yaml", "--to", url, "--strict", "--json", env=variables)
            finally:
                handler.kill()
    assert checked.code == ExitCode.OK, checked.out + checked.err


def wait_for_port(port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)  # nothing tells of it
    pytest.fail(f"nothing listens on port {port}")
