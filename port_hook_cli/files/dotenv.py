"""Read `.env` files with python-dotenv, without interpolation: a `$` in a secret is an ordinary character."""

from __future__ import annotations

import io
from dataclasses import field
from pathlib import Path

from port_hook_cli.errors import SettingsError
from port_hook_cli.files.settings_file import PROJECT_FILE, SECRET_VARIABLE, SettingsFile, read_settings_file
from port_hook_cli.frozen import frozen

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@frozen(kw_only=True)
class DotenvFile:
    """The variables of one `.env` file, and the numbers of the lines that could not be read.

    Messages refer to the file as `name`. `warnings` are messages for the user about the file. `is_refused` means that
    the file was not used. `is_folder` means that the path is a directory, such as a virtual environment.
    """

    name: str
    values: dict[str, str] = field(default_factory=dict, repr=False)
    bad_lines: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    is_refused: bool = False
    is_folder: bool = False


def project_dotenv(cwd: Path, home: Path, prefix: str = "PORT_") -> DotenvFile:
    """Return the variables of the current directory's `.env`, but none in `~/.port`, where the file is the user's."""
    return DotenvFile(name=PROJECT_FILE) if cwd == home / ".port" else read_dotenv(cwd / ".env", prefix, PROJECT_FILE)


def home_dotenv(home: Path, prefix: str = "PORT_") -> DotenvFile:
    """Return the variables of `~/.port/.env`."""
    path = home / ".port" / ".env"
    return read_dotenv(path, prefix, str(path))


def read_dotenv(path: Path, prefix: str, name: str) -> DotenvFile:
    """Return the variables that begin with `prefix`. A missing file, or a directory of that name, has none.

    Raises SettingsError if the file exists but cannot be read. A file without the prefix has no settings of port-hook.
    The file is not parsed, so it needs no import and cannot cause an error. For a file that is not safe to use, returns
    a warning instead of variables.
    """
    file = read_settings_file(path, name)
    if file.refusal and (_mentions(file, prefix) or not file.content):
        return DotenvFile(name=name, warnings=(file.warning,), is_refused=True)
    if not _mentions(file, prefix):
        return DotenvFile(name=name, is_folder=file.is_folder)
    try:
        text = file.content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{name} is not UTF-8 text.", hint="Save it as UTF-8.") from error
    values, bad = parse_dotenv(text)
    wanted = {key: value for key, value in values.items() if key.startswith(prefix)}
    is_telling = file.is_exposed and wanted.get(SECRET_VARIABLE)
    return DotenvFile(name=name, values=wanted, bad_lines=bad, warnings=(exposure_warning(name),) if is_telling else ())


def other_secret(path: Path, used: str) -> str | None:
    """Return the client secret in a `.env` file if it differs from `used`. Return None if the file is not usable."""
    try:
        file = read_settings_file(path, str(path))
        # If the file's only secret is the secret in use, skip the parser, which takes longer than the rest of `sign`.
        if file.refusal or _secret_lines(file.content) == [used.encode("utf-8", "surrogateescape")]:
            return None
        other = read_dotenv(path, SECRET_VARIABLE, str(path)).values.get(SECRET_VARIABLE)
    except SettingsError:
        return None
    return other if other and other != used else None


def _secret_lines(content: bytes) -> list[bytes]:
    """Return the text after `PORT_CLIENT_SECRET=` on each line that contains it, without surrounding quotes."""
    name = SECRET_VARIABLE.encode() + b"="
    return [line.partition(name)[2].strip().strip(b"'\"") for line in content.splitlines() if name in line]


def exposure_warning(name: str) -> str:
    """Return the warning about a file whose secret other users can read."""
    return f"others on this machine can read {name}: chmod 600 {name.removeprefix('./')}"


def _mentions(file: SettingsFile, prefix: str) -> bool:
    return prefix.encode() in file.content or file.content.startswith(_UTF16_MARKS)


def parse_dotenv(text: str) -> tuple[dict[str, str], tuple[int, ...]]:
    """Return the variables in the text of a `.env` file, and the numbers of the lines that could not be read."""
    # dotenv_values ignores unreadable lines, and reports them only to the log, without the file's name.
    from dotenv.parser import parse_stream

    bindings = list(parse_stream(io.StringIO(text)))
    values = {item.key: item.value for item in bindings if item.key and item.value is not None}
    return values, tuple(_line(item.original.line, item.original.string) for item in bindings if item.error)


def _line(first: int, statement: str) -> int:
    """Return the line on which a statement's text begins. The parser also counts the blank lines before the text."""
    return first + statement[: len(statement) - len(statement.lstrip())].count("\n")
