from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import stat
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.errors import TunnelError, UsageError
from port_hook_cli.tunnels.keeper import open_tunnel
from port_hook_cli.tunnels.ngrok.tunnel import (
    AgentFailure,
    NgrokTunnel,
    explain,
    find_agent,
    find_config,
    managed_agent,
    open_ngrok,
    session_problem,
)
from port_hook_cli.tunnels.protocol import Opening, decline
from port_hook_cli.tunnels.registry import NO_TUNNEL, TunnelChoice
from tests.tunnels.programs import Pipe, capture, closing, parent_of, pipe_at, until

STANDIN = Path(__file__).parents[1] / "standins" / "ngrok.py"
TOKEN = "2abcTOKEN_secret"
UNUSED = "http://127.0.0.1:9"

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script with a shebang")
linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
pytestmark = posix_only


@dataclass
class Standin:
    """The fake agent on a private PATH, and its pipe."""

    home: Path
    environ: dict[str, str]
    pipe: Pipe
    notices: list[str] = field(default_factory=list)
    agrees: bool | None = None
    """The user's answer, or None without a user."""
    questions: list[str] = field(default_factory=list)

    async def ask(self, question: str) -> bool:
        self.questions.append(question)
        return self.agrees is True

    async def open(self, upstream: str = UNUSED, **options: Any) -> NgrokTunnel:
        ask = decline if self.agrees is None else self.ask
        options = {"timeout_s": 10, "ask": ask, "notice": self.notices.append, **options}
        return await open_ngrok(Opening(local_url=upstream, environ=self.environ, home=self.home, **options))

    async def failure(self, mode: str, **options: Any) -> TunnelError:
        self.environ["NGROK_STANDIN"] = mode
        with pytest.raises(TunnelError) as caught:
            await self.open(**options)
        return caught.value

    def write_settings(self, text: str) -> Path:
        """Write the user's ngrok settings, and return the path."""
        path = self.home / ".config" / "ngrok" / "ngrok.yml"
        path.parent.mkdir(parents=True)
        path.write_text(text)
        return path

    def private_files(self) -> list[Path]:
        return list(Path(self.environ["TMPDIR"]).iterdir())


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Standin]:
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "ngrok"
    # Each tunnel asks for the version first, and Python starts in ten times the time of a shell.
    quick = '[ "$1$NGROK_STANDIN" = --version ] && exec echo ngrok version 3.24.0'
    program.write_text(f'#!/bin/sh\n{quick}\nexec {shlex.join((sys.executable, "-ES", str(STANDIN)))} "$@"\n')
    program.chmod(0o755)
    (tmp_path / "tmp").mkdir()
    environ = {
        "PATH": f"{folder}:/usr/bin:/bin",
        "NGROK_AUTHTOKEN": TOKEN,
        "NGROK_STANDIN_PIPE": str(tmp_path / "pipe"),
        "TMPDIR": str(tmp_path / "tmp"),
    }
    async with pipe_at(tmp_path / "pipe") as pipe:
        yield Standin(tmp_path / "home", environ, pipe)


@pytest.fixture
async def upstream() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A local server that records the raw bytes of each request, and responds."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read())
        writer.write(b"HTTP/1.1 201 Made\r\nX-Odd:  two  spaces\r\nContent-Length: 6\r\n\r\nanswer")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen


