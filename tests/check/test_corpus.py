"""`port-hook check` reports the one defect of each handler of the corpus, and no defect of the correct handlers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.check.corpus import (
    CORRECT,
    DEFECTS,
    DOCUMENTED,
    EXPRESS,
    FASTAPI,
    HANDLERS,
    INFORMATION,
    NODE,
    SOURCES,
    STD,
    DefectCase,
)
from tests.installed import path_of
from tests.processes import port_hook
from tests.sockets import free_port

# At least one of most programs and of each group of checks. The others are extended. Correct handlers, mistakes in
# signatures and defects that need no process are also in test_checking.py, test_fault.py and tests/cli/test_check.py.
QUICK = {
    (STD, "once"),
    (EXPRESS, "no-memory"),
    (FASTAPI, "valid-agent"),
    (NODE, "dies-of-signature"),
    (NODE, "node-result"),
}
_WRONG = {"failed", "warning", INFORMATION}
_EXPRESS_ROOT = Path(__file__).parents[2] / "examples" / "express"


def _parameters() -> list[object]:
    chosen, parameters = set(QUICK), list[object]()
    for case in (*CORRECT, *DOCUMENTED, *DEFECTS):
        is_quick = (case.program, case.defect) in chosen
        chosen.discard((case.program, case.defect))  # the first request of a program is enough
        parameters.append(pytest.param(case, id=case.name, marks=() if is_quick else pytest.mark.extended))
    return parameters


def _command(case: DefectCase, port: int) -> list[str]:
    """Return the words that start the handler, or skip the test."""
    words = [str(HANDLERS / case.program), str(port), case.defect]
    if case.program.endswith(".py"):
        return [sys.executable, *words]
    node = path_of("node")
    if "express" in case.program:
        found = subprocess.run([node, "-e", "require('express')"], cwd=_EXPRESS_ROOT, capture_output=True, check=False)
        if found.returncode:
            pytest.skip("Express is not installed: run `npm ci` in its folder")
    return [node, *words]


@pytest.mark.once
@pytest.mark.parametrize("case", _parameters())
def test_check_reports_only_the_defect_of_a_handler(case: DefectCase, folder: Path) -> None:
    port = free_port()
    source = str(SOURCES / case.source)
    done = port_hook(folder, "check", source, "--to", str(port), "--json", "--", *_command(case, port), timeout=120)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert records, done.stderr
    named = {each["check"]: each["status"] for each in records[:-1] if each["status"] in _WRONG}
    assert named == case.expected, done.stdout.decode() + done.stderr.decode()
    assert records[-1]["type"] == "summary"
    assert done.returncode == (1 if "failed" in case.expected.values() else 0)
