"""Completion in real shells, with the scripts that `--install-completion` installs."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pexpect  # type: ignore[import-untyped]
import pytest
from typer._completion_shared import get_completion_script

from port_hook_cli.captures.store.capture_store import open_store
from tests.factories import a_body, a_capture, a_document, an_invocation
from tests.installed import path_of
from tests.processes import PORT_HOOK, environment, environment_without_coverage

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the shells here are those of Unix")

ID = "abcdef012345"
# Each would make the file `touched` in a shell that reads it as code.
CODE = ("$(touch touched)", "`touch touched`", "';touch touched;'", '\\"); touch touched; (', "a:b;touch touched")


@pytest.fixture
def home(folder: Path) -> Path:
    """A folder with a hostile store, a program `port-hook`, and the script of each shell."""
    with open_store(None, folder, create=True) as store:
        store.add([a_capture(an_invocation(id=code)) for code in CODE])
        store.add(
            [
                a_capture(an_invocation(a_body(a_document(action=code)), id=f"{number:012x}"))
                for number, code in enumerate(CODE)
            ]
        )
        store.add([a_capture(an_invocation(id=ID))])
    program = folder / "bin" / "port-hook"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m port_hook_cli "$@"\n')
    program.chmod(0o700)
    for shell in ("bash", "zsh", "fish"):
        script = get_completion_script(prog_name="port-hook", complete_var="_PORT_HOOK_COMPLETE", shell=shell)
        (folder / f"script.{shell}").write_text(script)
    return folder


def shell_environment(home: Path) -> dict[str, str]:
    kept = environment(home, TERM="dumb", LANG="C.UTF-8")
    return {**kept, "PATH": f"{home / 'bin'}{os.pathsep}{kept['PATH']}"}


def in_bash(home: Path, *words: str) -> list[str]:
    listed = " ".join(map(shlex.quote, words))
    code = (
        f"source script.bash; COMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}; _port_hook_completion port-hook;"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    return output(home, path_of("bash"), "--norc", "-c", code)


def in_fish(home: Path, line: str) -> list[str]:
    return output(home, path_of("fish"), "--no-config", "-c", f"source script.fish; complete -C {shlex.quote(line)}")


def output(home: Path, *command: str) -> list[str]:
    done = subprocess.run(
        command, cwd=home, env=shell_environment(home), capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_bash_offers_ids_and_runs_nothing_of_the_store(home: Path) -> None:
    found = in_bash(home, "port-hook", "show", "")
    assert found[:3] == ["last", "last-replay", ID]
    assert len(found) == 3 + len(CODE)
    assert in_bash(home, "port-hook", "show", "abc") == [ID]
    assert in_bash(home, "port-hook", "listen", "--tunnel", "=", "ng") == ["ngrok"]
    assert not (home / "touched").exists()


def test_fish_offers_ids_with_descriptions_and_runs_nothing_of_the_store(home: Path) -> None:
    found = dict(row.split("\t") for row in in_fish(home, "port-hook show "))
    assert found["last"] == "the latest received request"
    assert found[ID].endswith("create_vm valid")
    assert len(found) == 3 + len(CODE)
    assert not (home / "touched").exists()


def test_zsh_offers_ids_with_descriptions_and_runs_nothing_of_the_store(home: Path) -> None:
    zsh = path_of("zsh")
    child = pexpect.spawn(
        zsh, ["-f", "-i"], cwd=str(home), env=shell_environment(home), timeout=30, dimensions=(50, 150)
    )
    child.sendline("PS1='> '; unsetopt zle_bracketed_paste; autoload -Uz compinit; compinit -u -D; echo re''ady")
    child.expect("ready\r\n")
    child.sendline("source script.zsh; echo sour''ced")
    child.expect("sourced\r\n")
    child.send("port-hook listen --route cre\tX")
    child.expect("create_vm=X")  # without a space
    child.send("\x15port-hook trigger --with event=.port-hook/cap\t")
    child.expect("event=.port-hook/captures.db")
    child.send("\x15port-hook show \t")
    child.expect("create_vm valid")
    child.expect("-- the latest received request")
    child.send("abc\t\n")
    child.expect(ID)
    child.expect("verdict")  # `show` ran with the whole id
    child.sendline("exit")
    child.expect(pexpect.EOF)
    child.close()
    assert not (home / "touched").exists()


def test_zsh_completes_at_the_first_tab_of_a_new_shell(home: Path) -> None:
    zsh = path_of("zsh")

    def in_zsh(*options: str) -> pexpect.spawn:
        return pexpect.spawn(
            zsh, [*options, "-i"], cwd=str(home), env=shell_environment(home), timeout=30, dimensions=(50, 150)
        )

    before = in_zsh("-f")
    before.sendline("port-hook --install-completion")
    before.expect("zsh completion installed")
    before.sendline("exit")
    before.expect(pexpect.EOF)
    before.close()
    with (home / ".zshrc").open("a") as settings:
        settings.write("PS1='> '; unsetopt zle_bracketed_paste; echo ready\n")
    child = in_zsh("-d")
    child.expect("ready\r\n")
    child.send("port-hook show abc\t")
    child.expect(ID[3:])
    child.send("\x15port-hook listen --route cre\tX")
    child.expect("create_vm=X")
    child.sendline("\x15exit")
    child.expect(pexpect.EOF)
    child.close()


@pytest.mark.parametrize("line", ["port-hook ", "port-hook listen --", "port-hook show "])
def test_completion_imports_neither_typer_nor_a_command(line: str, home: Path) -> None:
    asked = {"_PORT_HOOK_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": line}
    environ = {**environment_without_coverage(), "HOME": str(home), **asked}
    command = [sys.executable, "-X", "importtime", "-m", "port_hook_cli"]
    done = subprocess.run(command, cwd=home, env=environ, capture_output=True, text=True, check=True, timeout=30)
    imported = {row.rpartition("|")[2].strip() for row in done.stderr.splitlines()}
    assert "port_hook_cli.cli.completion.shells" in imported
    assert not {name for name in imported if name.partition(".")[0] in {"typer", "rich", "json", "asyncio"}}
    assert "port_hook_cli.cli.app" not in imported


def test_completion_that_cannot_be_installed_ends_with_8_and_shows_the_file(tmp_path: Path) -> None:
    (tmp_path / ".bashrc").symlink_to(tmp_path / "missing" / "bashrc")
    # Bash waits for the process, so that port-hook finds its shell.
    words = ["bash", "-c", '"$@"; exit $?', "bash", *PORT_HOOK, "--install-completion"]
    ended = subprocess.run(words, env=environment(tmp_path), capture_output=True, check=False, timeout=30)
    assert ended.returncode == 8
    assert f"{tmp_path / '.bashrc'} cannot be read or written: No such file or directory.".encode() in ended.stderr
