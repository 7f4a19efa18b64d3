from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.errors import TunnelError
from port_hook_cli.tunnels.cloudflared.tunnel import CloudflaredTunnel, explain, open_cloudflared
from port_hook_cli.tunnels.protocol import Opening
from tests.processes import listener
from tests.servers import handler
from tests.tunnels.programs import Pipe, capture, closing, parent_of, pipe_at, until

STANDIN = Path(__file__).parents[1] / "standins" / "cloudflared.py"
UNUSED = "http://127.0.0.1:9"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script with a shebang")
linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@dataclass
class Standin:
    """The fake program on a private PATH, its folder, and its pipe."""

    folder: Path
    environ: dict[str, str]
    pipe: Pipe

    async def open(self, upstream: str = UNUSED, timeout_s: float = 10, grace_s: float = 1) -> CloudflaredTunnel:
        home = self.folder / "home"
        return await open_cloudflared(
            Opening(local_url=upstream, environ=self.environ, home=home, notice=lambda _: None, timeout_s=timeout_s),
            grace_s=grace_s,
        )

    async def failure(self, mode: str, timeout_s: float = 10) -> TunnelError:
        self.mode(mode)
        with pytest.raises(TunnelError) as caught:
            await self.open(timeout_s=timeout_s)
        return caught.value

    def mode(self, mode: str) -> None:
        (self.folder / "mode").write_text(mode)

    @property
    def program(self) -> Path:
        return self.folder / "bin" / "cloudflared"

    @property
    def seen(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.folder / "seen").read_text())
        return document


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Standin]:
    (tmp_path / "bin").mkdir()
    environ = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "HOME": str(tmp_path / "home")}
    command = [sys.executable, "-S", str(STANDIN), str(tmp_path)]
    async with pipe_at(tmp_path / "pipe") as pipe:
        standin = Standin(tmp_path, environ, pipe)
        standin.program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        standin.program.chmod(0o755)
        yield standin


async def test_requests_to_the_public_url_arrive_byte_for_byte(agent: Standin) -> None:
    body = bytes(range(256))
    head = b"POST /a?b=%20 HTTP/1.1\r\nx-Port-Signature: v1,=\r\nX-A:  1\r\nX-A: 2\r\nContent-Length: 256"
    answer = b"HTTP/1.1 201 Made\r\nX-Odd:  two  spaces\r\nContent-Length: 6\r\n\r\nanswer"
    with handler(answer) as target:
        async with closing(await agent.open(target.url)) as tunnel:
            assert await capture(tunnel.url, head + b"\r\n\r\n" + body) == answer
        (request,) = target.requests
    assert (request.head.strip(), request.body) == (head, body)


async def test_tunnel_opens_within_half_a_second_after_the_edge_is_connected(agent: Standin) -> None:
    agent.mode("slow")
    opening = asyncio.create_task(agent.open())
    await agent.pipe.pid()
    done, _ = await asyncio.wait({opening}, timeout=0.1)
    assert not done
    (agent.folder / "go").touch()
    async with closing(await asyncio.wait_for(opening, 30)) as tunnel:
        assert tunnel.url.startswith("http://127.0.0.1:")
        assert tunnel.health() == ""


async def test_metrics_address_with_an_impossible_port_is_ignored(agent: Standin) -> None:
    agent.mode("impossible-port")
    async with closing(await agent.open()) as tunnel:
        assert tunnel.url.startswith("http://127.0.0.1:")


async def test_users_config_for_other_tunnels_is_ignored(agent: Standin) -> None:
    config = agent.folder / "home" / ".cloudflared" / "config.yml"
    config.parent.mkdir(parents=True)
    config.write_text("tunnel: of-the-user\ningress: [{service: http_status:404}]\n")
    async with closing(await agent.open()) as tunnel:
        assert tunnel.health() == ""
    assert str(config) not in agent.seen["arguments"]


async def test_cloudflared_gets_only_the_necessary_environment_variables(agent: Standin) -> None:
    agent.environ |= {
        "PORT_CLIENT_SECRET": "sesame",
        "NGROK_AUTHTOKEN": "sesame",
        "TUNNEL_TOKEN": "sesame",
        "TUNNEL_URL": "http://elsewhere",
        "TUNNEL_TRANSPORT_PROTOCOL": "http2",
    }
    await (await agent.open()).close()
    assert "sesame" not in json.dumps(agent.seen)
    assert "TUNNEL_URL" not in agent.seen["environment"]
    assert agent.seen["environment"]["TUNNEL_TRANSPORT_PROTOCOL"] == "http2"
    arguments = agent.seen["arguments"]
    assert arguments[arguments.index("--url") + 1] == UNUSED
    assert "--no-autoupdate" in arguments


async def test_nothing_is_printed_or_written_to_the_users_home(
    agent: Standin, capfd: pytest.CaptureFixture[str]
) -> None:
    await (await agent.open()).close()
    await agent.failure("offline")
    assert capfd.readouterr() == ("", "")
    assert list((agent.folder / "home").iterdir()) == []


