from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncssh
import httpx
import pytest

from port_hook_cli.errors import TunnelError
from port_hook_cli.tunnels.protocol import Opening
from port_hook_cli.tunnels.report import Connectivity
from port_hook_cli.tunnels.ssh.destination import find_url, last_line, ports_to_request, read_destination, url_of
from port_hook_cli.tunnels.ssh.opening import open_ssh
from tests.servers import NO_TLS, handler
from tests.sockets import free_port
from tests.sshd import Sshd, needs_sshd, sshd_for
from tests.standins.ssh_server import BANNERS, SshServer, ssh_server
from tests.tunnels.programs import closing

UNUSED = "http://127.0.0.1:9"
LIMITS = httpx.Limits(max_connections=20, max_keepalive_connections=0)


@dataclass
class User:
    """A user with a home folder, who answers all questions with `answer`."""

    home: Path
    answer: bool = False
    questions: list[str] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def ssh(self) -> Path:
        folder = self.home / ".ssh"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    @property
    def own_known_hosts(self) -> Path:
        return self.home / ".port-hook" / "known_hosts"

    async def ask(self, question: str) -> bool:
        self.questions.append(question)
        return self.answer

    def knows(self, line: str) -> None:
        with (self.ssh / "known_hosts").open("a") as file:
            file.write(line)

    def opening(self, local_url: str = UNUSED, **options: Any) -> Opening:
        user = {"environ": self.environ, "home": self.home, "notice": self.questions.append, "ask": self.ask}
        return Opening(local_url=local_url, **{"timeout_s": 10, "keepalive_s": 5, **user, **options})

    async def problem(self, address: str, opening: Opening | None = None) -> TunnelError:
        with pytest.raises(TunnelError) as caught:
            await open_ssh(replace(opening or self.opening(), address=address))
        return caught.value


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path / "home")


@pytest.fixture
def sshd(tmp_path: Path, user: User) -> Iterator[Sshd]:
    """A server that accepts the user's key. The user knows the server's key."""
    with sshd_for(user.home, tmp_path / "sshd") as it:
        yield it


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Path]:
    """The socket of an SSH agent without a key."""
    place = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(place)], stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    yield place
    process.terminate()
    process.communicate()


def add_to(agent: Path, key: Path) -> Path:
    key.chmod(0o600)
    environ = {**os.environ, "SSH_AUTH_SOCK": str(agent)}
    subprocess.run(["ssh-add", str(key)], env=environ, check=True, capture_output=True)
    return key


def lock(key: Path) -> None:
    """Replace `key` with a key that has a passphrase."""
    key.unlink()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-f", str(key)], check=True)


