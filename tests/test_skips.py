"""Unexpected skips fail a run in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PASSES = "def test_passes():\n    pass\n"


def run_of(folder: Path, source: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run pytest on a file with `source`, with CI's guard."""
    (folder / "test_it.py").write_text(f"import pytest\n{source}")
    (folder / "conftest.py").write_text(
        "from tests.skips import SkipGuard\n"
        "def pytest_configure(config):\n"
        "    if not hasattr(config, 'workerinput'):\n"
        "        config.pluginmanager.register(SkipGuard())\n"
    )
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "xdist", folder],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("addopts", ["", "-n 2"])
@pytest.mark.parametrize(
    "source",
    [
        "@pytest.mark.skip(reason='curl is not installed')\ndef test_one():\n    pass\n",
        "@pytest.fixture\ndef it():\n    pytest.skip('curl is not installed')\ndef test_one(it):\n    pass\n",
        "pytest.skip('curl is not installed', allow_module_level=True)\n",
        "pytest.importorskip('no_such_library', reason='curl is not installed')\n",
    ],
    ids=["mark", "fixture", "module", "import"],
)
def test_unexpected_skip_fails_the_run(tmp_path: Path, source: str, addopts: str) -> None:
    (tmp_path / "test_other.py").write_text(PASSES)
    done = run_of(tmp_path, source, PYTEST_ADDOPTS=addopts)
    assert done.returncode == 1, done.stdout
    assert "UNEXPECTED SKIP 'curl is not installed': test_it.py" in done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.parametrize(
    "source",
    [
        PASSES,
        "@pytest.mark.xfail\ndef test_one():\n    assert False\n",
        "def test_one():\n    pytest.skip('root can write to every file')\n",
    ],
    ids=["passed", "expected failure", "expected skip"],
)
def test_run_without_an_unexpected_skip_passes(tmp_path: Path, source: str) -> None:
    done = run_of(tmp_path, source)
    assert (done.returncode, "UNEXPECTED" in done.stdout) == (0, False), done.stdout


def test_run_fails_when_a_test_fails_beside_an_unexpected_skip(tmp_path: Path) -> None:
    done = run_of(tmp_path, "def test_one():\n    assert False\ndef test_two():\n    pytest.skip('no curl')\n")
    assert done.returncode == 1
    assert "1 failed, 1 skipped" in done.stdout