@pytest.mark.parametrize(
    ("mode", "happened", "hint"),
    [
        ("offline", "cloudflared cannot connect to Cloudflare.", "Check the network"),
        ("limited", "Cloudflare does not open more quick tunnels for this network's IP address", "a few minutes"),
        ("outage", "did not create a tunnel", "cloudflarestatus.com"),
        ("old-flags", "does not support the options that port-hook uses", "cloudflared update"),
        ("odd-answer", "does not report its public URL", "cloudflared update"),
        ("deep-answer", "does not report its public URL", "cloudflared update"),
        ("exits", "cloudflared ended before the tunnel was open.", "--tunnel localhost.run"),
    ],
)
async def test_known_error_of_cloudflared_is_reported_with_its_fix(
    agent: Standin, mode: str, happened: str, hint: str
) -> None:
    problem = await agent.failure(mode)
    assert happened in problem.message
    assert hint in problem.hint
    assert "\x1b" not in problem.message
    await agent.pipe.gone()


@pytest.mark.parametrize(("mode", "word"), [("never-ready", "failed to dial to edge with quic"), ("chatty", "xxx")])
async def test_start_timeout_is_reported_with_the_last_output(agent: Standin, mode: str, word: str) -> None:
    # On a busy machine, cloudflared may take seconds to write something.
    timeout_s, problem = 0.25, await asyncio.wait_for(agent.failure(mode, timeout_s=0.25), 30)
    while word not in problem.message and timeout_s < 8:
        timeout_s *= 2
        problem = await asyncio.wait_for(agent.failure(mode, timeout_s=timeout_s), 30)
    await agent.pipe.gone()
    said = f"cloudflared did not connect to Cloudflare within {timeout_s:g} s. Its last output:"
    assert problem.message.startswith(said)
    assert word in problem.message
    assert "\x1b" not in problem.message
    assert max(map(len, problem.message.splitlines())) < 250
    assert "7844" in problem.hint


async def test_error_without_cloudflared_lists_the_alternatives(agent: Standin) -> None:
    agent.program.unlink()
    problem = await agent.failure("")
    assert problem.message == "No cloudflared program was found on PATH."
    for alternative in ("brew install cloudflared", "winget", "releases", "--tunnel localhost.run"):
        assert alternative in problem.hint


async def test_program_for_another_processor_is_shown_in_the_error(agent: Standin) -> None:
    agent.program.write_bytes(b"\x7fELF nonsense")
    problem = await agent.failure("")
    assert problem.message == f"port-hook cannot run the cloudflared at {agent.program}: Exec format error."
    assert "https://github.com/cloudflare/cloudflared/releases" in problem.hint


async def test_health_reports_a_lost_edge_until_it_is_connected_again(agent: Standin) -> None:
    async with closing(await agent.open()) as tunnel:
        tunnel.poll_s = 0.05
        (agent.folder / "down").touch()
        await until(lambda: tunnel.health() == "cloudflared has no connection to its edge")
        (agent.folder / "down").unlink()
        await until(lambda: tunnel.health() == "")
        os.kill(await agent.pipe.pid(), signal.SIGKILL)
        await until(lambda: tunnel.health() == "cloudflared has ended")


async def test_health_reports_an_unresponsive_cloudflared(agent: Standin) -> None:
    async with closing(await agent.open()) as tunnel:
        tunnel.poll_s, tunnel.response_timeout_s = 0.05, 0.2
        pid = await agent.pipe.pid()
        os.kill(pid, signal.SIGSTOP)
        await until(lambda: tunnel.health() == "cloudflared's metrics server does not respond")
        os.kill(pid, signal.SIGCONT)


async def test_ended_tunnel_is_reported(agent: Standin) -> None:
    async with closing(await agent.open()) as tunnel:
        os.kill(await agent.pipe.pid(), signal.SIGTERM)
        words = await asyncio.wait_for(tunnel.lost(), 5)
    assert words == (
        "cloudflared has ended, and its public URL with it. "
        "Its last output: INF Initiating graceful shutdown due to signal terminated ..."
    )


async def test_closing_kills_cloudflared_when_it_does_not_end(agent: Standin) -> None:
    agent.mode("stubborn")
    tunnel = await agent.open(grace_s=0.1)
    tunnel.close_timeout_s = 30
    await asyncio.wait_for(tunnel.close(), 30)
    await agent.pipe.gone()


async def test_cancelling_while_cloudflared_starts_ends_it(agent: Standin) -> None:
    agent.mode("never-ready")
    starting = asyncio.create_task(agent.open())
    await agent.pipe.pid()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await agent.pipe.gone()


async def test_cloudflared_does_not_outlive_a_killed_port_hook(agent: Standin, folder: Path) -> None:
    with listener(folder, "--tunnel", "cloudflared", env={"PATH": agent.environ["PATH"]}) as here:
        await agent.pipe.pid()
        here.process.kill()
        await agent.pipe.gone()


@linux_only
async def test_cloudflared_does_not_outlive_its_supervisor_on_linux(agent: Standin) -> None:
    async with closing(await agent.open()):
        os.kill(parent_of(await agent.pipe.pid()), signal.SIGKILL)
        await agent.pipe.gone()


@linux_only
async def test_cloudflared_does_not_get_ctrl_c_from_the_terminal(agent: Standin) -> None:
    async with closing(await agent.open()):
        pid = await agent.pipe.pid()
        assert os.getsid(pid) != os.getsid(0)
        assert os.getpgid(pid) != os.getpgid(0)


def test_tls_decrypting_network_is_reported() -> None:
    problem = explain([f'failed to request quick Tunnel: Post "{UNUSED}": tls: failed to verify certificate: x509: …'])
    assert "does not trust the certificate" in problem.message
    assert "SSL_CERT_FILE" in problem.hint