@needs_sshd
class TestAnOpensshServer:
    async def test_openssh_server_forwards_bodies_byte_for_byte(self, sshd: Sshd, user: User) -> None:
        body = bytes(range(256)) * 4000
        answer = b"HTTP/1.1 201 Made\r\nX-Odd:  two  spaces\r\nContent-Length: 6\r\n\r\nanswer"
        with handler(answer) as local:
            async with closing(await open_ssh(user.opening(local.url, address=sshd.address))) as tunnel:
                assert tunnel.health() == ""
                async with httpx.AsyncClient(verify=NO_TLS) as client:
                    response = await client.post(tunnel.url + "/hook", content=body, headers={"X-Port": "a  b"})
            assert response.status_code == 201
            assert response.content == b"answer"
            (request,) = local.requests
            assert request.body == body
            assert request.value("x-port") == "a  b"
        assert user.questions == []

    @pytest.mark.extended
    async def test_openssh_server_forwards_many_concurrent_requests(self, sshd: Sshd, user: User) -> None:
        with handler() as local:
            async with (
                closing(await open_ssh(user.opening(local.url, address=sshd.address))) as tunnel,
                httpx.AsyncClient(limits=LIMITS, timeout=30, verify=NO_TLS) as client,
            ):
                posts = [client.post(tunnel.url, content=f"{n}") for n in range(150)]
                assert {response.status_code for response in await asyncio.gather(*posts)} == {200}
            assert sorted(int(request.body) for request in local.requests) == list(range(150))

    async def test_tunnel_ends_immediately_when_the_openssh_server_is_killed(self, sshd: Sshd, user: User) -> None:
        async with closing(await open_ssh(user.opening(address=sshd.address))) as tunnel:
            sshd.signal(signal.SIGKILL)
            words = await asyncio.wait_for(tunnel.lost(), 20)
            assert words == "The SSH connection to 127.0.0.1 has ended: the server closed the connection."
            assert tunnel.health() == "the server closed the connection"

    async def test_unresponsive_openssh_server_is_reported_and_does_not_delay_closing(
        self, sshd: Sshd, user: User
    ) -> None:
        async with closing(await open_ssh(user.opening(keepalive_s=0.1, address=sshd.address))) as tunnel:
            await asyncio.sleep(0.5)  # no event: nothing may happen to a healthy server
            assert tunnel.health() == ""
            sshd.signal(signal.SIGSTOP)
            words = await asyncio.wait_for(tunnel.lost(), 20)
            assert words == "The SSH connection to 127.0.0.1 has ended: the server no longer responds."

    async def test_close_is_not_delayed_when_the_openssh_server_no_longer_responds(
        self, sshd: Sshd, user: User
    ) -> None:
        tunnel = await open_ssh(user.opening(address=sshd.address))
        sshd.signal(signal.SIGSTOP)
        closing_it = asyncio.create_task(tunnel.close())
        done, _ = await asyncio.wait({closing_it}, timeout=30)  # guards against a hang
        assert done == {closing_it}

    async def test_openssh_server_forwards_the_requested_or_the_previous_port(self, sshd: Sshd, user: User) -> None:
        async with closing(await open_ssh(user.opening(address=sshd.address))) as first:
            port = urlsplit(first.url).port
            problem = await user.problem(f"{sshd.address}/{port}")
            assert problem.message == f"127.0.0.1 does not forward its port {port}."
            # Another program uses the port now, so the server may choose another one.
            async with closing(await open_ssh(user.opening(previous_url=first.url, address=sshd.address))) as other:
                assert urlsplit(other.url).port != port
        async with closing(
            await open_ssh(user.opening(previous_url=first.url + "/hook", address=sshd.address))
        ) as again:
            assert again.url == first.url
        async with closing(await open_ssh(user.opening(address=f"{sshd.address}/{port}"))) as named:
            assert named.url == first.url

    async def test_error_is_reported_when_the_openssh_server_forbids_forwarding(self, sshd: Sshd, user: User) -> None:
        sshd.settings = ["AllowTcpForwarding no"]
        problem = await user.problem(sshd.address)
        assert problem.message == "127.0.0.1 does not forward ports."
        assert "AllowTcpForwarding" in problem.hint

    async def test_tried_keys_are_reported_when_the_openssh_server_denies_access(self, sshd: Sshd, user: User) -> None:
        (sshd.folder / "authorized_keys").write_text("")
        problem = await user.problem(sshd.address)
        assert f"Tried {user.ssh / 'id_ed25519'}" in problem.message
        assert "ssh-copy-id" in problem.hint

    async def test_key_with_a_passphrase_is_not_offered_and_the_hint_mentions_the_agent(
        self, sshd: Sshd, user: User
    ) -> None:
        lock(user.ssh / "id_ed25519")
        problem = await user.problem(sshd.address)
        assert "has a passphrase" in problem.message
        assert problem.hint == f"Run `ssh-add {user.ssh / 'id_ed25519'}`."

    async def test_openssh_server_accepts_a_key_of_the_agent(self, sshd: Sshd, user: User, agent: Path) -> None:
        add_to(agent, user.ssh / "id_ed25519").unlink()
        assert "denied access to this user" in (await user.problem(sshd.address)).message
        user.environ["SSH_AUTH_SOCK"] = str(agent)
        async with closing(await open_ssh(user.opening(address=sshd.address))) as tunnel:
            assert tunnel.health() == ""

    async def test_openssh_server_is_found_by_its_name_in_ssh_config(self, sshd: Sshd, user: User) -> None:
        (user.ssh / "id_ed25519").rename(user.ssh / "for_the_box")
        (user.ssh / "config").write_text(
            f"Host MyBox\n  HostName 127.0.0.1\n  Port {sshd.port}\n  User {getpass.getuser()}\n"
            f"  IdentityFile {user.ssh}/for_the_box\n  ForwardAgent yes\n"
        )
        async with closing(await open_ssh(user.opening(address="ssh://MyBox"))) as tunnel:
            assert tunnel.url.startswith("http://127.0.0.1:")

    async def test_probe_failure_lists_server_settings_for_outside_connections(self, sshd: Sshd, user: User) -> None:
        async with closing(await open_ssh(user.opening(address=sshd.address))) as tunnel:
            # Nothing listens at the local end, which a probe cannot distinguish.
            found = await tunnel.probe("/probe", "token")
            assert found.connectivity is Connectivity.UNREACHABLE
            assert "GatewayPorts" in found.message

    async def test_openssh_server_is_probed_through_the_tunnel(self, sshd: Sshd, user: User) -> None:
        with handler(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\ntoken") as local:
            async with closing(await open_ssh(user.opening(local.url, address=sshd.address))) as tunnel:
                found = await tunnel.probe("/probe", "token")
            assert found.connectivity is Connectivity.REACHABLE
            assert local.requests[0].line == "GET /probe HTTP/1.1"


class TestAnUnknownKey:
    @pytest.fixture
    def server(self) -> Iterator[SshServer]:
        with ssh_server(SshServer("own")) as it:
            yield it

    async def test_unknown_host_key_is_shown_to_the_user_and_saved_for_this_user_only(
        self, server: SshServer, user: User
    ) -> None:
        user.answer = True
        async with closing(await open_ssh(user.opening(address=server.address))):
            (question,) = user.questions
            assert server.fingerprint in question
            assert "127.0.0.1" in question
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (user.own_known_hosts.parent, user.own_known_hosts)]
        assert modes == [0o700, 0o600]
        assert not (user.ssh / "known_hosts").exists()
        user.answer = False
        async with closing(await open_ssh(user.opening(address=server.address))):
            assert len(user.questions) == 1, "the key was saved"

    async def test_unknown_host_key_is_not_accepted_without_confirmation(self, server: SshServer, user: User) -> None:
        problem = await user.problem(server.address)
        assert server.fingerprint in problem.message
        assert f"--accept-host-key {server.fingerprint}" in problem.hint
        assert not user.own_known_hosts.exists()
        assert server.users == [], "no user name was sent to an unknown server"

    async def test_unknown_host_key_is_accepted_once_with_accept_host_key(self, server: SshServer, user: User) -> None:
        opening = user.opening(accept_host_key=server.fingerprint)
        async with closing(await open_ssh(replace(opening, address=server.address))):
            assert user.questions == []
        assert not user.own_known_hosts.exists()

    async def test_unknown_host_key_is_rejected_when_accept_host_key_has_another(
        self, server: SshServer, user: User
    ) -> None:
        user.answer = True
        problem = await user.problem(server.address, user.opening(accept_host_key="SHA256:another"))
        assert server.fingerprint in problem.message
        assert "SHA256:another" in problem.message
        assert user.questions == []

    @pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
    async def test_unknown_host_key_is_always_rejected_when_another_key_of_the_host_is_known(
        self, server: SshServer, user: User, kind: str
    ) -> None:
        known = asyncssh.generate_private_key(kind).export_public_key().decode()
        user.knows(f"[127.0.0.1]:{server.port} {known}")
        user.answer = True
        for opening in (user.opening(), user.opening(accept_host_key=server.fingerprint)):
            problem = await user.problem(server.address, opening)
            assert "has changed" in problem.message
            assert str(user.ssh / "known_hosts") in problem.message
            assert "ssh-keygen -R" in problem.hint
        assert user.questions == []
        assert server.users == []

    async def test_host_key_is_unknown_when_only_another_port_of_the_host_is_known(
        self, server: SshServer, user: User
    ) -> None:
        user.knows(f"127.0.0.1 {asyncssh.generate_private_key('ssh-ed25519').export_public_key().decode()}")
        problem = await user.problem(server.address)
        assert "is unknown" in problem.message

    async def test_host_key_is_found_in_a_known_hosts_file_with_invalid_lines(
        self, server: SshServer, user: User
    ) -> None:
        user.knows("nonsense\n@odd x y\n|1|bad ssh-ed25519 AAAA\n" + server.known_as)
        async with closing(await open_ssh(user.opening(address=server.address))):
            assert user.questions == []


