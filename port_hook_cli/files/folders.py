"""The JSON and YAML files in a folder, which may come from a stranger."""

from __future__ import annotations

from pathlib import Path

from port_hook_cli.errors import UsageError

DOCUMENT_SUFFIXES = frozenset({".json", ".yaml", ".yml"})
MAX_DOCUMENT_BYTES = 64 * 1024 * 1024


def documents_in(folder: Path) -> list[Path]:
    """Return the JSON and YAML files in a folder, sorted by name.

    Raises UsageError for one that is too large, or that is not a regular file: a pipe or a link to a device could be
    read without end.
    """
    found = sorted(file for file in folder.iterdir() if file.suffix.lower() in DOCUMENT_SUFFIXES)
    for file in found:
        if not file.is_file():
            raise UsageError(f"{file} is not a file.", hint="Remove it, or name the files one by one.")
        if file.stat().st_size > MAX_DOCUMENT_BYTES:
            raise UsageError(f"{file} has more than {MAX_DOCUMENT_BYTES:,} bytes.", hint="Remove it from the folder.")
    return found


def is_directory(path: Path) -> bool:
    """Return whether `path` is a directory, False for a name that is too long for a file."""
    try:
        return path.is_dir()
    except OSError:
        return False
