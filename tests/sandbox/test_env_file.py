"""`sandbox --env-file` replaces only what a sandbox on this machine wrote."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from port_hook_cli.errors import StoreError
from port_hook_cli.sandbox.env_file import write_env_file
from port_hook_cli.sandbox.events import format_exports

ID, URL = "sandbox_0123456789abcdef", "http://127.0.0.1:8790"
OURS = format_exports(URL, ID, "old")
NEW = format_exports(URL, ID, "new", "org_1")


def test_file_of_a_sandbox_is_replaced_by_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    for before in (None, "", f"{OURS}\n", f"{NEW}\n"):
        if before is not None:
            path.write_text(before)
            path.chmod(0o644)
        write_env_file(".env", NEW, cwd=tmp_path)
        assert path.read_text() == f"{NEW}\n"
        assert sys.platform == "win32" or stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each for each in tmp_path.iterdir() if each.is_file()] == [path]


@pytest.mark.parametrize(
    "content",
    [
        "PORT_CLIENT_ID=abc\nPORT_CLIENT_SECRET=real\n",
        "PORT_CLIENT_SECRET=real\n",
        "DATABASE_URL=x\n",
        f"{OURS}\nDATABASE_URL=x\n",
        f"# mine\n{OURS}\n",
        OURS.replace(ID, "abc") + "\n",
        OURS.replace("127.0.0.1", "port.example.com") + "\n",
        OURS.replace("PORT_BASE_URL=http", "PORT_BASE_URL=https") + "\n",
        f"{OURS}\n" + "\n" * 5000,
        "\ud800".encode("utf-8", "surrogatepass"),
    ],
)
def test_file_with_anything_else_is_refused(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / ".env"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"\.env exists and is not a sandbox's credentials\.") as caught:
        write_env_file(".env", NEW, cwd=tmp_path)
    assert "pass another file name" in caught.value.hint
    assert path.read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege")
def test_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text(f"{OURS}\n")
    (tmp_path / ".env").symlink_to(tmp_path / "theirs")
    with pytest.raises(StoreError):
        write_env_file(".env", NEW, cwd=tmp_path)