def at(user: User, server: SshServer) -> str:
    """Make the service's name resolve to the fake server through ~/.ssh/config. Return the name."""
    name = "a.pinggy.io" if server.service == "pinggy.io" else server.service
    (user.ssh / "config").write_text(f"Host {name}\n  HostName 127.0.0.1\n  Port {server.port}\n")
    user.knows(server.known_as)
    return name


class TestAService:
    @pytest.mark.parametrize("service", BANNERS)
    async def test_service_prints_a_url_and_gets_no_key(self, user: User, service: str) -> None:
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(user.ssh / "id_ed25519")
        with handler() as local, ssh_server(SshServer(service)) as server:
            async with closing(await open_ssh(user.opening(local.url, address=at(user, server)))) as tunnel:
                assert tunnel.url.startswith("https://")
                name = str(urlsplit(tunnel.url).hostname)
                assert name in BANNERS[service]
                assert not name.startswith(("dashboard", "console"))
                async with httpx.AsyncClient(verify=NO_TLS) as client:
                    assert (await client.post(f"http://127.0.0.1:{server.edge}/", content=b"x")).text == "ok"
            assert local.requests[0].body == b"x"
            assert server.asked_for == [("localhost", 0 if service == "pinggy.io" else 80)]
            assert server.keys_shown == 0
            assert getpass.getuser() not in server.users
            assert server.terminals == [None]

    async def test_service_gets_the_keys_when_the_address_has_a_user(self, user: User) -> None:
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(user.ssh / "id_ed25519")
        with ssh_server(SshServer("serveo.net")) as server:
            async with closing(await open_ssh(user.opening(address=f"ssh://me@{at(user, server)}"))):
                assert set(server.users) == {"me"}
                assert server.keys_shown == 1

    async def test_service_can_connect_only_to_the_listener(self, user: User) -> None:
        with handler() as local, handler() as other, ssh_server(SshServer("serveo.net")) as server:
            async with closing(await open_ssh(user.opening(local.url, address=at(user, server)))):
                assert await server.open_channel("127.0.0.1", other.port) == "No such listener"
            assert other.requests == []

    async def test_http_url_is_used_when_a_service_has_no_https_url(self, user: User) -> None:
        says = "\x1b]0;x\x07HTTP at http://abc.serveo.net now\n"
        with ssh_server(SshServer("serveo.net", says=says)) as server:
            async with closing(await open_ssh(user.opening(address=at(user, server), https_grace_s=0.1))) as tunnel:
                assert tunnel.url == "http://abc.serveo.net"

    async def test_service_output_without_a_url_is_quoted_in_printable_characters(self, user: User) -> None:
        says = "Welcome to https://evil.example\n\x1b[31mtoo many tunnels\n"
        with ssh_server(SshServer("serveo.net", says=says, ends_session=True)) as server:
            problem = await user.problem(at(user, server))
        assert problem.message == r"serveo.net did not print a public URL. Its last output: \x1b[31mtoo many tunnels"

    async def test_service_without_output_is_reported_after_the_timeout(self, user: User) -> None:
        with ssh_server(SshServer("serveo.net", says="")) as server:
            address, timeout_s = at(user, server), 0.25
            # On a busy machine, the connection may take seconds.
            while "URL" not in (problem := await user.problem(address, user.opening(timeout_s=timeout_s))).message:
                assert timeout_s < 8
                timeout_s *= 2
        assert problem.message == "serveo.net did not print a public URL."

    async def test_error_is_reported_when_a_service_does_not_forward(self, user: User) -> None:
        with ssh_server(SshServer("serveo.net", refuses=True)) as server:
            problem = await user.problem(at(user, server))
        assert problem.message.startswith("serveo.net did not print a public URL.")

    async def test_error_is_reported_when_a_service_denies_access(self, user: User) -> None:
        with ssh_server(SshServer("serveo.net", lets_in=False)) as server:
            assert "denied access" in (await user.problem(at(user, server))).message

    async def test_error_is_reported_when_a_service_closes_the_connection(self, user: User) -> None:
        with ssh_server(SshServer("pinggy.io")) as server:
            async with closing(await open_ssh(user.opening(address=at(user, server)))) as tunnel:
                await server.hang_up()
                assert "the server closed the connection" in await asyncio.wait_for(tunnel.lost(), 20)
                assert tunnel.health() == "the server closed the connection"


