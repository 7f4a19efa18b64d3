"""A tunnel that is cut, stopped, slept through, replaced or not to be had, and what a listener makes of it.

Nothing here leaves loopback: see `only_loopback`.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import queue
import select
import shlex
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pexpect  # type: ignore[import-untyped]  # it has no types
import pytest

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.tunnels.keeper import no_tunnel_lines
from tests.factories import a_body, a_document, now_signed
from tests.processes import Listener, environment, listener, running, typed
from tests.servers import handler
from tests.sshd import Sshd, needs_sshd, sshd_for
from tests.standins.ssh_server import SshServer, ssh_server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stops processes with signals")

STANDIN = Path(__file__).parents[1] / "standins" / "cloudflared.py"
BURST, AT_ONCE = 200, 64
# Both guard against a hang, with ten times the time of a busy machine. They don't measure anything.
KNOWN_WITHIN_S = 20.0
BACK_WITHIN_S = 30.0
# With a probe interval of 0.2 s, the server is asked for a sign of life once a second, and lost after three without.
KEEPALIVE_S = 3.0
NEW_ANSWER = b"HTTP/1.1 202 Accepted\r\ncontent-length: 4\r\n\r\ndone"
# What a keeper, a task or a thread that went wrong would leave behind.
BAD_SIGNS = ("Traceback", "never retrieved", "was destroyed", "never awaited", "no longer watched", "not be watched")

Record = dict[str, Any]


@dataclass
class Told:
    """What a listener tells, each record with the moment at which it came."""

    listening: Listener
    records: queue.Queue[tuple[float, Record]] = field(default_factory=queue.Queue)
    err: str = ""

    @property
    def url(self) -> str:
        return str(self.listening.ready["public_url"])

    def read(self) -> None:
        with contextlib.suppress(AssertionError):  # it has ended
            while True:
                record = self.listening.record()
                self.records.put((time.monotonic(), record))

    def until(self, is_wanted: Callable[[Record], bool], within_s: float = BACK_WITHIN_S) -> tuple[float, Record]:
        """Return the first wanted record, and its time. Discard earlier records."""
        deadline = time.monotonic() + within_s
        while True:
            came_at, record = self.records.get(timeout=max(0.01, deadline - time.monotonic()))
            if is_wanted(record):
                return came_at, record

    def until_state(self, state: str, within_s: float = BACK_WITHIN_S) -> tuple[float, Record]:
        return self.until(lambda record: record["type"] == "tunnel" and record["state"] == state, within_s)

    def at(self, url: str) -> Listener:
        """A listener behind a public URL."""
        return Listener(self.listening.process, {"url": url})

    def invoke(self, url: str) -> tuple[int, bytes]:
        """Send a signed invocation to a public URL, and see that it is shown as valid."""
        body = a_body(a_document(sent_at=time.monotonic()))
        answer = self.at(url).post(body, now_signed(body))
        _, record = self.until(lambda record: record["type"] == "invocation" and record["verdict"]["status"] == "valid")
        assert record["response"]["status"] == answer[0]
        return answer

    def end(self) -> Record:
        """Stop the listener. Return the summary, its last record."""
        process = self.listening.process
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == ExitCode.OK
        _, summary = self.until(lambda record: record["type"] == "summary")
        self.err = process.stderr.read().decode()
        assert not [sign for sign in BAD_SIGNS if sign in self.err]
        return summary


@contextlib.contextmanager
def telling(
    folder: Path, *options: str, env: Mapping[str, str] | None = None, probe_interval: str | None = None
) -> Iterator[Told]:
    with listener(folder, *options, env=env, probe_interval=probe_interval) as it:
        told = Told(it)
        reader = threading.Thread(target=told.read)
        reader.start()
        try:
            yield told
        finally:
            it.process.kill()
            reader.join(30)


@pytest.fixture
def sshd(tmp_path: Path, folder: Path) -> Iterator[Sshd]:
    """A server that lets the listener of `folder` in."""
    with sshd_for(folder, tmp_path / "sshd") as it:
        yield it


class Cut:
    """Sends concurrent signed invocations, and cuts the tunnel when some have arrived."""

    def __init__(self, sender: Listener, cut: Callable[[], None]) -> None:
        self._sender, self._cut = sender, cut
        self._lock = threading.Lock()
        self.acknowledged: set[bytes] = set()
        self.cut_at = 0.0

    def run(self) -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self._send, range(BURST)))

    def _send(self, number: int) -> None:
        body = a_body(a_document(number=number))
        with contextlib.suppress(OSError, http.client.HTTPException):  # cut off
            status, _ = self._sender.post(body, now_signed(body))
            with self._lock:
                if 200 <= status < 300:
                    self.acknowledged.add(body)
                    if len(self.acknowledged) == BURST // 5:
                        self._cut()
                        self.cut_at = time.monotonic()


@needs_sshd
class TestATunnelThroughSsh:
    @pytest.mark.extended
    def test_tunnel_cut_in_a_burst_loses_no_acknowledged_capture_and_keeps_its_url(
        self, folder: Path, sshd: Sshd
    ) -> None:
        def cut() -> None:
            sshd.is_away = True
            sshd.signal(signal.SIGKILL)

        with (
            handler(NEW_ANSWER, delay_s=0.05) as local,
            telling(folder, sshd.address, local.url, probe_interval="0.2") as told,
        ):
            burst = Cut(told.at(told.url), cut)
            burst.run()
            assert BURST // 5 <= len(burst.acknowledged) < BURST, told.listening.where_it_is()
            lost_at, lost = told.until_state("lost")
            assert lost_at - burst.cut_at < KNOWN_WITHIN_S
            assert "has ended" in lost["reason"]
            sshd.is_away = False
            back_at = time.monotonic()
            reachable_at, reachable = told.until_state("reachable")
            assert reachable_at - back_at < BACK_WITHIN_S
            assert (reachable["url"], reachable["previous_url"]) == (told.url, None)
            assert told.invoke(told.url) == (202, b"done")
            summary = told.end()
        assert summary["tunnel"]["state"] == "reachable"
        assert "lost 1 time" in told.err
        with open_store(None, folder) as store:
            assert burst.acknowledged <= {capture.invocation.body for capture in store.select()}

    def test_tunnel_is_replaced_when_the_server_stops_responding(self, folder: Path, sshd: Sshd) -> None:
        with (
            handler(NEW_ANSWER) as local,
            telling(folder, sshd.address, local.url, probe_interval="0.2") as told,
        ):
            told.until_state("reachable")
            stopped_at = time.monotonic()
            sshd.signal(signal.SIGSTOP)
            lost_at, lost = told.until_state("lost")
            assert lost_at - stopped_at < KEEPALIVE_S + KNOWN_WITHIN_S
            assert "no longer responds" in lost["reason"]
            # The stopped server still holds the port, so its successor must use another port.
            _, moved = told.until_state("open", BACK_WITHIN_S)
            assert moved["previous_url"] == told.url
            assert moved["url"] != told.url
            told.until_state("reachable", BACK_WITHIN_S)
            sshd.signal(signal.SIGCONT)
            assert told.invoke(moved["url"]) == (202, b"done")
            assert told.end()["tunnel"]["url"] == moved["url"]

    @pytest.mark.extended
    def test_tunnel_is_reopened_when_it_ended_while_the_listener_was_suspended(self, folder: Path, sshd: Sshd) -> None:
        sshd.settings += ["ClientAliveInterval 1", "ClientAliveCountMax 1"]
        with (
            handler(NEW_ANSWER) as local,
            telling(folder, sshd.address, local.url, probe_interval="0.2") as told,
        ):
            told.until_state("reachable")
            told.listening.process.send_signal(signal.SIGSTOP)
            for process in sshd.processes:
                process.wait(30)  # the server has given the listener up
            told.listening.process.send_signal(signal.SIGCONT)
            awake_at = time.monotonic()
            lost_at, _ = told.until_state("lost")
            assert lost_at - awake_at < KNOWN_WITHIN_S
            reachable_at, reachable = told.until_state("reachable")
            assert reachable_at - awake_at < BACK_WITHIN_S
            assert reachable["url"] == told.url
            assert told.invoke(told.url) == (202, b"done")
            told.end()


@dataclass
class Cloudflared:
    """The fake program, alone on a private PATH, and the pipe in which it reports that it runs."""

    folder: Path
    pipe: int

    @property
    def environ(self) -> dict[str, str]:
        return {"PATH": str(self.folder / "bin")}

    def mode(self, mode: str) -> None:
        (self.folder / "mode").write_text(mode)

    def pid(self) -> int:
        """Return the process ID of the latest fake program. Waits for it."""
        line = b""
        while not line.endswith(b"\n"):
            assert select.select([self.pipe], [], [], 10)[0], "no cloudflared was started"
            line += os.read(self.pipe, 1)
        return int(line)


@pytest.fixture
def cloudflared(tmp_path: Path) -> Iterator[Cloudflared]:
    folder = tmp_path / "cloudflared"
    (folder / "bin").mkdir(parents=True)
    os.mkfifo(folder / "pipe")
    program = folder / "bin" / "cloudflared"
    program.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-S", str(STANDIN), str(folder)])} "$@"\n')
    program.chmod(0o755)
    pipe = os.open(folder / "pipe", os.O_RDWR)
    yield Cloudflared(folder, pipe)
    os.close(pipe)


def test_tunnel_leads_to_the_url_of_the_listener(folder: Path, cloudflared: Cloudflared) -> None:
    options = ("--tunnel", "cloudflared", "--host", "::1")
    with telling(folder, *options, env=cloudflared.environ) as told:
        assert told.invoke(told.url)[0] == 200
        told.end()


def test_listener_accepts_the_current_host_of_its_tunnel(folder: Path, cloudflared: Cloudflared) -> None:
    def status(host: str) -> int:
        return told.listening.post(b"{}", Headers((("Host", host),)))[0]

    (cloudflared.folder / "host").write_text("first.example")
    with telling(folder, "cloudflared", env=cloudflared.environ, probe_interval="0") as told:
        assert told.url.startswith("http://first.example:")
        assert [status(host) for host in ("first.example", "second.example")] == [401, 421]
        (cloudflared.folder / "host").write_text("second.example")
        os.kill(cloudflared.pid(), signal.SIGKILL)
        told.until(lambda record: str(record.get("url")).startswith("http://second.example:"))
        assert status("second.example") == 401


class TestATunnelWithAnotherUrl:
    def test_changed_public_url_is_announced_as_a_record(self, folder: Path, cloudflared: Cloudflared) -> None:
        with (
            handler(NEW_ANSWER) as local,
            telling(
                folder,
                *("--tunnel", "cloudflared", "--forward-to", local.url),
                env=cloudflared.environ,
            ) as told,
        ):
            told.until_state("reachable")
            os.kill(cloudflared.pid(), signal.SIGKILL)
            told.until_state("lost", KNOWN_WITHIN_S)
            _, moved = told.until_state("open", BACK_WITHIN_S)
            assert moved["previous_url"] == told.url
            assert moved["url"] != told.url
            _, reachable = told.until_state("reachable", BACK_WITHIN_S)
            assert (reachable["url"], reachable["previous_url"]) == (moved["url"], None)
            assert told.invoke(moved["url"]) == (202, b"done")
            told.end()

    def test_changed_public_url_is_announced_on_the_terminal(self, folder: Path, cloudflared: Cloudflared) -> None:
        command = ("listen", "--port", "0", "--tunnel", "cloudflared")
        with running(folder, *command, env=environment(folder, **cloudflared.environ), stdout=None) as process:
            lines = iter(lambda: process.stderr.readline().decode(), "")
            old = next(line.split()[2] for line in lines if line.startswith("Public URL"))
            next(line for line in lines if line.startswith("tunnel reachable"))
            os.kill(cloudflared.pid(), signal.SIGKILL)
            next(line for line in lines if line.startswith("tunnel LOST"))
            block = [next(lines) for _ in range(5)]
            process.send_signal(signal.SIGINT)
            rest = process.communicate(timeout=30)[1].decode()
        assert block[0] == block[4] == "\n"
        assert block[1].startswith("*** The public URL has changed.")
        assert block[2] == f"    old  {old}\n"
        assert block[3].startswith("    new  http://127.0.0.1:")
        assert block[3].endswith("<- paste this as the webhook URL of your workflow node or action\n")
        assert old not in block[3]
        assert "lost 1 time" in rest


@pytest.fixture
def only_loopback(folder: Path, cloudflared: Cloudflared) -> Iterator[dict[str, str]]:
    """The environment of a user without --tunnel, with all outgoing connections to a closed port of this machine.

    ~/.ssh/config maps every SSH host to that port, and so does every proxy to other hosts. PATH has only the fake
    program.
    """
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody else gets it, and nobody listens
        ssh_leads_to(folder, closed.getsockname()[1])
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
        proxies = {"HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere, "NO_PROXY": "127.0.0.1"}
        yield {"PORT_HOOK_LISTEN_TUNNEL": "auto", **cloudflared.environ, **proxies}


def ssh_leads_to(folder: Path, port: int) -> None:
    (folder / ".ssh").mkdir(mode=0o700, exist_ok=True)
    (folder / ".ssh" / "config").write_text(f"Host *\n  HostName 127.0.0.1\n  Port {port}\n")


class TestAuto:
    def test_auto_uses_an_installed_provider_and_shows_why(
        self, folder: Path, cloudflared: Cloudflared, only_loopback: dict[str, str]
    ) -> None:
        with telling(folder, env=only_loopback) as told:
            cloudflared.pid()
            told.until_state("reachable")
            assert told.invoke(told.url)[0] == 200
            told.end()
        program = cloudflared.folder / "bin" / "cloudflared"
        assert (
            f"Opening a tunnel with cloudflared because {program} is installed. Disable it with --tunnel none.\n"
            in told.err
        )

    def test_auto_uses_the_next_provider_when_the_first_fails_and_forwards_https_as_the_scheme(
        self, folder: Path, cloudflared: Cloudflared, only_loopback: dict[str, str]
    ) -> None:
        cloudflared.mode("offline")
        with handler(NEW_ANSWER) as local, ssh_server(SshServer("localhost.run")) as server:
            ssh_leads_to(folder, server.port)
            (folder / ".ssh" / "known_hosts").write_text(f"# localhost.run\n{server.known_as}")
            # The fake program's URL belongs to the real service, so nobody may request it.
            with telling(folder, "auto", local.url, env=only_loopback, probe_interval="0") as told:
                assert told.url == "https://8beaa541ba3dc2.lhr.life/"
                assert told.invoke(f"http://127.0.0.1:{server.edge}")[0] == 202
                told.end()
            (request,) = local.requests
        assert request.value("x-forwarded-proto") == "https"
        by_cloudflared, not_by, *_ = told.err.splitlines()
        assert by_cloudflared.startswith("Opening a tunnel with cloudflared because ")
        assert not_by.startswith("The tunnel with cloudflared did not open: ")
        assert "Opening a tunnel with localhost.run because the ssh extra is installed." in told.err

    def test_auto_listens_locally_without_a_provider(
        self, folder: Path, cloudflared: Cloudflared, only_loopback: dict[str, str]
    ) -> None:
        (cloudflared.folder / "bin" / "cloudflared").unlink()
        with telling(folder, env=only_loopback) as told:
            assert told.listening.ready["public_url"] is None
            assert told.invoke(told.listening.ready["url"])[0] == 200
            assert told.end()["tunnel"] is None
        assert told.err.startswith("\n".join((*no_tunnel_lines(), "")))
        # Nobody is here to say yes to the key of a server that is not known.
        assert "with localhost.run" not in told.err

    @pytest.mark.parametrize(
        ("answer", "follows"),
        [("n", "No tunnel is open, so Port cannot call"), ("y", "The tunnel with localhost.run did not open")],
    )
    def test_auto_asks_before_it_uses_a_third_party_service(
        self, folder: Path, cloudflared: Cloudflared, only_loopback: dict[str, str], answer: str, follows: str
    ) -> None:
        (cloudflared.folder / "bin" / "cloudflared").unlink()
        child = typed(folder, "listen", "--port", "0", env=environment(folder, **only_loopback))
        try:
            child.expect_exact("Open a public URL through localhost.run? It needs no account, and it can read all")
            child.sendline(answer)
            child.expect_exact(follows)
            child.expect_exact("Stop with Ctrl-C.")
            child.sendintr()
            child.expect(pexpect.EOF)
        finally:
            child.close(force=True)
        assert child.exitstatus == 0
