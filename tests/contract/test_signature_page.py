"""The catalog of causes: each command in it shows the cause that its section is about."""

from __future__ import annotations

import os
import re
import selectors
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from port_hook_cli.signatures.causes import CAUSES
from tests.conftest import Run
from tests.installed import needs
from tests.processes import environment, listener

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "signatures.md"
pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a POSIX shell"),
]


def blocks(text: str) -> list[str]:
    return re.findall(r"(?s)```sh\n(.*?)```", text)


INTRODUCTION, *SECTIONS = re.split(r"(?m)^### ", PAGE.read_text("utf-8").split("\n## Causes\n")[1])
COMMANDS = {section.split("\n")[0]: command for section in SECTIONS for command in blocks(section)}


# Stands for port-hook in a shell, and asks the test to run the command in the test's process. Starting port-hook for
# each command of the page would take 20 s. Another test starts the real program. The import of `socket` would take as
# long as the start.
PROGRAM = f"""#!{sys.executable} -IS
import _socket, os, sys
content = sys.stdin.buffer.read()
asked = _socket.socket()
asked.connect(("127.0.0.1", int(os.environ["TEST_PORT"])))
words = "\\0".join((os.environ["PORT_CLIENT_SECRET"], *sys.argv[1:])).encode()
asked.sendall(b"%d\\n%b%b" % (len(words), words, content))
asked.shutdown(_socket.SHUT_WR)
head, _, rest = b"".join(iter(lambda: asked.recv(65536), b"")).partition(b"\\n")
code, length = map(int, head.split())
sys.stdout.buffer.write(rest[:length])
sys.stderr.buffer.write(rest[length:])
sys.exit(code)
"""


def answer(asked: socket.socket, run: Run) -> None:
    """Run the command that the program above asks for."""
    with asked, asked.makefile("rb") as given:
        secret, *words = given.read(int(given.readline())).decode().split("\0")
        done = run(*words, stdin=given.read(), env={"PORT_CLIENT_SECRET": secret})
        asked.sendall(b"%d %d\n%b%b" % (done.code, len(done.raw), done.raw, done.err.encode()))


def in_shell(command: str, folder: Path, run: Run) -> tuple[int, str]:
    """Run a command after the functions of the page. Return its exit code and output."""
    program = folder / "port-hook"
    program.write_text(PROGRAM, "utf-8")
    program.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as server, selectors.DefaultSelector() as ready:
        names = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "TEST_PORT": str(server.getsockname()[1])}
        with subprocess.Popen(
            ["sh", "-c", f"{blocks(INTRODUCTION)[0]}{command}"],
            cwd=folder,
            env=environment(folder, **names),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        ) as shell:
            assert shell.stdout is not None
            ready.register(server, selectors.EVENT_READ)
            ready.register(shell.stdout, selectors.EVENT_READ)
            written = [b"start"]
            while written[-1]:  # until the end of its output
                for key, _ in ready.select():
                    if key.fileobj is server:
                        answer(server.accept()[0], run)
                    else:
                        written.append(os.read(key.fd, 65536))
        return shell.returncode, b"".join(written[1:]).decode()


def test_page_has_a_section_for_every_cause() -> None:
    found = [section.split("\n")[0] for section in SECTIONS]
    assert found == list(CAUSES), "describe the cause in docs/reproductions.toml, and run `make docs`"
    assert CAUSES.keys() - COMMANDS.keys() == {"undiagnosed"}


def test_section_quotes_only_what_is_said_of_its_own_cause() -> None:
    quoted = [line for section in SECTIONS for line in section.splitlines() if line.startswith("- ")]
    assert sorted(set(quoted)) == sorted(quoted)
    (skew,) = (section for section in SECTIONS if section.startswith("clock-skew\n"))
    assert "The tolerance is 300 s" in skew


def test_request_without_a_fault_is_valid(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", "".join(blocks(INTRODUCTION)[:2])],
        cwd=tmp_path,
        env=environment(tmp_path, PATH=path),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.stdout.startswith("valid: "), done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("slug", sorted(COMMANDS.keys() - {"replayed", "body-changed"}))
def test_command_of_a_cause_shows_the_cause(slug: str, folder: Path, run: Run) -> None:
    code, out = in_shell(COMMANDS[slug], folder, run)
    shown = [name for name in re.findall(r"(?m)^([a-z0-9-]+): ", out) if name in CAUSES]
    # A document that changed has the cause of its form too.
    assert (shown[-1:] if slug == "meaning-changed" else shown[:1]) == [slug], out
    assert code == (0 if slug == "header-doubled" else 3)


@needs("curl")
@pytest.mark.parametrize("slug", ["replayed", "body-changed"])
def test_second_request_with_the_same_signature_shows_the_cause(slug: str, folder: Path, run: Run) -> None:
    with listener(folder, env={"PORT_CLIENT_SECRET": "an-example-and-no-secret"}) as running:
        code, _ = in_shell(COMMANDS[slug].replace("8787", str(running.port)), folder, run)
        causes = [running.record()["verdict"]["causes"] for _ in range(2)]
    assert (code, causes) == (0, [[], [slug]])
