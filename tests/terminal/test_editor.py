from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from port_hook_cli.errors import UsageError
from port_hook_cli.replay.editing import from_editor
from port_hook_cli.terminal.programs import edit, editor_words


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def editor(folder: Path, program: str) -> str:
    """An editor as a command line: `program` edits the file `path`."""
    script = folder / "an editor.py"
    script.write_text(
        f"import os, pathlib, stat, sys\npath = pathlib.Path(sys.argv[-1])\n{program}\n", encoding="utf-8"
    )
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(script))} --wait"


REPLACE = 'path.write_text(path.read_text(encoding="utf-8").replace("old", "né"), encoding="utf-8")'


def test_edit_returns_the_text_of_visual_before_editor(tmp_path: Path, temporary: Path) -> None:
    assert edit("old", str.upper, environ={"EDITOR": editor(tmp_path, REPLACE)}) == "NÉ"
    assert list(temporary.iterdir()) == []
    environ = {"VISUAL": editor(tmp_path, REPLACE), "EDITOR": "false"}
    assert edit("old", str, environ=environ) == "né"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_edited_file_is_accessible_only_to_its_owner(tmp_path: Path) -> None:
    environ = {"EDITOR": editor(tmp_path, "path.write_text(oct(stat.S_IMODE(path.stat().st_mode)))")}
    assert edit("old", str, environ=environ) == oct(stat.S_IRUSR | stat.S_IWUSR)


def test_byte_order_mark_added_by_the_editor_is_removed(tmp_path: Path) -> None:
    environ = {"EDITOR": editor(tmp_path, "path.write_text('{}', encoding='utf-8-sig')")}
    assert edit("old", str, environ=environ) == "{}"


def test_invalid_json_error_has_the_position_and_the_file_is_not_deleted(tmp_path: Path, temporary: Path) -> None:
    environ = {"EDITOR": editor(tmp_path, "path.write_text('{\\n  \"a\": 1,\\n}')")}
    with pytest.raises(UsageError, match=r"not JSON: .* at line 3, column 1\.$") as caught:
        edit("{}", from_editor, environ=environ)
    (kept,) = temporary.iterdir()
    assert str(kept) in caught.value.hint
    assert kept.read_text() == '{\n  "a": 1,\n}'


def test_file_is_not_deleted_when_its_text_is_not_utf8(tmp_path: Path, temporary: Path) -> None:
    environ = {"EDITOR": editor(tmp_path, "path.write_bytes(b'\\xff')")}
    with pytest.raises(UsageError, match="utf-8"):
        edit("{}", from_editor, environ=environ)
    assert len(list(temporary.iterdir())) == 1


@pytest.mark.parametrize(
    ("program", "words"), [("sys.exit(1)", "ended with code 1"), ("path.unlink()", "cannot be read")]
)
def test_edit_fails_and_deletes_the_file_when_the_editor_fails(
    tmp_path: Path, temporary: Path, program: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        edit("{}", from_editor, environ={"EDITOR": editor(tmp_path, program)})
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("command", ["/no/such/editor", "'unbalanced"])
def test_edit_fails_when_the_editor_cannot_be_started(temporary: Path, command: str) -> None:
    with pytest.raises(UsageError, match="cannot be started"):
        edit("{}", from_editor, environ={"EDITOR": command})
    assert list(temporary.iterdir()) == []


def test_editor_is_not_started_without_a_terminal_or_editor_variable(temporary: Path) -> None:
    # vi would throw its escape sequences into whatever reads the output.
    program = "from port_hook_cli.terminal.programs import edit; edit('{}', str, environ={})"
    done = subprocess.run(
        [sys.executable, "-c", program],
        stdin=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "port-hook cannot open an editor because this is not a terminal." in done.stderr
    assert done.stdout == ""
    assert list(temporary.iterdir()) == []


def test_windows_editor_is_started_under_the_whole_name_of_its_script(tmp_path: Path) -> None:
    script = tmp_path / "code.cmd"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    # On Windows, `code` finds this file, as PATHEXT lists `.CMD`.
    environ = {"PATH": str(tmp_path)}
    assert editor_words("code.cmd --wait", environ, platform="win32") == [str(script), "--wait"]

    words = editor_words(r'"C:\Program Files\Code\code.exe" --wait', {"PATH": ""}, platform="win32")
    assert words == [r"C:\Program Files\Code\code.exe", "--wait"]
