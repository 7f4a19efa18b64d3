from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from port_hook_cli.files.settings_file import fault_of, is_private_group, read_settings_file

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes and owners are POSIX")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Yield a directory that everyone can enter. The directories that pytest creates are private."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        path = Path(name).resolve()
        path.chmod(0o755)
        yield path


def a_file(folder: Path, mode: int) -> Path:
    path = folder / ".env"
    path.write_text("PORT_CLIENT_SECRET=x")
    path.chmod(mode)
    return path


def test_file_is_rejected_when_others_own_it_or_can_write_it() -> None:
    for mode, owner in product((0o600, 0o400, 0o644, 0o640), (0, 1000)):
        assert fault_of(mode, owner=owner, user=1000, is_private=lambda: False) is None
    for mode in (0o602, 0o666, 0o660, 0o620):
        fault = fault_of(mode, owner=1000, user=1000, is_private=lambda: False)
        assert fault == ("others on this machine can write it", "check its content, then chmod 600")
    assert fault_of(0o664, owner=1000, user=1000, is_private=lambda: True) is None
    assert fault_of(0o666, owner=1000, user=1000, is_private=lambda: True)
    for user in (0, 1000):
        fault = fault_of(0o600, owner=1001, user=user, is_private=lambda: False)
        assert fault == ("it belongs to another user (uid 1001)", f"if you trust it, make it yours: chown {user}")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can change the owner of a file")
def test_file_of_another_user_is_rejected(tmp_path: Path) -> None:
    path = a_file(tmp_path, 0o600)
    os.chown(path, 4242, 4242)
    assert read_settings_file(path, "./.env").warning == (
        "./.env is not used: it belongs to another user (uid 4242). If you trust it, make it yours: chown 0 ./.env"
    )


def test_missing_group_is_not_private() -> None:
    assert not is_private_group(2**30, owner=os.geteuid())
    assert not is_private_group(os.getegid(), owner=2**30)


def test_link_is_checked_by_its_target(tmp_path: Path) -> None:
    target = a_file(tmp_path, 0o666)
    link = tmp_path / "link"
    link.symlink_to(target)
    assert read_settings_file(link, "./.env").refusal == "./.env is not used: others on this machine can write it"
    target.chmod(0o600)
    assert read_settings_file(link, "./.env").refusal == ""


@pytest.mark.parametrize("kind", ["missing", "folder", "device", "loop", "below a file"])
def test_non_file_path_has_no_content(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ".env"
    if kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "below a file":
        path.write_text("")
        path /= ".env"
    file = read_settings_file(path, "./.env")
    assert (file.content, file.refusal) == (b"", "")


def test_file_is_exposed_when_others_can_read_it_and_enter_its_folders(open_folder: Path) -> None:
    path = a_file(open_folder, 0o644)
    assert read_settings_file(path, "./.env").is_exposed
    open_folder.chmod(0o700)
    assert not read_settings_file(path, "./.env").is_exposed
    open_folder.chmod(0o755)
    path.chmod(0o600)
    assert not read_settings_file(path, "./.env").is_exposed


def test_exposed_secret_is_a_warning_and_is_used(open_folder: Path) -> None:
    from port_hook_cli.files.dotenv import read_dotenv

    file = read_dotenv(a_file(open_folder, 0o644), "PORT_", "./.env")
    assert file.warnings == ("others on this machine can read ./.env: chmod 600 .env",)
    assert file.values == {"PORT_CLIENT_SECRET": "x"}
    (open_folder / ".env").write_text("PORT_CLIENT_ID=not-a-secret\n")
    assert read_dotenv(open_folder / ".env", "PORT_", "./.env").warnings == ()


def test_exposed_configuration_with_a_secret_is_a_warning_and_is_used(open_folder: Path) -> None:
    from port_hook_cli.port_api.org_file import read_org_file

    path = open_folder / "config.yaml"
    path.write_text("organizations: {a: {client_secret: s}}")
    path.chmod(0o644)
    file = read_org_file(path)
    assert file.warnings == (f"others on this machine can read {path}: chmod 600 {path}",)
    assert file.orgs == {"a": {"client_secret": "s"}}
