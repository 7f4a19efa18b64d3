"""Read settings files, but only if no other user of the machine can have written them."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from port_hook_cli.errors import SettingsError
from port_hook_cli.frozen import frozen

# The parser's time grows with the square of a line's length, so the file size is limited.
MOST_BYTES = 64 * 1024
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
# O_NONBLOCK is set so that a pipe in place of a file doesn't block the command. The last two exist only on Windows.
_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY", "O_NOINHERIT"))


@frozen
class SettingsFile:
    """The content of a file. `refusal` explains why it must not be used, and `advice` says what to do about that.

    If `status` is None, the mode is unknown. `is_folder` means that the path is a directory, which has no content.
    """

    content: bytes = b""
    is_folder: bool = False
    refusal: str = ""
    advice: str = ""
    path: Path = Path()
    status: os.stat_result | None = None

    def __repr__(self) -> str:
        return f"SettingsFile({self.path}, {len(self.content)} bytes)"  # the content may contain secrets

    @property
    def warning(self) -> str:
        """The reason and the advice, on one line."""
        return f"{self.refusal}. {self.advice[:1].upper()}{self.advice[1:]}" if self.advice else self.refusal

    @property
    def is_exposed(self) -> bool:
        """Whether another user can read the file: its mode and the modes of all directories above it allow that."""
        if self.status is None:
            return False
        folders = [folder.stat().st_mode for folder in self.path.resolve().parents]
        if self.status.st_mode & stat.S_IROTH and all(mode & stat.S_IXOTH for mode in folders):
            return True
        by_group = self.status.st_mode & stat.S_IRGRP and all(mode & (stat.S_IXOTH | stat.S_IXGRP) for mode in folders)
        return bool(by_group) and not is_private_group(self.status.st_gid, owner=self.status.st_uid)


def read_settings_file(path: Path, shown: str) -> SettingsFile:
    """Return the content of a settings file. A missing file, a directory or a device has no content.

    For an unsafe file, `refusal` explains the reason and refers to the file as `shown`. Symbolic links are followed:
    the target is checked, and exactly the checked file is read. Raises SettingsError if the file cannot be read.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode) or stat.S_ISCHR(mode):
            return SettingsFile(is_folder=stat.S_ISDIR(mode))
        if not stat.S_ISREG(mode):
            return SettingsFile(refusal=f"{shown} is not used: it is not a regular file")
        return _read(path, shown)
    except OSError as error:
        if error.errno in _ABSENT:
            return SettingsFile()
        raise SettingsError(
            f"{shown} cannot be read: {error.strerror}.",
            hint="Make it readable for yourself, or move it to another directory.",
        ) from error


def _read(path: Path, shown: str) -> SettingsFile:
    with os.fdopen(os.open(path, _FLAGS), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            return SettingsFile(refusal=f"{shown} is not used: it is not a regular file")
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        return SettingsFile(content=content, refusal=f"{shown} is not used: it is larger than 64 KiB")
    if not hasattr(os, "geteuid"):
        return SettingsFile(content=content)
    fault = fault_of(status.st_mode, owner=status.st_uid, user=os.geteuid(), is_private=_private(status))
    reason, advice = fault or ("", "")
    return SettingsFile(
        content=content,
        refusal=f"{shown} is not used: {reason}" if fault else "",
        advice=f"{advice} {shown}" if fault else "",
        path=path,
        status=status,
    )


def fault_of(mode: int, *, owner: int, user: int, is_private: Callable[[], bool]) -> tuple[str, str] | None:
    """Return why a file with this mode and owner is unsafe, and what to do, or None if the file is safe.

    The advice ends before the file's name. A file that its group can write to is accepted if `is_private` returns True,
    which means that the owner is the group's only member.
    """
    if owner not in {0, user}:
        return f"it belongs to another user (uid {owner})", f"if you trust it, make it yours: chown {user}"
    if mode & stat.S_IWOTH or (mode & stat.S_IWGRP and not is_private()):
        return "others on this machine can write it", "check its content, then chmod 600"
    return None


def _private(status: os.stat_result) -> Callable[[], bool]:
    return lambda: is_private_group(status.st_gid, owner=status.st_uid)


def is_private_group(gid: int, *, owner: int) -> bool:
    """Return whether a group is the private group of a user, with the same name and no other members.

    Many Linux systems create such a group for each user, and make new files writable by this group by default.
    """
    if sys.platform != "win32":
        import grp
        import pwd

        with suppress(KeyError):
            user, group = pwd.getpwuid(owner), grp.getgrgid(gid)
            return user.pw_gid == gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
    return False


ENVIRONMENT = "the environment"
# This file is in the current directory, and someone else may have written it.
PROJECT_FILE = "./.env"
SECRET_VARIABLE = "PORT_CLIENT_SECRET"  # noqa: S105 - the name of a variable
# This file in the home directory lists what `port-hook login` saved.
LOGINS = ".port-hook/logins.json"
PROJECT_CONFIG = "port-hook.toml"
PYPROJECT = "pyproject.toml"
