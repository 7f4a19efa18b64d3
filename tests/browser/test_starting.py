"""A machine on which no browser can start gets a reason."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.browser.starting import NO_DRIVER, NO_START, CannotStart, a_browser, driver_problem

if sys.platform == "win32":
    pytest.skip("the programs that fail to start are shell scripts", allow_module_level=True)

pytestmark = [pytest.mark.once, pytest.mark.extended]

# Fails like a program with a missing library.
_BROKEN = "#!/bin/sh\necho 'error while loading shared libraries: libatomic.so.1' >&2\nexit 127\n"


def a_program(path: Path, script: str) -> Path:
    path.write_text(script)
    path.chmod(0o755)
    return path


async def test_browser_that_does_not_start_is_reported_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_program(tmp_path / "chromium-headless-shell", _BROKEN)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(CannotStart, match=f"^({NO_START}: |{NO_DRIVER})"):
        async with a_browser():
            pass


def test_driver_that_fails_or_hangs_is_reported_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAYWRIGHT_NODEJS_PATH", str(a_program(tmp_path / "node", _BROKEN)))
    assert driver_problem() == "error while loading shared libraries: libatomic.so.1"
    a_program(tmp_path / "node", "#!/bin/sh\nexec sleep 1000\n")
    assert driver_problem(timeout_s=0.5) == "no response within 0.5 s"
