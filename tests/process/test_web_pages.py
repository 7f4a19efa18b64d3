"""Which host names a listener answers to, and what it says when it is open to the network."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from pathlib import Path

import pytest

from port_hook_cli.invocations.models import Headers
from tests.processes import Listener, listener

STANDIN = Path(__file__).parents[1] / "standins" / "cloudflared.py"
WARNING = "warning: 0.0.0.0: everyone on your network can send requests to this listener."


def status(running: Listener, host: str) -> int:
    return running.post(b"{}", Headers((("Host", host),)))[0]


def test_a_listener_accepts_the_host_of_its_public_url_and_no_other_name(folder: Path) -> None:
    with listener(folder, "--public-url", "https://hooks.example/x", "--probe-interval", "0") as running:
        assert [status(running, host) for host in ("hooks.example", "localhost", "page.example")] == [401, 401, 421]
        running.process.send_signal(signal.SIGTERM)
        out, err = running.process.communicate(timeout=30)
    assert b'"received": 2' in out or b'"received":2' in out
    assert b"--public-url https://page.example" in err
    assert b"everybody" not in err


def test_a_listener_on_every_address_warns_once(folder: Path) -> None:
    with listener(folder, "--host", "0.0.0.0") as running:  # noqa: S104 - what is tested
        running.host = "127.0.0.1"
        assert status(running, "my-machine") == 401
        running.process.send_signal(signal.SIGTERM)
        _, err = running.process.communicate(timeout=30)
    assert err.decode().count(WARNING) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in speaks over a named pipe")
def test_a_listener_accepts_the_current_host_of_its_tunnel(folder: Path, tmp_path: Path) -> None:
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    program = bin_folder / "cloudflared"
    program.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, str(STANDIN), str(tmp_path)])} "$@"\n')
    program.chmod(0o755)
    os.mkfifo(tmp_path / "pipe")
    pipe = os.open(tmp_path / "pipe", os.O_RDWR)  # so that no one waits for the other end
    (tmp_path / "host").write_text("first.example")
    env = {"PATH": f"{bin_folder}:{os.environ['PATH']}"}
    options = ("--tunnel", "cloudflared", "--probe-interval", "0")
    with listener(folder, *options, env=env) as running:
        assert str(running.ready["public_url"]).startswith("http://first.example:")
        assert [status(running, host) for host in ("first.example", "second.example")] == [401, 421]
        (tmp_path / "host").write_text("second.example")
        os.kill(int(os.read(pipe, 100)), signal.SIGKILL)
        while not str(running.record().get("url")).startswith("http://second.example:"):
            pass
        assert status(running, "second.example") == 401
    os.close(pipe)