def visible_to_other_users(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()


async def test_requests_to_the_public_url_arrive_byte_for_byte(
    agent: Standin, upstream: tuple[str, list[bytes]]
) -> None:
    request = b"POST /a?b=%20 HTTP/1.1\r\nx-Port-Signature: v1,=\r\nX-A:  1\r\nX-A: 2\r\n\r\n" + bytes(range(256))
    async with closing(await agent.open(upstream[0])) as tunnel:
        answer = await capture(tunnel.url, request)
    assert upstream[1] == [request]
    assert answer.startswith(b"HTTP/1.1 201 Made\r\nX-Odd:  two  spaces\r\n")
    assert answer.endswith(b"answer")


async def test_closing_deletes_the_endpoint_and_the_private_files_and_ends_the_agent(agent: Standin) -> None:
    tunnel = await agent.open()
    await tunnel.close()
    await agent.pipe.gone()
    await tunnel.close()
    assert (agent.home.parent / "deleted").read_text() == "port-hook"
    assert agent.private_files() == []


@linux_only
async def test_closing_kills_a_supervisor_when_it_does_not_end(agent: Standin) -> None:
    tunnel = await agent.open()
    tunnel.close_timeout_s = 0.2
    os.kill(parent_of(await agent.pipe.pid()), signal.SIGSTOP)
    await tunnel.close()
    await agent.pipe.gone()


async def test_log_with_invalid_utf8_and_long_lines_is_read_in_parts(agent: Standin) -> None:
    agent.environ["NGROK_STANDIN"] = "odd-log"
    async with closing(await agent.open()) as tunnel:
        assert max(map(len, tunnel.log)) == 4096


@linux_only
async def test_token_is_on_no_command_line_and_in_no_environment(agent: Standin) -> None:
    agent.environ["PORT_CLIENT_SECRET"] = "sesame"
    async with closing(await agent.open()):
        pid = await agent.pipe.pid()
        for process in (pid, parent_of(pid)):
            visible = visible_to_other_users(process)
            assert b"NGROK_STANDIN_PIPE" in visible
            assert TOKEN.encode() not in visible
            assert b"sesame" not in visible


async def test_token_in_the_users_settings_is_used_and_the_file_is_unchanged(agent: Standin) -> None:
    del agent.environ["NGROK_AUTHTOKEN"]
    settings = agent.write_settings('version: "2"\nauthtoken: mine\n')
    await (await agent.open()).close()
    assert settings.read_text() == 'version: "2"\nauthtoken: mine\n'


async def test_endpoint_named_port_hook_in_the_users_settings_is_used(agent: Standin) -> None:
    agent.write_settings('version: "3"\nendpoints: [{name: port-hook, url: "https://mine.ngrok.app"}]\n')
    await (await agent.open()).close()
    assert (agent.home.parent / "deleted").read_text() == "port-hook-api"


async def test_domain_overrides_the_endpoint_in_the_users_settings(agent: Standin) -> None:
    agent.write_settings('version: "3"\nendpoints: [{name: port-hook, url: "https://mine.ngrok.app"}]\n')
    async with closing(await agent.open(address="ngrok://hooks.ngrok.app")) as tunnel:
        assert tunnel.url == "https://hooks.ngrok.app"


@pytest.mark.parametrize(
    ("mode", "happened"),
    [
        ("313", "The plan of this ngrok account does not include that domain (ERR_NGROK_313)."),
        ("319", "The domain is not reserved for this ngrok account (ERR_NGROK_319)."),
        ("320", "The domain is not reserved for this ngrok account (ERR_NGROK_320)."),
    ],
)
async def test_unusable_domain_of_the_account_is_reported(agent: Standin, mode: str, happened: str) -> None:
    problem = await agent.failure(mode, address="ngrok://hooks.ngrok.app")
    assert problem.message == happened
    assert "https://dashboard.ngrok.com/domains" in problem.hint
    assert "let ngrok choose" in problem.hint
    await agent.pipe.gone()


async def test_health_reports_a_lost_session_until_the_next_session(agent: Standin) -> None:
    async with closing(await agent.open()) as tunnel:
        pid = await agent.pipe.pid()
        assert tunnel.health() == ""
        os.kill(pid, signal.SIGUSR1)
        await until(lambda: tunnel.health() == "ngrok has lost its session and is reconnecting")
        os.kill(pid, signal.SIGUSR2)
        await until(lambda: tunnel.health() == "")
        os.kill(pid, signal.SIGKILL)
        await until(lambda: tunnel.health() == "the ngrok agent has ended")


@pytest.mark.parametrize(
    "line",
    [
        't=1 lvl=info msg="join connections" obj=join err="session closed"',
        "failed to reconnect session",
        't=1 lvl=info msg="a request for failed to reconnect session"',
        "",
    ],
)
def test_session_problem_ignores_other_lines(line: str) -> None:
    assert session_problem(line) is None


async def test_nothing_is_printed_or_written_to_the_users_home(
    agent: Standin, capfd: pytest.CaptureFixture[str]
) -> None:
    await (await agent.open()).close()
    await agent.failure("108")
    assert capfd.readouterr() == ("", "")
    assert agent.notices == []
    assert list(agent.home.iterdir()) == []


async def test_pyngrok_uses_no_proxy_for_the_agent(agent: Standin) -> None:
    agent.environ["http_proxy"] = "http://127.0.0.1:9"
    async with closing(await agent.open()) as tunnel:
        assert tunnel.url.startswith("http://127.0.0.1:")


async def test_ended_tunnel_is_reported(agent: Standin) -> None:
    async with closing(await agent.open()) as tunnel:
        os.kill(await agent.pipe.pid(), signal.SIGTERM)
        reason = await asyncio.wait_for(tunnel.lost(), 5)
    assert reason.startswith("The ngrok agent has ended")
    assert "started tunnel" in reason


@pytest.mark.parametrize(
    ("mode", "happened", "hint"),
    [
        ("105", "does not accept the authtoken (ERR_NGROK_105)", "NGROK_AUTHTOKEN"),
        ("107", "does not accept the authtoken (ERR_NGROK_107)", "NGROK_AUTHTOKEN"),
        ("108", "another agent is already running (ERR_NGROK_108)", "pgrep -af ngrok"),
        ("334", "already in use elsewhere (ERR_NGROK_334)", "https://dashboard.ngrok.com/endpoints"),
        ("9999", "ngrok rejected the tunnel (ERR_NGROK_9999)", "errors/err_ngrok_9999"),
        ("old", "is version 3.9.0, but port-hook needs 3.16", "ngrok update"),
        ("exits", "unknown flag: --none", "ngrok diagnose"),
        ("late-output", "does not accept the authtoken (ERR_NGROK_105)", "NGROK_AUTHTOKEN"),
        ("other-program", "unknown flag: --none", "--tunnel localhost.run"),
    ],
)
async def test_known_error_of_ngrok_is_reported_with_its_fix(
    agent: Standin, mode: str, happened: str, hint: str
) -> None:
    problem = await agent.failure(mode)
    assert happened in problem.message
    assert hint in problem.hint
    assert TOKEN not in problem.message + problem.hint
    assert "\x1b" not in problem.message


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("huge-answer", "the agent's API sent more than 1 MiB"),
        ("long-url", "the public URL has more than 2048 characters"),
        ("huge-version", "The ngrok process exited with code"),
    ],
)
async def test_oversized_response_of_the_agent_is_reported(agent: Standin, mode: str, words: str) -> None:
    problem = await agent.failure(mode)
    assert words in problem.message
    assert len(problem.message) < 3000


