from __future__ import annotations

import errno

import pytest

from port_hook_cli.terminal.signals import is_broken_pipe


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_epipe_is_a_broken_pipe_on_every_system(platform: str) -> None:
    assert is_broken_pipe(OSError(errno.EPIPE, "Broken pipe"), platform)


@pytest.mark.parametrize(("platform", "is_broken"), [("linux", False), ("darwin", False), ("win32", True)])
def test_einval_is_a_broken_pipe_on_windows_only(platform: str, is_broken: bool) -> None:
    assert is_broken_pipe(OSError(errno.EINVAL, "Invalid argument"), platform) is is_broken


def test_error_about_a_file_is_not_a_broken_pipe() -> None:
    assert not is_broken_pipe(OSError(errno.EINVAL, "Invalid argument", "a:b"), "win32")
    assert not is_broken_pipe(OSError(errno.ENOSPC, "No space left on device"), "win32")
