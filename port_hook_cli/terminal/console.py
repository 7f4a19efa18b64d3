"""The two output streams: results on stdout, and everything else on stderr. Only terminals get styles by default."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from port_hook_cli.text.safe import printable_bytes, printable_json, printable_lines, shorten

if TYPE_CHECKING:
    from rich.console import Console

    from port_hook_cli.runtime import Runtime
    from port_hook_cli.text.remark import Say
    from port_hook_cli.text.styled import Styled

_TERMINAL_COLUMNS = 80
_PIPE_COLUMNS = 100
_CONTINUED = 2
_MOST_DIGITS = 6
_MOST_LINES = 100
_LONGEST_LINE = 2_000
# A label and its value in a column: `Public URL    https://…`. A long URL stays on the line of its label.
_COLUMN = r"(?=\S)[^\n]{1,12}?  +(?=\S)"
_LABEL_STYLES = {"error": "bold red", "hint": "cyan", "warning": "yellow", "note": "cyan"}
_BEGINNINGS = tuple(f"{label}:" for label in _LABEL_STYLES)
_INITIALS = frozenset(label[0] for label in _LABEL_STYLES)


class Output:
    """A stream as a user sees it: a terminal with styles and a width, or a pipe that gets plain text.

    `environ` decides about styles. TERM=dumb turns styles off. FORCE_COLOR turns styles on for a pipe. NO_COLOR
    overrides FORCE_COLOR, and leaves only bold, dim and links.
    """

    def __init__(self, stream: TextIO, environ: Mapping[str, str]) -> None:
        self._stream = stream
        self._columns = environ.get("COLUMNS", "")
        self.is_terminal = stream.isatty()
        is_capable = self.is_terminal and environ.get("TERM") != "dumb"
        is_forced = bool(environ.get("FORCE_COLOR")) and not environ.get("NO_COLOR")
        self.has_styles = is_capable or is_forced
        self.has_color = self.has_styles and not environ.get("NO_COLOR")
        if self.has_styles and sys.platform == "win32":
            os.system("")  # noqa: S605, S607 - an empty command makes the console read escape sequences

    @property
    def width(self) -> int:
        """The number of columns: the value of COLUMNS, otherwise the terminal's current width, or 100 for a pipe."""
        if columns := _number_of_columns(self._columns):
            return columns
        if not self.is_terminal:
            return _PIPE_COLUMNS
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or _TERMINAL_COLUMNS
        except (OSError, ValueError):
            return _TERMINAL_COLUMNS

    def paint(self, lines: Iterable[Styled]) -> str:
        """Return lines as the text to write to the stream.

        A line that looks like the beginning of a message is indented, unless `message_lines` produced it.
        """
        return "".join(self.painted(lines))

    def painted(self, lines: Iterable[Styled]) -> Iterator[str]:
        """Yield the text of lines like `paint`, each with a newline, while `lines` produces them."""
        return self._painted(map(_not_a_message, lines))

    def paint_content(self, lines: Iterable[Styled]) -> str:
        """Return lines as text like `paint`, but with every character unchanged."""
        return "".join(self._painted(lines))

    def _painted(self, lines: Iterable[Styled]) -> Iterator[str]:
        if not self.has_styles:
            for line in lines:
                yield f"{line.plain}\n"
            return
        from port_hook_cli.text.styled import escape_sequences

        for line in self._highlight(lines):
            yield f"{escape_sequences(line, color=self.has_color)}\n"

    def _highlight(self, lines: Iterable[Styled]) -> Iterable[Styled]:
        """Return lines with their JSON in color, if the stream has color."""
        if not self.has_color:
            return lines
        from port_hook_cli.text.json_highlight import highlighted

        return highlighted(lines)

    def fit(self, lines: Iterable[Styled], *, indent: int | None = None) -> Iterable[Styled]:
        """Return lines wrapped below their values for a terminal, or unchanged for a pipe.

        `indent` is the column of the values, by default `layout.INDENT`.
        """
        if not self.is_terminal:
            return lines
        from port_hook_cli.text.layout import INDENT, fit

        return fit(self._highlight(lines), self.width, indent=INDENT if indent is None else indent)

    def wrap(self, lines: Iterable[Styled]) -> Iterable[Styled]:
        """Return lines wrapped at words, each continued with two spaces of indent, or unchanged for a pipe."""
        if not self.is_terminal:
            return lines
        from port_hook_cli.text.layout import wrap

        width, shown = self.width, []
        for line in lines:
            label = _label_length(line)
            parts = list(wrap(line, width, indent=_CONTINUED, label=label))
            if any(_could_imitate(part, width) for part in parts):
                parts = list(wrap(line, width, indent=_CONTINUED, label=label, breaks_words=True))
            shown += parts
        return shown

    def print(self, *lines: Styled) -> None:
        """Write lines to the stream."""
        self._stream.write(self.paint(lines))


def _not_a_message(line: Styled) -> Styled:
    """Return a line, indented if it begins with untrusted text that looks like the label of a message."""
    first = line.spans[0] if line.spans else None
    if first is not None and not first.text:
        return _not_a_message(line.replaced(line.spans[1:]))
    if first is None or first.text[0] not in _INITIALS or not line.plain.startswith(_BEGINNINGS):
        return line
    label = first.text.removesuffix(":")
    is_own = first.text != label and first.style == _LABEL_STYLES.get(label)
    return line if is_own else line.replaced((first._replace(text=_CONTINUED * " " + first.text), *line.spans[1:]))


