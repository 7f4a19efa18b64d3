from __future__ import annotations

import errno
from typing import Any

from port_hook_cli.terminal.signals import is_broken_pipe


def test_broken_pipe_is_recognized_by_the_error_of_each_system() -> None:
    for platform in ("linux", "darwin", "win32"):
        assert is_broken_pipe(OSError(errno.EPIPE, "Broken pipe"), platform)

    rows: list[tuple[Any, Any]] = [("linux", False), ("darwin", False), ("win32", True)]
    for platform, is_broken in rows:
        assert is_broken_pipe(OSError(errno.EINVAL, "Invalid argument"), platform) is is_broken

    assert not is_broken_pipe(OSError(errno.EINVAL, "Invalid argument", "a:b"), "win32")
    assert not is_broken_pipe(OSError(errno.ENOSPC, "No space left on device"), "win32")
