"""Unexpected skips fail a run in CI."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.extended

ROOT = Path(__file__).parents[1]
PASSES = "def test_passes():\n    pass\n"


def run_of(folder: Path, *options: str, **sources: str) -> subprocess.CompletedProcess[str]:
    """Run pytest on a file for each source, with CI's guard."""
    for name, source in sources.items():
        (folder / f"test_{name}.py").write_text(f"import pytest\n{source}")
    (folder / "conftest.py").write_text(
        "from tests.skips import SkipGuard\n"
        "def pytest_configure(config):\n"
        "    if not hasattr(config, 'workerinput'):\n"
        "        config.pluginmanager.register(SkipGuard())\n"
    )
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "xdist", *options, folder],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_unexpected_skip_fails_the_run(tmp_path: Path) -> None:
    done = run_of(
        tmp_path,
        *("-n", "2"),  # as CI runs pytest
        mark="@pytest.mark.skip(reason='no curl')\ndef test_one():\n    pass\n",
        fixture="@pytest.fixture\ndef it():\n    pytest.skip('no node')\ndef test_one(it):\n    pass\n",
        module="pytest.skip('no fish', allow_module_level=True)\n",
        library="pytest.importorskip('no_such_library', reason='no library')\n",
        other=PASSES,
    )
    assert done.returncode == 1, done.stdout
    assert "1 passed" in done.stdout
    assert re.findall(r"UNEXPECTED SKIP '(.*)': test_(\w+)\.py", done.stdout) == [
        ("no curl", "mark"),
        ("no fish", "module"),
        ("no library", "library"),
        ("no node", "fixture"),
    ]


def test_run_without_an_unexpected_skip_passes(tmp_path: Path) -> None:
    done = run_of(
        tmp_path,
        passed=PASSES,
        failure="@pytest.mark.xfail\ndef test_one():\n    assert False\n",
        skip="def test_one():\n    pytest.skip('root can write to every file')\n",
    )
    assert (done.returncode, "UNEXPECTED" in done.stdout) == (0, False), done.stdout