@pytest.mark.parametrize(
    ("mode", "happened", "hint"),
    [
        ("silent", "did not open the tunnel within 0.5 s", "ngrok diagnose"),
        ("chatty", "a secret line", "--tunnel localhost.run"),
        ("offline", "cannot connect to its service", "proxy_url"),
    ],
)
async def test_start_timeout_is_reported_with_the_last_output(
    agent: Standin, mode: str, happened: str, hint: str
) -> None:
    # On a busy machine, the agent may take seconds to write something.
    timeout_s, problem = 0.5, await asyncio.wait_for(agent.failure(mode, timeout_s=0.5), 30)
    while happened not in problem.message and timeout_s < 8:
        timeout_s *= 2
        problem = await asyncio.wait_for(agent.failure(mode, timeout_s=timeout_s), 30)
    await agent.pipe.gone()
    assert happened in problem.message
    assert hint in problem.hint
    assert TOKEN not in problem.message
    assert "\x1b" not in problem.message


async def test_settings_without_a_token_are_reported_as_error_4018(agent: Standin) -> None:
    settings = agent.home / "other.yml"
    settings.write_text('version: "3"\n')
    del agent.environ["NGROK_AUTHTOKEN"]
    agent.environ["NGROK_CONFIG"] = str(settings)
    problem = await agent.failure("")
    assert "(ERR_NGROK_4018)" in problem.message
    assert "ngrok config add-authtoken" in problem.hint


async def test_nothing_is_started_without_a_token_and_settings(agent: Standin) -> None:
    del agent.environ["NGROK_AUTHTOKEN"]
    problem = await agent.failure("")
    assert problem.message == "ngrok needs an authtoken, but none is set."
    assert "https://dashboard.ngrok.com/get-started/your-authtoken" in problem.hint


