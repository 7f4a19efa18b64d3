"""The pager for long output. A pipe gets the output without a pager."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, islice

from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import Output, tell
from port_hook_cli.text.safe import printable
from port_hook_cli.text.styled import Styled, cell_width

# The options of `less`: quit if the output fits on the screen, show colors, and leave the text on the screen.
_LESS = "FRX"
_NO_SIZE = os.terminal_size((0, 0))


def print_paged(lines: Iterable[Styled], runtime: Runtime) -> None:
    """Write lines to stdout while they are produced, through the pager if they do not fit on the terminal."""
    output, size = Output(runtime.stdout, runtime.environ), _terminal_size(runtime)
    source = iter(lines)
    first = list(islice(source, size.lines))
    pager = _pager(runtime) if not _fits(first, size) and _is_awaited(runtime) else ()
    shown = output.painted(chain(first, source))
    if not (pager and _page(pager, shown, runtime)):
        runtime.stdout.writelines(shown)


def _pager(runtime: Runtime) -> Sequence[str]:
    """Return the words of $PAGER, or `less` if it is installed. Return no words if PAGER is empty or `cat`."""
    named = runtime.environ.get("PAGER")
    if named is None:
        if os.name == "nt":  # Windows would start a `less` in the current directory, which may be someone else's
            return ()
        return ("less",) if shutil.which("less", path=runtime.environ.get("PATH", os.defpath)) else ()
    import shlex  # imported here, because few users set PAGER

    try:
        words = shlex.split(named, posix=os.name != "nt")
    except ValueError as problem:
        tell(f"note: PAGER {printable(named)} cannot be read ({problem}), so it was not used", runtime)
        return ()
    return () if words == ["cat"] else words


def _terminal_size(runtime: Runtime) -> os.terminal_size:
    """Return the columns and lines of the terminal, or zeros if the terminal cannot show a pager."""
    if not Output(runtime.stdout, runtime.environ).is_terminal or runtime.environ.get("TERM") == "dumb":
        return _NO_SIZE
    try:
        return os.get_terminal_size(runtime.stdout.fileno())
    except (OSError, ValueError):
        return _NO_SIZE


def _fits(first: Sequence[Styled], size: os.terminal_size) -> bool:
    """Return whether lines fit on the terminal. The result is True if the terminal's size is unknown."""
    if not size.lines or not size.columns:
        return True
    # One row stays free for the shell's prompt.
    return sum(max(1, -(-cell_width(line.plain) // size.columns)) for line in first) < size.lines


def _is_awaited(runtime: Runtime) -> bool:
    """Return whether a person waits for the output. The result is False if the user has already typed more lines.

    These lines are usually pasted commands. The pager would read them as keys, and the first `q` would end the pager.
    """
    from port_hook_cli.terminal.coding_agent import coding_agent  # here, because most output fits on the screen

    if coding_agent(runtime.environ):
        return False
    try:
        return not (runtime.stdin.isatty() and select.select([runtime.stdin], [], [], 0)[0])
    except (OSError, ValueError):  # Windows, or a closed stream
        return True


def _page(pager: Sequence[str], lines: Iterable[str], runtime: Runtime) -> bool:
    """Show lines in the pager. If the pager cannot be started, print a note and return False."""
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
    assert process.stdin is not None
    # The pager may end before it has read everything. On Windows, the resulting error is not BrokenPipeError.
    with _ignoring_ctrl_c(), process, suppress(OSError), process.stdin as stream:
        for line in lines:
            stream.write(line.encode("utf-8", "backslashreplace"))
    return True


@contextmanager
def _ignoring_ctrl_c() -> Iterator[None]:
    """Ignore Ctrl-C until the context ends, because the pager uses Ctrl-C to stop a search."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
