"""An open page survives a restart, and no file of another user decides its URL."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from port_hook_cli.errors import ListenError
from port_hook_cli.inspector.door import FOLDER, InspectorAddress, recall, remember
from port_hook_cli.runtime import Runtime
from tests.factories import a_capture
from tests.inspectors import keep, over_store

MakeRuntime = Callable[..., Runtime]
ADDRESS = InspectorAddress("t" * 43, 40_000)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "captures.db"
    keep(path, [a_capture()])
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def the_file(home: Path) -> Path:
    (file,) = (home / FOLDER).iterdir()
    return file


async def test_restarted_inspector_has_the_same_port_and_token(runtime: MakeRuntime, store: Path) -> None:
    async with over_store(runtime(), store) as client:
        first = client.opened.address
    async with over_store(runtime(), store) as client:
        assert client.opened.address == first
    async with over_store(runtime(), store, port=first.port) as client:
        assert client.opened.address == first


async def test_taken_port_means_another_port_and_another_token(runtime: MakeRuntime, store: Path) -> None:
    async with over_store(runtime(), store) as client:
        first = client.opened
        async with over_store(runtime(), store) as second:
            assert second.opened.port != first.port
            assert second.opened.address.token != first.address.token


async def test_token_is_not_used_at_another_port(runtime: MakeRuntime, store: Path) -> None:
    async with over_store(runtime(), store) as client:
        first = client.opened
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        with pytest.raises(ListenError, match="cannot listen on port"):
            async with over_store(runtime(), store, port=port):
                pass
    async with over_store(runtime(), store, port=port) as client:
        assert client.opened.port == port
        assert client.opened.address.token != first.address.token


async def test_remembered_port_is_avoided_when_a_handler_uses_it(runtime: MakeRuntime, store: Path) -> None:
    async with over_store(runtime(), store) as client:
        first = client.opened
    async with over_store(runtime(), store, avoided_ports=frozenset({first.port})) as client:
        # The system may choose the same port again, but a remembered address also has its token.
        assert client.opened.address.token != first.address.token


async def test_each_store_has_its_own_address(runtime: MakeRuntime, store: Path) -> None:
    other = store.with_name("other.db")
    keep(other, [a_capture()])
    async with over_store(runtime(), store) as client:
        first = client.opened
    async with over_store(runtime(), other) as client:
        assert client.opened.address.token != first.address.token


def test_address_is_private_and_not_in_the_folder_of_the_store(home: Path, store: Path) -> None:
    remember(home, store, ADDRESS)
    assert recall(home, store) == ADDRESS
    assert stat.S_IMODE(the_file(home).stat().st_mode) == 0o600
    assert stat.S_IMODE(the_file(home).parent.stat().st_mode) == 0o700
    assert ADDRESS.token not in repr(ADDRESS)
    assert not [file for file in store.parent.glob("*") if file.is_file() and b"ttttt" in file.read_bytes()]


def test_file_and_folder_are_ignored_when_other_users_can_use_them(home: Path, store: Path) -> None:
    remember(home, store, ADDRESS)
    for mode in (0o640, 0o620, 0o604, 0o602):
        the_file(home).chmod(mode)
        assert recall(home, store) is None, oct(mode)
    the_file(home).chmod(0o600)
    the_file(home).parent.chmod(0o755)
    assert recall(home, store) is None
    the_file(home).unlink()
    remember(home, store, ADDRESS)
    assert list((home / FOLDER).iterdir()) == []


def test_links_and_pipes_are_ignored(home: Path, store: Path, tmp_path: Path) -> None:
    remember(home, store, ADDRESS)
    file = the_file(home)
    moved = tmp_path / "moved.json"
    file.rename(moved)
    file.symlink_to(moved)
    assert recall(home, store) is None
    file.unlink()
    os.link(moved, file)
    assert recall(home, store) is None
    file.unlink()
    os.mkfifo(file, 0o600)
    assert recall(home, store) is None
    file.unlink()
    file.mkdir(0o700)
    assert recall(home, store) is None


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_file_of_another_user_is_ignored(home: Path, store: Path) -> None:
    remember(home, store, ADDRESS)
    os.chown(the_file(home), 1234, 1234)
    assert recall(home, store) is None


MALFORMED = (
    b"",
    b"{",
    b"[]",
    b"\xff",
    b"[" * 900,
    b" " * 5_000,
    json.dumps({"token": "short", "port": 40_000}).encode(),
    json.dumps({"token": "t" * 43}).encode(),
    json.dumps({"token": "t" * 43, "port": 80}).encode(),
    json.dumps({"token": "t" * 43, "port": True}).encode(),
    json.dumps({"token": "t" * 43, "port": 40_000.0}).encode(),
    json.dumps({"token": "t" * 42 + "\n", "port": 40_000}).encode(),
)


def test_malformed_file_is_ignored_and_replaced(home: Path, store: Path) -> None:
    for content in MALFORMED:
        remember(home, store, ADDRESS)
        the_file(home).write_bytes(content)
        assert recall(home, store) is None, content[:80]
    remember(home, store, ADDRESS)
    assert recall(home, store) == ADDRESS


async def test_read_only_home_does_not_matter(runtime: MakeRuntime, store: Path, home: Path) -> None:
    (home / ".port-hook").write_text("not a folder")
    async with over_store(runtime(), store) as client:
        assert (await client.get("/api/session"))["count"] == 1