@pytest.mark.parametrize("text", ["{", "- a list\n", "agent: 3\n", "\x00"])
async def test_unreadable_settings_are_shown_in_the_error(agent: Standin, text: str) -> None:
    settings = agent.home / "ngrok.yml"
    settings.write_text(text)
    agent.environ["NGROK_CONFIG"] = str(settings)
    problem = await agent.failure("")
    assert str(settings) in problem.message
    assert "ngrok config check" in problem.hint


async def test_program_without_execute_permission_is_shown_in_the_error(agent: Standin, tmp_path: Path) -> None:
    program = tmp_path / "ngrok"
    program.write_text("")
    agent.environ["PYNGROK_NGROK_PATH"] = str(program)
    problem = await agent.failure("")
    assert str(program) in problem.message
    assert "chmod +x" in problem.hint


async def test_program_for_another_processor_is_shown_in_the_error(agent: Standin, tmp_path: Path) -> None:
    program = tmp_path / "ngrok"
    program.write_bytes(b"\x7fELF nonsense")
    program.chmod(0o755)
    agent.environ["PYNGROK_NGROK_PATH"] = str(program)
    problem = await agent.failure("")
    assert "cannot run" in problem.message
    assert "https://ngrok.com/download" in problem.hint


async def test_error_lists_the_alternatives_when_the_download_fails(
    agent: Standin, capfd: pytest.CaptureFixture[str]
) -> None:
    agent.environ |= {"PATH": str(agent.home), "https_proxy": "http://127.0.0.1:9"}
    agent.agrees = True
    problem = await agent.failure("")
    assert problem.message == "No ngrok program was found, and the download failed."
    for alternative in ("https://ngrok.com/download", "--tunnel localhost.run"):
        assert alternative in problem.hint
    assert agent.notices == [f"Downloading ngrok to {agent.home}/.config/ngrok/ngrok …"]
    assert capfd.readouterr() == ("", "")


async def test_nothing_is_downloaded_when_the_user_declines(agent: Standin) -> None:
    agent.environ |= {"PATH": str(agent.home), "https_proxy": "http://127.0.0.1:9"}
    agent.agrees = False
    problem = await agent.failure("")
    assert problem.message == "No ngrok program was found, and you declined the download."
    assert "https://ngrok.com/download" in problem.hint
    assert agent.notices == []
    (question,) = agent.questions
    assert question.endswith("ngrok publishes no checksum for it, so port-hook cannot verify it.")


async def test_nothing_is_downloaded_without_a_user_to_ask(agent: Standin) -> None:
    agent.environ |= {"PATH": str(agent.home), "https_proxy": "http://127.0.0.1:9"}
    problem = await agent.failure("")
    assert "only if you agree on a terminal" in problem.message
    assert "https://ngrok.com/download" in problem.hint
    assert agent.notices == []


async def test_token_file_is_private_and_deleted_when_the_tunnel_is_open(agent: Standin) -> None:
    agent.environ["NGROK_STANDIN"] = "silent"
    starting = asyncio.create_task(agent.open())
    await agent.pipe.pid()
    (folder,) = agent.private_files()
    (file,) = folder.iterdir()
    assert TOKEN in file.read_text()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, file)] == [0o700, 0o600]
    starting.cancel()
    await asyncio.wait([starting])
    agent.environ["NGROK_STANDIN"] = ""
    async with closing(await agent.open()):
        assert agent.private_files() == []


HOLDER = """
import asyncio, os, sys
from pathlib import Path
from port_hook_cli.tunnels.protocol import Opening
from port_hook_cli.tunnels.ngrok.tunnel import open_ngrok
async def hold():
    opened = open_ngrok(
        Opening(local_url="http://127.0.0.1:9", environ=os.environ, home=Path(sys.argv[1]), notice=print)
    )
    print((await opened).url, flush=True)
    await asyncio.Event().wait()
asyncio.run(hold())
"""


@contextlib.asynccontextmanager
async def another_port_hook(agent: Standin) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(agent.home), env=agent.environ, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def test_agent_does_not_outlive_a_port_hook_killed_during_the_start(agent: Standin) -> None:
    agent.environ["NGROK_STANDIN"] = "silent"
    async with another_port_hook(agent) as port_hook:
        await agent.pipe.pid()
        port_hook.kill()
        await agent.pipe.gone()


