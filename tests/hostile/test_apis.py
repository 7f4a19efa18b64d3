"""Hostile servers in the place of Port's API: a call ends in time, within its limits, and with a message."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.errors import PortApiError
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.client import PortApi
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.retarget.entry import Entry, write_entry
from port_hook_cli.retarget.session import retargeted
from port_hook_cli.runtime import Runtime
from tests.conftest import Run
from tests.factories import RUN_ID, SECRET
from tests.hostile.hostile_api import (
    HostileApi,
    deep_json,
    gzip_bomb,
    gzip_bomb_in_gzip,
    json_too_deep_to_write,
    status,
)
from tests.hostile.wire import (
    SOCKET_BUFFERS,
    Connection,
    HostileServer,
    Trick,
    drip,
    endless_body,
    endless_chunks,
    endless_continue,
    endless_field,
    endless_trailers,
    reset_midway,
)
from tests.port_clients import port_client
from tests.retargets import ONE, an_action
from tests.servers import in_thread

MIB = 2**20
NOT_PORT = "responded, but not in the format of Port's API"
BAD_TOKEN = "issued an access token with characters that an HTTP header cannot have"


async def no_pause(_: float) -> None:
    """Do not pause."""


def client(url: str, **options: Any) -> PortApi:
    return port_client(**{"api_url": url, "client_id": "id", "client_secret": SECRET, "sleep": no_pause, **options})


def calls(server: HostileServer) -> list[bytes]:
    """Return the calls except token requests: a busy machine may time out and request the token again."""
    return [head for head in server.requests if b"/v1/auth/access_token HTTP" not in head]


async def failure(server: HostileApi, **options: Any) -> PortApiError:
    """Return the error of a request for a run."""
    async with client(server.url, **options) as api:
        with pytest.raises(PortApiError) as caught:
            await api.get_run(RUN_ID)
    return caught.value


@pytest.mark.parametrize("trick", [drip, endless_continue])
async def test_call_takes_no_longer_than_its_timeout(trick: Trick) -> None:
    async with HostileApi(trick).serve() as server, asyncio.timeout(30):
        problem = await failure(server, timeout_s=0.05)
    assert "did not send a complete response within 0.05 s (tried 5 times)." in problem.message
    assert "PORT_HOOK_API_TIMEOUT" in problem.hint


@pytest.mark.parametrize(
    "command",
    [
        ("report-run", RUN_ID, "--log", "x"),
        ("replay", RUN_ID, "--to", "9"),
        ("trigger", "create_vm", "--via-port"),
        ("restore", "--yes"),
    ],
)
def test_commands_calling_port_have_an_api_timeout(run: Run, home: Path, command: tuple[str, ...]) -> None:
    journal = home / ".port-hook" / "retargets"
    journal.mkdir(parents=True)
    with in_thread((server := HostileApi(_too_late)).start):
        entry = Entry(identifier="create_vm", api_url=server.url, original=an_action())
        (journal / "a.json").write_text(write_entry(entry))
        started = time.monotonic()
        environ = {"PORT_CLIENT_ID": "i", "PORT_CLIENT_SECRET": SECRET.reveal(), "PORT_API_URL": server.url}
        result = run(*command, env={**environ, "PORT_HOOK_API_TIMEOUT": "0.1"})
    assert time.monotonic() - started < 20  # less than the default
    assert result.code == 7
    assert 2 <= len(calls(server)) <= 4  # a late response, and a rejection


async def agree(_: object) -> bool:
    return True


async def test_listen_has_an_api_timeout_for_retargeting(runtime: Callable[..., Runtime]) -> None:
    async with HostileApi(_too_late).serve() as server:
        settings = Settings(client_id="i", client_secret=SECRET, api_url=server.url)
        access = PortAccess.known(settings, runtime(), timeout_s=0.1)
        with pytest.raises(PortApiError, match="403"):
            async with retargeted(["create_vm"], access, runtime(), ONE, confirm=agree, on_event=lambda _: None):
                pass
        assert 2 <= len(calls(server)) <= 4


async def _too_late(connection: Connection) -> None:
    """Respond to the first call too late, and reject the next call."""
    if len(calls(connection.server)) == 1:
        await drip(connection)
    await connection.answer(b"{}", status="403 Forbidden")


@pytest.mark.parametrize(
    ("body", "call"),
    [
        *(
            (b'{"run": {"id": %s}}' % run_id, lambda api: api.start_run("create_vm", {}))
            for run_id in (b"5", b'""', b'"\\ud800"', b'"a\\nb"', b'"%s"' % (b"x" * 5000))
        ),
        (b'{"runLogs": [{"message": "x"}, null]}', lambda api: api.run_logs(RUN_ID)),
    ],
)
async def test_new_run_without_a_usable_id_and_log_without_entries_are_not_port_responses(
    body: bytes, call: Callable[[PortApi], Awaitable[object]]
) -> None:
    async with HostileApi(lambda it: it.answer(body)).serve() as server, client(server.url) as api:
        with pytest.raises(PortApiError, match=NOT_PORT):
            await call(api)


@pytest.mark.parametrize("trick", [endless_body, endless_chunks])
async def test_response_is_read_up_to_8_mib(trick: Trick) -> None:
    async with HostileApi(trick).serve() as server, asyncio.timeout(30):
        problem = await failure(server)
        await server.hung_up.wait()
    assert problem.message.startswith(f"{server.url} responded, but with more than 8 MiB.")
    assert server.sent < 8 * MIB + SOCKET_BUFFERS


@pytest.mark.parametrize("trick", [endless_field, reset_midway, endless_trailers])
async def test_endless_headers_are_read_only_up_to_a_limit(trick: Trick) -> None:
    async with HostileApi(trick).serve() as server, asyncio.timeout(30):
        problem = await failure(server)
    assert "cannot reach" in problem.message
    assert server.sent < 5 * SOCKET_BUFFERS  # five tries


@pytest.mark.parametrize(("trick", "coding"), [(gzip_bomb, "gzip"), (gzip_bomb_in_gzip, "gzip, gzip")])
async def test_compressed_response_is_rejected_and_not_decompressed(trick: Trick, coding: str) -> None:
    async with HostileApi(trick).serve() as server:
        problem = await failure(server)
    words = f"{server.url} responded, but with a content-encoding that port-hook did not request ({coding})."
    assert problem.message == words
    assert all(b"accept-encoding: identity" in head.lower() for head in server.requests)
    assert len(server.requests) == 2  # the token's and one more: it is not tried again


@pytest.mark.parametrize("trick", [deep_json, json_too_deep_to_write])
async def test_deeply_nested_json_is_not_a_port_response(trick: Trick) -> None:
    async with HostileApi(trick).serve() as server:
        problem = await failure(server)
    assert problem.message == f"{server.url} {NOT_PORT}."


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (b'{"accessToken": "t\xc3\xb6ken", "expiresIn": 60}', BAD_TOKEN),
        (b'{"accessToken": "a\\r\\nx: y", "expiresIn": 60}', BAD_TOKEN),
        (b'{"accessToken": "a b", "expiresIn": 60}', BAD_TOKEN),
        (b'{"accessToken": "", "expiresIn": 60}', BAD_TOKEN),
        (b'{"accessToken": "%s", "expiresIn": 60}' % (b"x" * 2**20), BAD_TOKEN),
        (b'{"accessToken": "t", "expiresIn": %s}' % (b"9" * 400), "with an impossible lifetime (`expiresIn`)"),
        (b'{"accessToken": "t", "expiresIn": -1}', "with an impossible lifetime (`expiresIn`)"),
        (b'{"accessToken": "t", "expiresIn": %s}' % (b"9" * 5000), NOT_PORT),
        (b'{"accessToken": "t", "expiresIn": NaN}', NOT_PORT),
        (b'{"accessToken": ["t"], "expiresIn": 60}', NOT_PORT),
    ],
)
async def test_unusable_token_is_reported(token: bytes, words: str) -> None:
    async with HostileApi(token=token).serve() as server:
        problem = await failure(server)
    assert words in problem.message
    assert len(server.requests) == 1
    assert "t\xf6ken" not in problem.message


@pytest.mark.parametrize("line", ["501 Not Implemented", "511 Network Authentication Required"])
async def test_permanent_error_status_is_not_tried_again(line: str) -> None:
    async with HostileApi(status(line)).serve() as server:
        problem = await failure(server)
    assert f"responded with {line[:3]}" in problem.message
    assert len(server.requests) == 2  # the token's and one more


@pytest.mark.parametrize("value", ["9" * 400, "31", "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_retry_after_pause_is_at_most_30_s(value: str) -> None:
    async with HostileApi(status("429 Too Many", f"retry-after: {value}")).serve() as server, asyncio.timeout(30):
        problem = await failure(server, sleep=asyncio.sleep)
    assert "Port asks you to wait" in problem.hint
    assert len(server.requests) == 2


@pytest.mark.parametrize("line", ["302 Found", "308 Permanent Redirect"])
async def test_redirect_does_not_send_the_secret_or_the_token_elsewhere(line: str) -> None:
    async with HostileApi().serve() as elsewhere:
        redirect = status(line, f"location: {elsewhere.url}/v1/auth/access_token")
        async with HostileApi(redirect).serve() as server:
            problem = await failure(server)
            assert "does not redirect" in problem.hint
        async with _RedirectsAll(redirect).serve() as server:
            problem = await failure(server)
            assert "does not redirect" in problem.hint
    assert elsewhere.requests == []


class _RedirectsAll(HostileApi):
    def choose(self, connection: Any) -> Trick:
        return self.trick


async def test_response_before_the_request_was_read_is_accepted() -> None:
    async with HostileApi(early=True).serve() as server, asyncio.timeout(30), client(server.url) as api:
        answer = await api.patch_run(RUN_ID, {"summary": "x" * 8 * MIB})
    assert answer == {"ok": True, "run": {"id": RUN_ID, "status": "IN_PROGRESS"}}


async def test_proxy_is_not_used_for_an_api_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    async with HostileApi().serve() as proxy, HostileApi().serve() as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        for host in ("127.0.0.1", "localhost", "127.1"):
            async with client(server.url.replace("127.0.0.1", host)) as api:
                assert (await api.get_run(RUN_ID))["id"] == RUN_ID
    assert proxy.requests == []


async def test_proxy_is_used_for_an_api_on_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    async with HostileApi().serve() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with client("http://api.port.invalid") as api:
            assert (await api.get_run(RUN_ID))["id"] == RUN_ID
    assert all(b" http://api.port.invalid/v1/" in head for head in proxy.requests)


async def test_unusable_proxy_is_an_error_without_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "gopher://user:hunter22@proxy.invalid")
    with pytest.raises(
        PortApiError, match="the proxy in HTTP_PROXY, HTTPS_PROXY or ALL_PROXY cannot be used"
    ) as caught:
        client("http://api.port.invalid")
    assert "hunter22" not in caught.value.message


async def test_netrc_file_does_not_add_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password hunter22\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    (Path.home() / ".netrc").write_text(netrc.read_text())
    async with HostileApi().serve() as server, client(server.url) as api:
        await api.get_run(RUN_ID)
    fields = [line for head in server.requests for line in head.split(b"\r\n") if b"authorization" in line.lower()]
    assert [line.lower() for line in fields] == [b"authorization: bearer good"]
