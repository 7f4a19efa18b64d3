"""Long output on a terminal goes through the user's pager."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import Output, tell
from port_hook_cli.text.safe import printable
from port_hook_cli.text.styled import Styled, cell_width

# Quit if it fits on the screen, show colors, leave the text on the screen.
_LESS = "FRX"


def print_paged(lines: Iterable[Styled], runtime: Runtime, *, wanted: bool = True) -> None:
    """Write lines to stdout, through the pager if they do not fit on the terminal and the pager is `wanted`."""
    output = Output(runtime.stdout, runtime.environ)
    shown = list(lines)
    pager = _pager(runtime) if wanted and not _fits(shown, output, runtime) else ()
    if not (pager and _page(pager, output.paint(shown), runtime)):
        output.print(*shown)


def _pager(runtime: Runtime) -> Sequence[str]:
    """Return the words of $PAGER, or `less` if it is installed; nothing for an empty PAGER and for `cat`."""
    named = runtime.environ.get("PAGER")
    if named is None:
        if os.name == "nt":  # Windows would start a `less` of the working folder, whose author may be a stranger
            return ()
        return ("less",) if shutil.which("less", path=runtime.environ.get("PATH", os.defpath)) else ()
    try:
        words = shlex.split(named, posix=os.name != "nt")
    except ValueError as problem:
        tell(f"note: PAGER {printable(named)} cannot be read ({problem}), so it was not used", runtime)
        return ()
    return () if words == ["cat"] else words


def _fits(lines: Sequence[Styled], output: Output, runtime: Runtime) -> bool:
    """Return whether lines fit on the terminal; true where no pager can be used."""
    if not output.is_terminal or runtime.environ.get("TERM") == "dumb":
        return True
    try:
        size = os.get_terminal_size(runtime.stdout.fileno())
    except (OSError, ValueError):
        return True
    if not size.lines or not size.columns:  # unknown
        return True
    # One row is left for the prompt of the shell.
    return sum(max(1, -(-cell_width(line.plain) // size.columns)) for line in lines) < size.lines


def _page(pager: Sequence[str], text: str, runtime: Runtime) -> bool:
    """Show a text in the pager; return False, with a note, if the pager cannot be started."""
    runtime.stdout.flush()
    environ = {"LESS": _LESS, "LV": "-c", **runtime.environ}
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own pager
            pager, stdin=subprocess.PIPE, stdout=runtime.stdout.fileno(), env=environ, cwd=runtime.cwd
        )
    except OSError as problem:
        tell(
            f"note: the pager {printable(pager[0])} cannot be started ({problem.strerror}), so it was not used", runtime
        )
        return False
    with _ignoring_ctrl_c():
        process.communicate(text.encode("utf-8", "backslashreplace"))  # it may end before it has read everything
    return True


@contextmanager
def _ignoring_ctrl_c() -> Iterator[None]:
    """Leave Ctrl-C to the pager, which uses it to stop a search."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
