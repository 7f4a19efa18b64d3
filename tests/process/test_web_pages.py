"""Which host names a listener accepts, and what it prints when it is open to the network."""

from __future__ import annotations

import signal
from pathlib import Path

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.invocations.headers import Headers
from tests.conftest import Run
from tests.processes import Listener, listener

WARNING = "warning: 0.0.0.0: everyone on your network can send requests to this listener."


def status(running: Listener, host: str) -> int:
    return running.post(b"{}", Headers((("Host", host),)))[0]


def test_listener_accepts_the_host_of_its_public_url_and_no_other_name(folder: Path) -> None:
    with listener(folder, "https://hooks.example/x", probe_interval="0") as running:
        assert [status(running, host) for host in ("hooks.example", "localhost", "page.example")] == [401, 401, 421]
        running.process.send_signal(signal.SIGTERM)
        out, err = running.process.communicate(timeout=30)
    assert b'"received": 2' in out or b'"received":2' in out
    assert b"--tunnel https://page.example" in err
    assert b"everybody" not in err
    with open_store(None, folder) as store:  # for `replay --missed`
        assert store.addresses() == {"hooks.example:443/x"}


def test_listener_on_every_address_warns_once(run: Run) -> None:
    listen = ("listen", "--host", "0.0.0.0", "--port", "0", "--tunnel", "none", "--stop-after", "0", "--verify", "off")  # noqa: S104
    assert run(*listen).err.count(WARNING) == 1
