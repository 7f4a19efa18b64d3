"""`listen --tunnel ngrok` without an ngrok program: a download that cannot be verified needs a yes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from port_hook_cli.cli.exit_codes import ExitCode
from tests.processes import environment, port_hook, typed

LISTEN = ("listen", "--port", "0", "--tunnel")
QUESTION = (
    "No ngrok program was found. Download it from ngrok's CDN? "
    "ngrok publishes no checksum for it, so port-hook cannot verify it. [y/N] "
)


def without_ngrok(folder: Path) -> dict[str, str]:
    """An environment without ngrok, in which all downloads would fail immediately."""
    (folder / "bin").mkdir()
    proxy = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    return environment(folder, PATH=str(folder / "bin"), NGROK_AUTHTOKEN="2abc_token", TERM="dumb", **proxy)


def test_listen_does_not_download_ngrok_without_a_terminal(folder: Path) -> None:
    done = port_hook(folder, *LISTEN, "ngrok", env=without_ngrok(folder), text=True, input="y\n")
    assert done.returncode == ExitCode.LISTEN
    assert "error: No ngrok program was found. port-hook downloads it only if you agree" in done.stderr
    assert "hint: Install ngrok" in done.stderr
    assert "Downloading" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
@pytest.mark.parametrize(
    ("answer", "told"),
    [("n", "you declined the download"), ("y", "the download failed")],
)
def test_listen_asks_on_a_terminal_before_it_downloads_ngrok(folder: Path, answer: str, told: str) -> None:
    env = without_ngrok(folder)
    child = typed(folder, *LISTEN, "ngrok", env=env, encoding="utf-8", dimensions=(40, 300))
    child.expect_exact(QUESTION)
    child.sendline(answer)
    rest = child.read()
    child.close()
    assert told in rest
    assert ("Downloading ngrok to " in rest) is (answer == "y")
    assert child.exitstatus == ExitCode.LISTEN


def test_tunnel_auto_downloads_nothing(folder: Path) -> None:
    done = port_hook(folder, *LISTEN, "auto", "--stop-after", "0", env=without_ngrok(folder), text=True)
    assert done.returncode == ExitCode.OK
    assert "No tunnel is open, so Port cannot call this listener." in done.stderr
    assert "Downloading" not in done.stderr
    assert not (folder / ".config").exists()