async def test_open_tunnel_opens_an_ngrok_tunnel(agent: Standin) -> None:
    opening = Opening(local_url=UNUSED, environ=agent.environ, home=agent.home, notice=agent.notices.append)
    async with closing(await open_tunnel(TunnelChoice("ngrok"), opening)) as tunnel:
        assert tunnel.url.startswith("http://127.0.0.1:")
    with pytest.raises(UsageError):
        await open_tunnel(NO_TUNNEL, opening)


def program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


class TestFindAgent:
    def test_program_on_path_is_found(self, tmp_path: Path) -> None:
        expected = program(tmp_path / "bin" / "ngrok")
        assert find_agent({"PATH": f"{tmp_path}:{tmp_path / 'bin'}"}, tmp_path) == expected

    def test_pyngroks_script_is_skipped(self, tmp_path: Path) -> None:
        program(tmp_path / "venv" / "ngrok", "#!/usr/bin/python3\nfrom pyngrok.ngrok import main\n")
        expected = program(tmp_path / "bin" / "ngrok")
        assert find_agent({"PATH": f"{tmp_path / 'venv'}:{tmp_path / 'bin'}"}, tmp_path) == expected
        assert find_agent({"PATH": str(tmp_path / "venv")}, tmp_path) is None

    def test_program_from_the_environment_takes_precedence(self, tmp_path: Path) -> None:
        program(tmp_path / "bin" / "ngrok")
        named = program(tmp_path / "mine")
        environ = {"PATH": str(tmp_path / "bin"), "PYNGROK_NGROK_PATH": str(named)}
        assert find_agent(environ, tmp_path) == named
        with pytest.raises(TunnelError, match="file not found"):
            find_agent({**environ, "PYNGROK_NGROK_PATH": str(tmp_path / "absent")}, tmp_path)

    def test_program_installed_by_pyngrok_is_used_last(self, tmp_path: Path) -> None:
        managed = program(tmp_path / ".config" / "ngrok" / "ngrok")
        assert find_agent({"PATH": str(tmp_path)}, tmp_path) == managed
        on_path = program(tmp_path / "bin" / "ngrok")
        assert find_agent({"PATH": str(tmp_path / "bin")}, tmp_path) == on_path


class TestFindConfig:
    @pytest.mark.parametrize(
        ("platform", "environ", "place"),
        [
            ("linux", {}, ".config/ngrok"),
            ("linux", {"XDG_CONFIG_HOME": "{home}/xdg"}, "xdg/ngrok"),
            ("darwin", {"XDG_CONFIG_HOME": "{home}/xdg"}, "Library/Application Support/ngrok"),
            ("win32", {"LOCALAPPDATA": "{home}/local"}, "local/ngrok"),
            ("win32", {}, "AppData/Local/ngrok"),
        ],
    )
    def test_settings_are_found_in_ngroks_folder(
        self, tmp_path: Path, platform: str, environ: dict[str, str], place: str
    ) -> None:
        environ = {name: value.format(home=tmp_path) for name, value in environ.items()}
        assert find_config(environ, tmp_path, platform) is None
        expected = program(tmp_path / place / "ngrok.yml")
        assert find_config(environ, tmp_path, platform) == expected
        assert managed_agent(environ, tmp_path, platform).parent == expected.parent

    def test_settings_file_in_ngrok_config_takes_precedence_and_must_exist(self, tmp_path: Path) -> None:
        named = program(tmp_path / "mine.yml")
        assert find_config({"NGROK_CONFIG": str(named)}, tmp_path) == named
        with pytest.raises(TunnelError, match="NGROK_CONFIG"):
            find_config({"NGROK_CONFIG": str(tmp_path / "absent")}, tmp_path)


def test_agent_without_the_endpoint_api_is_reported_as_too_old() -> None:
    problem = explain(AgentFailure(kind="PyngrokNgrokHTTPError", message="404", status=404))
    assert "older than 3.16" in problem.message


def test_agent_stopped_during_the_start_is_reported() -> None:
    assert explain(AgentFailure(kind="Gone")).message == "ngrok was stopped before the tunnel was open."


def test_error_quotes_only_the_last_lines_and_shortens_them() -> None:
    problem = explain(AgentFailure(kind="Timeout", message="20 s"), [f"line {n} " + "x" * 5000 for n in range(20)])
    lines = problem.message.splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["15", "16", "17", "18", "19"]
    assert max(map(len, lines)) < 250
