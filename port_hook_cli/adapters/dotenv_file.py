"""`.env` files, read by python-dotenv without interpolation: `$` is a character like any other in a secret."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from port_hook_cli.errors import SettingsError

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True, kw_only=True)
class DotenvFile:
    """The variables of one `.env` file, and the numbers of the lines that could not be read."""

    path: Path
    values: dict[str, str] = field(default_factory=dict, repr=False)
    bad_lines: tuple[int, ...] = ()


def dotenv_files(cwd: Path, home: Path, prefix: str = "PORT_") -> Iterator[DotenvFile]:
    """Yield the `.env` file of this folder and the one in `~/.port`, each read only when it is asked for."""
    return (read_dotenv(path, prefix) for path in (cwd / ".env", home / ".port" / ".env"))


def read_dotenv(path: Path, prefix: str) -> DotenvFile:
    """Return the variables that begin with `prefix`; a missing file (or a folder of that name) has none.

    Raises SettingsError when the file is there and cannot be read. A file in which the prefix does not occur is
    about other things: it costs no import and cannot be wrong.
    """
    content = _content(path)
    if prefix.encode() not in content and not content.startswith(_UTF16_MARKS):
        return DotenvFile(path=path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text.", hint="Save it as UTF-8.") from error
    return _parse(path, text, prefix)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.is_file() else b""
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read: {error.strerror}.", hint="Make it readable for yourself, or move it away."
        ) from error


def _parse(path: Path, text: str, prefix: str) -> DotenvFile:
    values, bad = parse_dotenv(text)
    wanted = {name: value for name, value in values.items() if name.startswith(prefix)}
    return DotenvFile(path=path, values=wanted, bad_lines=bad)


def parse_dotenv(text: str) -> tuple[dict[str, str], tuple[int, ...]]:
    """Return the variables in a `.env` file's text, and the numbers of the lines that could not be read."""
    # dotenv_values would drop the lines that it cannot read and tell only the log, without the file's name.
    from dotenv.parser import parse_stream

    bindings = list(parse_stream(io.StringIO(text)))
    values = {item.key: item.value for item in bindings if item.key and item.value is not None}
    return values, tuple(_line(item.original.line, item.original.string) for item in bindings if item.error)


def _line(first: int, statement: str) -> int:
    """Return the line on which a statement's text begins; the parser counts the blank lines before it in."""
    return first + statement[: len(statement) - len(statement.lstrip())].count("\n")