class TestConnectionErrors:
    async def test_closed_port_is_reported(self, user: User) -> None:
        port = free_port()
        problem = await user.problem(f"ssh://me@127.0.0.1:{port}")
        assert problem.message == f"Nothing listens on port {port} of 127.0.0.1."

    async def test_unknown_host_is_reported(self, user: User) -> None:
        problem = await user.problem("ssh://me@no-such-host.invalid")
        assert problem.message.startswith("The host no-such-host.invalid cannot be resolved")

    async def test_silent_server_is_reported_after_the_timeout(self, user: User) -> None:
        with socket.create_server(("127.0.0.1", 0)) as mute:
            port = mute.getsockname()[1]
            problem = await user.problem(f"ssh://me@127.0.0.1:{port}", user.opening(timeout_s=0.3))
        assert problem.message == f"127.0.0.1 did not respond on port {port} within 0.3 s."

    async def test_error_is_reported_when_a_server_does_not_speak_ssh(self, user: User) -> None:
        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()
            await writer.wait_closed()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as web:
            port = web.sockets[0].getsockname()[1]
            problem = await user.problem(f"ssh://me@127.0.0.1:{port}")
        assert problem.message == "127.0.0.1 closed the connection before it was established."
        assert f"SSH server listens on port {port}" in problem.hint

    async def test_invalid_ssh_config_is_reported(self, user: User) -> None:
        (user.ssh / "config").write_text("Port none\n")
        problem = await user.problem("ssh://me@127.0.0.1")
        assert "~/.ssh/config" in problem.hint

    async def test_canceled_opening_disconnects(self, user: User) -> None:
        with socket.create_server(("127.0.0.1", 0)) as mute:
            opening = asyncio.create_task(open_ssh(user.opening(address=f"ssh://me@127.0.0.1:{mute.getsockname()[1]}")))
            accepted = await asyncio.to_thread(mute.accept)
            with accepted[0] as connection:
                opening.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await opening
                connection.settimeout(20)
                await asyncio.to_thread(read_to_the_end, connection)

    async def test_nothing_is_logged(self, user: User, capfd: pytest.CaptureFixture[str]) -> None:
        with ssh_server(SshServer("pinggy.io")) as server:
            await user.problem(server.address)
        assert capfd.readouterr() == ("", "")


