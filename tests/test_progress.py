"""The progress of a run: its lines in a log and on a terminal, and what Ctrl-C prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pexpect  # type: ignore[import-untyped]
import pytest

pytestmark = pytest.mark.extended

PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.progress"]
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST_")},
    "PYTHONPATH": str(Path(__file__).parents[1]),
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
}


def test_log_has_a_line_for_each_tenth_and_failure_and_groups_skips_by_reason(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('number', range(30))\n"
        "def test_one(number):\n"
        "    if number < 5: pytest.skip('no curl' if number else 'no zsh')\n"
        "    assert number != 7, 'it is seven'\n"
        "@pytest.fixture\n"
        "def broken():\n"
        "    raise OSError('no disk')\n"
        "def test_two(broken): pass\n"
    )
    done = subprocess.run(
        [*PYTEST, "-p", "xdist", "-n", "2", tmp_path],
        cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    before, in_full, _ = re.split("={5,} (?:ERRORS|short test summary info) ={5,}\n", done.stdout)
    lines = before.split("\n\n")[0].splitlines()
    assert lines[:2] == ["Collecting the tests", "Running 31 tests in 2 processes"]
    counts = [line for line in lines[2:] if "FAILED" not in line]
    assert len(counts) == 10
    assert all(re.fullmatch(r"[ \d]\d of 31 tests \(\d+%(, \d failed)?\) after 0:\d\d", line) for line in counts)
    assert counts[-1].startswith("31 of 31 tests (100%, 2 failed)")
    assert sorted(line for line in lines if "FAILED" in line) == [
        "FAILED test_it.py::test_one[7] - AssertionError: it is seven",
        "FAILED test_it.py::test_two (setup) - OSError: no disk",
    ]
    assert "assert 7 != 7" in in_full
    assert "OSError: no disk" in in_full
    assert "5 tests were skipped:\n      4  no curl\n      1  no zsh\n" in in_full
    assert done.returncode == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal of POSIX")
def test_terminal_shows_one_changing_line_and_ctrl_c_prints_one_line(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest, threading\n"
        "@pytest.mark.parametrize('number', range(1200))\n"
        "def test_one(number):\n"
        "    if number == 1100: threading.Event().wait()\n"
        "    threading.Event().wait(0.001)\n"
    )
    terminal = pexpect.spawn(
        PYTEST[0], [*PYTEST[1:], str(tmp_path)], cwd=tmp_path, env=ENVIRONMENT, encoding="utf-8", timeout=60
    )
    terminal.expect_exact("\r\x1b[KRunning 1,200 tests in 1 process\r\n")
    terminal.expect(r"\r\x1b\[K +\d+ of 1,200 tests \(\d+%\) after 0:0\d\r\x1b\[K[ 1],?\d+ of 1,200 tests")
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    assert re.fullmatch(r"[^\n]*\^C\s+Interrupted after 1?,?\d+ of 1,200 tests\.\s*", terminal.before or ""), (
        terminal.before
    )
    terminal.close()
    assert terminal.exitstatus == 130
