"""`port-hook inspect` and `listen --inspect` as real processes."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from port_hook_cli.cli.exit_codes import ExitCode
from tests.conftest import Run
from tests.factories import SECRET, a_capture
from tests.inspectors import keep
from tests.prepared import Popen
from tests.processes import environment, running
from tests.sockets import free_port


@pytest.fixture
def kept(folder: Path) -> None:
    keep(folder / ".port-hook" / "captures.db", [a_capture()])


@contextmanager
def inspecting(folder: Path, *options: str, **variables: str) -> Iterator[tuple[Popen, str]]:
    """Run `port-hook inspect`, and yield the process and the URL that it prints."""
    with running(folder, "inspect", *options, env=environment(folder, **variables), text=True) as process:
        yield process, process.stdout.readline().strip()


@contextmanager
def on_a_desktop(folder: Path, *options: str, **variables: str) -> Iterator[tuple[Popen, int]]:
    """Run `port-hook` in a terminal with a screen, and yield the process and the terminal with its stderr."""
    import pty  # not on Windows
    import termios

    ours, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 200))
    env = environment(folder, **{"DISPLAY": ":0", "NO_COLOR": "1", **variables})
    try:
        with running(folder, *options, env=env, text=True, stdin=terminal, stderr=terminal) as process:
            yield process, ours
    finally:
        os.close(ours)
        os.close(terminal)


def test_browser_opens_a_single_use_url_without_the_token(folder: Path, kept: None) -> None:
    """Every user of the machine can read the arguments of a program."""
    get = partial(httpx.get, timeout=30)
    arguments = folder / "arguments"
    os.mkfifo(arguments)
    browser = folder / "browser"
    browser.write_text(f'#!/bin/sh\necho "$@" > "{arguments}"\n')
    browser.chmod(0o700)
    with on_a_desktop(folder, "inspect", BROWSER=f"{browser} %s") as (process, terminal):
        url = process.stdout.readline().strip()
        page, token = httpx.URL(url), url.partition("#token=")[2]
        assert get(page.copy_with(fragment=None)).headers["content-type"].startswith("text/html")
        authorization = {"authorization": f"Bearer {token}"}
        shown = get(page.join("/api/session"), headers=authorization).json()
        assert (shown["mode"], shown["count"], shown["can"]["sign"]) == ("store", 1, True)
        opened = arguments.read_text().strip()
        assert token not in opened
        assert page.path not in opened
        first, second = get(opened), get(opened)
        assert (first.status_code, page.join(first.headers["location"])) == (303, page)
        assert (second.status_code, "location" in second.headers) == (403, False)
        assert "This URL was opened before" in second.text
        assert get(page.join("/api/session"), headers=authorization).status_code == 403
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
        err = os.read(terminal, 10_000).decode()
    assert (process.returncode, out) == (ExitCode.OK, "")
    assert "The inspector runs until you press Ctrl-C." in err
    assert SECRET.reveal() not in err
    assert "warning: The one-time URL of the inspector was opened a second time" in err
    new_url = re.search(r"Inspector (http://\S+)", err)
    assert new_url
    assert new_url[1] != url
    with inspecting(folder) as (_, again):
        assert again == new_url[1]


@pytest.mark.parametrize(
    ("options", "variables"),
    [(("--no-open",), {}), ((), {"DISPLAY": ""}), ((), {"SSH_TTY": "/dev/pts/1"}), ((), {"CLAUDECODE": "1"})],
)
def test_browser_does_not_open_without_a_desktop(
    folder: Path, kept: None, options: tuple[str, ...], variables: dict[str, str]
) -> None:
    opened = folder / "opened"
    with on_a_desktop(folder, "inspect", *options, BROWSER=f"touch {opened} %s", **variables) as (process, _):
        url = httpx.URL(process.stdout.readline().strip())
        assert httpx.get(url.copy_with(fragment=None), timeout=30).status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == ExitCode.OK
    assert not opened.exists()


def test_inspect_without_a_store_fails(run: Run) -> None:
    result = run("inspect")
    assert result.code == ExitCode.STORE
    assert "Capture store not found" in result.err


def test_inspect_rejects_a_port_in_use(run: Run, kept: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("inspect", "--port", str(taken.getsockname()[1]))
    assert result.code == ExitCode.LISTEN
    assert "Choose another port" in result.err


def test_listen_rejects_its_own_inspector_as_the_target(run: Run) -> None:
    for option in ("--forward-to", "--route"):
        port = free_port()
        target = f"http://localhost:{port}/"
        given = f"create_vm={target}" if option == "--route" else target
        listen = ("listen", "--inspect", "--inspect-port", str(port), "--port", "0", "--tunnel", "none")
        result = run(*listen, option, given, env={"PORT_CLIENT_SECRET": SECRET.reveal()})
        assert result.code == ExitCode.USAGE
        assert "is the inspector itself" in result.err
