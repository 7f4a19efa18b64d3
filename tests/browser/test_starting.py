"""Browser tests are skipped where no browser can start, and save a trace when they fail."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.browser.starting import NO_CHROMIUM, NO_DRIVER, NO_START, CannotStart, a_browser, driver_problem

if sys.platform == "win32":
    pytest.skip("the programs that fail to start are shell scripts", allow_module_level=True)

pytestmark = pytest.mark.once

_ROOT = Path(__file__).parents[2]
# Fails like a program with a missing library.
_BROKEN = "#!/bin/sh\necho 'error while loading shared libraries: libatomic.so.1' >&2\nexit 127\n"

# A test that opens a page, then fails or passes. The page is a plain page, because an inspector takes longer to start.
_OPENING = """
import pytest
from tests.browser.inspecting import Desk
from tests.servers import handler

pytestmark = pytest.mark.asyncio(loop_scope="session")
PAGE = b"HTTP/1.1 200 OK\\r\\ncontent-type: text/html\\r\\ncontent-length: 5\\r\\n\\r\\nhello"

@pytest.mark.parametrize("fails", [True, False], ids=["fails", "passes"])
async def test_opening(open_page, fails):
    with handler(PAGE) as server:
        await open_page(Desk(None, "", f"{server.url}/#token=any"))
    assert not fails
"""


def a_program(path: Path, script: str) -> Path:
    path.write_text(script)
    path.chmod(0o755)
    return path


def pytest_output(folder: Path, **variables: str) -> str:
    """Return what pytest prints for the test above."""
    module = folder / "test_opening.py"
    module.write_text(_OPENING)
    without = ("-p", "no:cacheprovider", "-p", "no:randomly", "-n0", "-rs")
    options = ("-p", "tests.browser.conftest", "--rootdir", str(_ROOT), "--basetemp", str(folder / "base"))
    command = [sys.executable, "-m", "pytest", *without, *options, str(module)]
    ended = subprocess.run(
        command, cwd=_ROOT, env={**os.environ, **variables}, capture_output=True, text=True, timeout=120, check=False
    )
    return ended.stdout + ended.stderr


def test_browser_tests_are_skipped_when_the_driver_does_not_start(tmp_path: Path) -> None:
    node = a_program(tmp_path / "node", _BROKEN)
    output = pytest_output(tmp_path, PLAYWRIGHT_NODEJS_PATH=str(node))
    assert f"{NO_DRIVER}: error while loading shared libraries: libatomic.so.1" in output
    assert re.search(r"2 skipped in ", output), output


async def test_browser_failure_at_the_start_is_reported_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_program(tmp_path / "chromium-headless-shell", _BROKEN)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(CannotStart, match=f"^({NO_START}: |{NO_DRIVER})"):
        async with a_browser():
            pass


def test_unresponsive_driver_is_killed_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = a_program(tmp_path / "node", f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 1000\n")
    monkeypatch.setenv("PLAYWRIGHT_NODEJS_PATH", str(node))
    assert driver_problem(timeout_s=0.5) == "no response within 0.5 s"


@pytest.mark.timeout(120)
def test_browser_test_leaves_a_trace_only_when_it_fails(tmp_path: Path) -> None:
    output = pytest_output(tmp_path)
    if reason := next((reason for reason in (NO_DRIVER, NO_CHROMIUM, NO_START) if reason in output), None):
        pytest.skip(reason)
    traces = re.findall(r"Trace: .* show-trace (\S+)", output)
    assert [Path(trace) for trace in traces] == list(tmp_path.rglob("trace-*.zip"))
    assert "trace.trace" in zipfile.ZipFile(traces[0]).namelist()
    assert "1 failed, 1 passed" in output
