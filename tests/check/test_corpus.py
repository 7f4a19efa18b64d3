"""`port-hook check` reports the one defect of each handler of the corpus, and no defect of the correct handlers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.check.corpus import CORRECT, DEFECTS, DOCUMENTED, HANDLERS, INFORMATION, NODE, SOURCES, DefectCase
from tests.conftest import Run
from tests.installed import path_of
from tests.processes import environment
from tests.sockets import free_port

# The others are extended. Correct handlers, mistakes in signatures and defects that need no process are also in
# test_checking.py, test_fault.py and tests/cli/test_check.py.
QUICK = {(NODE, "dies-of-signature"), (NODE, "node-result")}
_WRONG = {"failed", "warning", INFORMATION}
_EXPRESS_ROOT = Path(__file__).parents[2] / "examples" / "express"


def _parameters() -> Iterator[object]:
    for case in (*CORRECT, *DOCUMENTED, *DEFECTS):
        is_quick = (case.program, case.defect) in QUICK
        yield pytest.param(case, id=case.name, marks=() if is_quick else pytest.mark.extended)


def _command(case: DefectCase, port: str) -> list[str]:
    """Return the words that start the handler, or skip the test."""
    words = [str(HANDLERS / case.program), port, case.defect]
    if case.program.endswith(".py"):
        return [sys.executable, *words]
    node = path_of("node")
    if "express" in case.program:
        found = subprocess.run([node, "-e", "require('express')"], cwd=_EXPRESS_ROOT, capture_output=True, check=False)
        if found.returncode:
            pytest.skip("Express is not installed: run `npm ci` in its folder")
    return [node, *words]


@pytest.mark.once
@pytest.mark.parametrize("case", [*_parameters()])
def test_check_reports_only_the_defect_of_a_handler(case: DefectCase, run: Run, folder: Path) -> None:
    port, source = str(free_port()), str(SOURCES / case.source)
    done = run("check", source, "--to", port, "--json", "--", *_command(case, port), env=environment(folder))
    records = [json.loads(line) for line in done.out.splitlines()]
    assert records, done.err
    named = {each["check"]: each["status"] for each in records[:-1] if each["status"] in _WRONG}
    assert named == case.expected, done.out + done.err
    assert records[-1]["type"] == "summary"
    assert done.code == (1 if "failed" in case.expected.values() else 0)
