from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.errors import UsageError
from port_hook_cli.files.user_files import MAX_DOCUMENT_BYTES, documents_in
from port_hook_cli.sandbox.definition_files import read_actions
from tests.conftest import Run
from tests.factories import SECRET


def test_documents_in_lists_json_and_yaml_by_name_and_rejects_large_files(tmp_path: Path) -> None:
    for name in ("b.yml", "a.JSON", "c.yaml", "README.md"):
        (tmp_path / name).write_text("")
    assert [file.name for file in documents_in(tmp_path)] == ["a.JSON", "b.yml", "c.yaml"]
    (tmp_path / "d.json").write_text('{"identifier": NaN}')
    with pytest.raises(UsageError, match="is not JSON"):
        read_actions([tmp_path / "d.json"])
    os.truncate(tmp_path / "c.yaml", MAX_DOCUMENT_BYTES + 1)
    with pytest.raises(UsageError, match="has more than"):
        documents_in(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes and devices")
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_endless_file_in_an_actions_folder_is_rejected(run: Run, folder: Path, kind: str) -> None:
    actions = folder / "actions"
    actions.mkdir()
    if kind == "pipe":
        os.mkfifo(actions / "a.json")
    else:
        (actions / "a.json").symlink_to("/dev/zero")
    with pytest.raises(UsageError, match=r"a\.json is not a file\."):
        read_actions([actions])
    result = run("trigger", "actions#a", "--dry-run")
    assert result.code == ExitCode.STORE
    assert "a.json is not a file." in result.err


@pytest.mark.skipif(sys.platform == "win32", reason="needs a device")
def test_endless_file_argument_is_rejected(run: Run, folder: Path) -> None:
    (folder / "a.json").symlink_to("/dev/zero")
    result = run("sign", "a.json", env={"PORT_CLIENT_SECRET": SECRET.reveal()})
    assert result.code == ExitCode.STORE
    assert "a.json has more than" in result.err
    with pytest.raises(UsageError, match="has more than"):
        read_actions([folder / "a.json"])
