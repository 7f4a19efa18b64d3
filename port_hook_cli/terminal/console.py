"""The two streams: results to stdout, everything else to stderr; color only on a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from port_hook_cli.text.safe import printable_bytes, printable_json

if TYPE_CHECKING:
    from rich.console import Console


def emit(record: Mapping[str, Any], stream: TextIO) -> None:
    """Write one record as a line of ASCII JSON and flush it, so that a reader downstream sees it now."""
    stream.write(json.dumps(record, separators=(",", ":")) + "\n")
    stream.flush()


def rich_console(stream: TextIO, environ: Mapping[str, str]) -> Console:
    """Return a rich console on `stream` without markup, emoji codes or guesses about what to highlight.

    NO_COLOR and COLUMNS are read from `environ`; without a terminal there is no color and the width is 100.
    """
    from rich.console import Console

    class PipedConsole(Console):
        def on_broken_pipe(self) -> None:
            """Let the failure pass: rich would exit with 1 where a reader such as `head` has all it wants."""
            raise BrokenPipeError

    terminal = stream.isatty()
    return PipedConsole(
        file=stream,
        force_terminal=terminal,
        no_color=bool(environ.get("NO_COLOR")) or not terminal,
        width=None if terminal else int(environ.get("COLUMNS", "100") or 100),
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=not terminal,
        _environ=environ,
    )


def write_content(
    content: bytes, stream: TextIO, *, printable: Callable[[bytes], str] = printable_bytes, end: str = ""
) -> None:
    """Write exact bytes to a pipe or a file; write the result of `printable`, then `end`, to a terminal."""
    if stream.isatty():
        stream.write(printable(content) + end)
        stream.flush()
    else:
        write_bytes(content, stream)


def write_json_text(text: str, stream: TextIO) -> None:
    """Write JSON as UTF-8 to a pipe or a file; on a terminal, escape invisible characters as JSON does."""
    write_content(text.encode(), stream, printable=lambda _: printable_json(text))


def write_bytes(content: bytes, stream: TextIO) -> None:
    """Write exact bytes to a text stream, whatever its encoding, and flush it."""
    stream.flush()
    stream.buffer.write(content)
    stream.buffer.flush()