def _could_imitate(part: Styled, width: int) -> bool:
    """Return whether a terminal may break a long part so that a line begins with what looks like a message's label.

    Other long words stay whole, so that a URL can be copied.
    """
    from port_hook_cli.text.styled import cell_width

    return cell_width(part.plain) > width and any(label in part.plain[1:] for label in _BEGINNINGS)


def _label_length(line: Styled) -> int:
    label, colon, _ = line.plain.partition(": ")
    if label in _LABEL_STYLES:
        return len(label + colon)
    column = re.match(_COLUMN, line.plain)
    return column.end() if column else _CONTINUED


def tell(text: str, runtime: Runtime) -> None:
    """Write a message to stderr. On a terminal, wrap it at words and color its label."""
    output = Output(runtime.stderr, runtime.environ)
    output.print(*output.wrap(message_lines(text)))


def shows_progress(runtime: Runtime) -> bool:
    """Return whether someone watches a progress bar: stderr is a terminal, and no coding agent runs port-hook."""
    from port_hook_cli.terminal.coding_agent import coding_agent

    return runtime.stderr.isatty() and not coding_agent(runtime.environ)


def sayer(runtime: Runtime) -> Say:
    """Return a function that shows a remark on stderr, for functions that don't print anything themselves."""
    return lambda remark: tell(remark.line, runtime)


def message_lines(text: str) -> Iterator[Styled]:
    """Yield the lines of a message such as `error: …` or `note: …`, with its label in color.

    The lines after the first are indented, because a line of untrusted text must not look like a hint. A message may
    quote untrusted text of any length, so it has at most 100 lines of 2,000 characters.
    """
    from port_hook_cli.text.styled import Styled

    lines = text.split("\n")
    first, *others = [printable_lines(shorten(line, _LONGEST_LINE)) for line in lines[:_MOST_LINES]]
    if len(lines) > _MOST_LINES:
        others.append(f"{len(lines) - _MOST_LINES} more lines are not shown")
    label, colon, rest = first.partition(":")
    style = _LABEL_STYLES.get(label) if colon else None
    yield Styled.assemble((f"{label}:", style), rest) if style else Styled(first)
    for line in others:
        yield Styled(line if line.startswith(_CONTINUED * " ") else _CONTINUED * " " + line)


def emit(record: Mapping[str, Any], stream: TextIO) -> None:
    """Write one record as a line of ASCII JSON, and flush the stream, so that a reader sees the record immediately."""
    import json  # imported here, so that `--help` starts faster

    stream.write(json.dumps(record, separators=(",", ":")) + "\n")
    stream.flush()


def print_streamed(lines: Iterable[str], stream: TextIO) -> None:
    """Write lines while they are produced. The first line is flushed, so that a reader sees it immediately."""
    is_first = True
    for line in lines:
        stream.write(line + "\n")
        if is_first:
            stream.flush()
            is_first = False


def rich_console(stream: TextIO, environ: Mapping[str, str]) -> Console:
    """Return a rich console on `stream` without markup, emoji codes or automatic highlighting.

    NO_COLOR and COLUMNS are read from `environ`. Without a terminal, the console has no color and a width of 100.
    """
    from rich.console import Console

    class PipedConsole(Console):
        def on_broken_pipe(self) -> None:
            """Raise BrokenPipeError. rich would exit with code 1, although a reader such as `head` may stop early."""
            raise BrokenPipeError

    terminal = stream.isatty()
    columns = _number_of_columns(environ.get("COLUMNS", ""))
    return PipedConsole(
        file=stream,
        force_terminal=terminal,
        no_color=bool(environ.get("NO_COLOR")) or not terminal,
        width=columns or (None if terminal else _PIPE_COLUMNS),
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=not terminal,
        # rich would also accept a value of COLUMNS that cannot be a width. With 0, rich shows nothing.
        _environ={name: value for name, value in environ.items() if name != "COLUMNS"},
    )


def _number_of_columns(text: str) -> int:
    """Return the value of COLUMNS as a number, or 0 if it is not a number of columns."""
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else 0


def write_content(content: bytes, stream: TextIO, *, environ: Mapping[str, str] | None = None, end: str = "") -> None:
    """Write raw bytes to a pipe or a file, even if FORCE_COLOR is set. On a terminal, write their text and then `end`.

    If `environ` allows color, lines of JSON are in color on a terminal.
    """
    if stream.isatty():
        text = printable_bytes(content)
        stream.write((text if environ is None else _colored(text, Output(stream, environ))) + end)
        stream.flush()
    else:
        write_bytes(content, stream)


def write_json_text(text: str, stream: TextIO, *, environ: Mapping[str, str]) -> None:
    """Write JSON as UTF-8, in color if the stream has color.

    On a terminal, write invisible characters as JSON escapes.
    """
    output = Output(stream, environ)
    if stream.isatty():
        stream.write(_colored(printable_json(text), output))
        stream.flush()
    else:
        write_bytes(_colored(text, output).encode(), stream)


def _colored(text: str, output: Output) -> str:
    """Return text with its lines of JSON in color, if the output has color."""
    if not output.has_color:
        return text
    from port_hook_cli.text.json_highlight import MAX_HIGHLIGHTED
    from port_hook_cli.text.styled import JSON, Styled

    start = text[:MAX_HIGHLIGHTED]
    lines = output.paint_content(Styled(line, JSON) for line in start.split("\n"))
    return lines[:-1] + text[MAX_HIGHLIGHTED:]


def write_bytes(content: bytes, stream: TextIO) -> None:
    """Write raw bytes to a text stream, regardless of its encoding, and flush the stream."""
    stream.flush()
    stream.buffer.write(content)
    stream.buffer.flush()
