from __future__ import annotations

import base64
import io
import os
import sys
from pathlib import Path

import pytest

from port_hook_cli.terminal.programs import copy_text
from tests.terminal_streams import Screen

TEXT = "https://x.ngrok.app/ü?a=1"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the fake programs are shell scripts")


def standin(folder: Path, name: str, script: str) -> None:
    """A clipboard program that saves its input in `NAME.got`. It doesn't have a display or serve later pastes."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("cat", "sleep"):
        (folder / tool).symlink_to(f"/bin/{tool}")
    return folder


def test_copy_passes_the_exact_text_and_options_to_the_program_on_path(path: Path) -> None:
    standin(path, "xclip", 'echo "$@" > "$0.options"; cat > "$0.got"; echo noise; echo noise >&2')
    assert copy_text(TEXT, environ={"PATH": str(path)}) == "Copied to the clipboard."
    assert (path / "xclip.got").read_bytes() == TEXT.encode()
    assert (path / "xclip.options").read_text() == "-selection clipboard\n"


def test_copy_writes_utf_16_to_clip_exe_only_when_the_text_is_not_ascii(path: Path) -> None:
    standin(path, "clip.exe", 'cat > "$0.got"')
    copy_text(TEXT, environ={"PATH": str(path)})
    assert (path / "clip.exe.got").read_bytes() == TEXT.encode("utf-16-le")
    copy_text("https://x.ngrok.app/", environ={"PATH": str(path)})
    assert (path / "clip.exe.got").read_bytes() == b"https://x.ngrok.app/"


def test_copy_tries_the_next_program_when_one_fails(path: Path) -> None:
    standin(path, "wl-copy", "exit 1")
    standin(path, "xclip", "exec /absent/interpreter")
    standin(path, "xsel", 'cat > "$0.got"')
    assert copy_text(TEXT, environ={"PATH": str(path)}, terminal=Screen()) == "Copied to the clipboard."
    assert (path / "xsel.got").read_bytes() == TEXT.encode()


def test_copy_does_not_wait_for_a_background_program(path: Path) -> None:
    standin(path, "xclip", 'cat > "$0.got"; sleep 30 & echo $! > "$0.pid"')
    assert copy_text(TEXT, environ={"PATH": str(path)}) == "Copied to the clipboard."
    os.kill(int((path / "xclip.pid").read_text()), 9)


def test_copy_asks_the_terminal_when_no_program_works(path: Path) -> None:
    terminal = Screen()
    sentence = copy_text(TEXT, environ={"PATH": str(path), "TERM": "xterm"}, terminal=terminal)
    assert sentence == "Asked the terminal to copy it to the clipboard."
    assert terminal.getvalue() == f"\x1b]52;c;{base64.b64encode(TEXT.encode()).decode()}\x07"


def test_copy_reports_failure_without_a_program_and_a_terminal(path: Path) -> None:
    (path / "xclip").write_text("not a program")
    (path / "xclip").chmod(0o755)
    for terminal, term in ((io.StringIO(), "xterm"), (Screen(), "dumb")):
        sentence = copy_text(TEXT, environ={"PATH": str(path), "TERM": term}, terminal=terminal)
        assert sentence.startswith("Nothing was copied: none of pbcopy, wl-copy, xclip")
        assert terminal.getvalue() == ""


def test_copy_does_not_raise_when_the_terminal_is_closed(path: Path) -> None:
    class Gone(Screen):
        def flush(self) -> None:
            raise OSError(5, "Input/output error")

    assert copy_text(TEXT, environ={"PATH": str(path)}, terminal=Gone()).startswith("Nothing was copied")