def read_to_the_end(connection: socket.socket) -> None:
    """Return when the other side has disconnected. Raises TimeoutError if it does not."""
    with contextlib.suppress(ConnectionError):
        while connection.recv(65536):
            pass


WITHOUT = """
import asyncio, os, sys
from pathlib import Path
sys.modules["asyncssh"] = None
from port_hook_cli.tunnels.protocol import Opening
from port_hook_cli.tunnels.ssh.opening import open_ssh
from port_hook_cli.errors import PackageError
try:
    opening = Opening(address="serveo.net", local_url="http://127.0.0.1:9", environ={}, home=Path(), notice=print)
    asyncio.run(open_ssh(opening))
except PackageError as error:
    print(error.message, error.hint)
"""


def test_open_ssh_shows_how_to_install_asyncssh_when_it_is_missing() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "An SSH tunnel needs asyncssh, but it is not installed. "
        f"Install it in port-hook's environment: {sys.executable} -m pip install 'asyncssh<3,>=2.23'\n"
    )
    assert done.stderr == ""


def url(name: str, text: str) -> str | None:
    service = read_destination(name).service
    assert service
    return find_url(text, service)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("localhost.run", '{"data":"x.lhr.life tunneled, https://x.lhr.life\\r\\nQR"}\n', "https://x.lhr.life"),
        ("localhost.run", "see https://admin.localhost.run/ and https://x.lhr.life\n", "https://x.lhr.life"),
        ("serveo.net", "from https://a.serveo.net\nhttps://b.serveo.net\n", "https://a.serveo.net"),
        ("serveo.net", "Tip: https://console.serveo.net/settings\n", None),
        ("a.pinggy.io", "https://dashboard.pinggy.io\nhttp://x.free.pinggy.net\n", "http://x.free.pinggy.net"),
        ("a.pinggy.io", "http://x.a.free.pinggy.link\nhttps://X.a.free.pinggy.link\n", "https://x.a.free.pinggy.link"),
    ],
)
def test_find_url_finds_the_url_of_the_tunnel_among_other_urls(name: str, text: str, expected: str | None) -> None:
    assert url(name, text) == expected


@pytest.mark.parametrize(
    "text", ["https://x.lhr.life", "https://x.lhr.lif", "https://x.lhr.life.evil.example\n", "https://u@x.lhr.life/\n"]
)
def test_find_url_ignores_incomplete_names_and_other_domains(text: str) -> None:
    assert url("localhost.run", text) is None


def test_last_line_skips_empty_lines() -> None:
    assert last_line("one\ntwo \r\n\n") == "two"
    assert last_line("\n") == ""


def test_read_destination_preserves_the_case_of_hosts_and_decodes_users() -> None:
    to = read_destination("ssh://me%40corp@MyBox:2222/9000")
    assert (to.user, to.host, to.port, to.remote_port) == ("me@corp", "MyBox", 2222, 9000)
    assert read_destination("ssh://[::1]:22").host == "::1"
    assert url_of("::1", 9000) == "http://[::1]:9000"


def test_read_destination_uses_keys_for_a_service_only_with_a_user() -> None:
    assert not read_destination("serveo.net").uses_keys
    assert not read_destination("ssh://serveo.net").uses_keys
    assert read_destination("ssh://me@serveo.net").uses_keys


def test_ports_to_request_prefers_the_requested_and_the_previous_port() -> None:
    assert ports_to_request(9000, previous_url="http://h:1") == (9000,)
    assert ports_to_request(None, previous_url="http://h:82/hook") == (82, 0)
    assert ports_to_request(None, previous_url=None) == (0,)
