"""The examples that are whole handlers, tested as their users test them: `pytest examples/NAME`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from subprocess import PIPE

import pytest

from tests import prepared
from tests.processes import NO_OTHER_PLUGINS, PYTEST

pytestmark = [pytest.mark.once, pytest.mark.extended]

ROOT = Path(__file__).parents[2]
# Where `make bench` installs Express. Tests install nothing.
PREPARED = ROOT / ".bench" / "express" / "node_modules"
SUITES = {
    "aws-lambda": 8,
    "express": 10,
    "fastapi": 10,
    "flask": 7,
    "node": 4,
    "s3-bucket": 12,
    "software-template": 12,
    "workflows": 9,
}


def test_every_example_suite_is_tested() -> None:
    assert {file.parent.name for file in (ROOT / "examples").glob("*/pytest.ini")} == set(SUITES)


@pytest.mark.timeout(180)  # the first import of a large library from a cold disk takes half a minute
@pytest.mark.parametrize(("name", "tests"), SUITES.items())
def test_each_example_suite_passes(name: str, tests: int) -> None:
    command = [*PYTEST, "-rs", f"examples/{name}"]
    environ = {**os.environ, **NO_OTHER_PLUGINS} | ({"NODE_PATH": str(PREPARED)} if PREPARED.is_dir() else {})
    done = prepared.run(command, cwd=ROOT, env=environ, stdout=PIPE, stderr=PIPE, text=True, timeout=170)
    if skipped := re.search(r"SKIPPED .*?: (.*)", done.stdout):
        pytest.skip(f"{name}: {skipped[1]}")
    assert f"{tests} passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
