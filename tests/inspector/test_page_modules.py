"""The unit tests of the page's modules, under Node's own test runner (tests/page)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.installed import path_of

TESTS = Path(__file__).parents[1] / "page"


@pytest.mark.once
def test_modules_of_the_page() -> None:
    # In one process: `node --test` starts a process for each file, which takes five times as long.
    modules = "".join(f"import './{path.name}';" for path in TESTS.glob("*.test.js"))
    assert modules
    ran = subprocess.run(
        [path_of("node"), "--no-warnings", "--test-reporter=dot", "--input-type=module", "--eval", modules],
        cwd=TESTS,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
