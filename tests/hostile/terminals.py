"""port-hook in this process with a pseudo-terminal in front of it, and hostile text that must not control it."""

from __future__ import annotations

import contextlib
import io
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from port_hook_cli.cli.app import main
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.safe import is_visible

# Clears the screen, sets the title, writes the clipboard, colors by a C1 control, turns text around, and hides some.
HOSTILE = "\x1b[2J\x1b]0;owned\x07\x1b]52;c;AAAA\x07\x9b31m\x7f\u202e\u2066\u200f\u061c\u200b\u3164\U000e0041\U000e0101"
# The same without C0 controls, for places that reject them.
HOSTILE_FIELD = "a\x9b31m\u202e\u2066\u200f\u061c\u200b\u3164b"

# Styles, links, and what moves rich's progress bar.
_OURS = re.compile(r"\x1b\[[0-9;]*m|\x1b\]8;[^;\x1b]*;[^\x1b]*\x1b\\|\x1b\[\?25[lh]|\x1b\[2K|\x1b\[1A|\r(?!\n)")


@dataclass(frozen=True)
class Shown:
    """The output of a command on a terminal."""

    code: int
    raw: bytes

    @property
    def text(self) -> str:
        """The text without what rich writes for a terminal, lines ending with LF."""
        return _OURS.sub("", self.raw.decode("utf-8")).replace("\r\n", "\n")

    @property
    def unseen(self) -> list[str]:
        """Every character, apart from tabs and line ends, that is invisible or changes how text is shown."""
        return [character for character in self.text if character not in "\n\t" and not is_visible(character)]


def on_terminal(
    folder: Path,
    *args: str,
    env: Mapping[str, str] | None = None,
    prepare: Callable[[int], None] = lambda _: None,
    stdin: BinaryIO | None = None,
) -> Shown:
    """Run port-hook in `folder` with stdout and stderr on a pseudo-terminal, which `prepare` gets first."""
    with contextlib.chdir(folder), _terminal() as (stream, written):
        prepare(stream.fileno())
        runtime = Runtime(
            environ={"COLUMNS": "120", "TERM": "xterm-256color", **(env or {})},
            cwd=folder,
            home=folder / "home",
            stdin=stdin or io.BytesIO(),
            stdout=stream,
            stderr=stream,
        )
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
            code = main(args, runtime)
    return Shown(code, bytes(written))


@contextlib.contextmanager
def _terminal() -> Iterator[tuple[io.TextIOWrapper, bytearray]]:
    master, slave = os.openpty()
    written = bytearray()

    def read() -> None:
        with contextlib.suppress(OSError):  # Linux: the other side is closed
            while part := os.read(master, 65536):
                written.extend(part)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    with open(slave, "w", encoding="utf-8", errors="backslashreplace", newline="") as stream:  # noqa: PTH123 - a descriptor
        yield stream, written
    reader.join(30)
    os.close(master)
