"""The tests of a small project are recorded, and then try its mutants."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from tests.mutants.bench import Bench
from tests.mutants.lines import LineMap, load, record
from tests.mutants.mutant import Mutant, all_mutants
from tests.mutants.trees import ROOT

pytestmark = pytest.mark.once

MODULE = "port_hook_cli/sums/adding.py"
FILES = {
    "port_hook_cli/__init__.py": "",
    "port_hook_cli/pytest_plugin.py": "",  # pytest loads it by its entry point
    "port_hook_cli/sums/__init__.py": "",
    MODULE: """
def add(a, b):
    return a + b

def is_small(number):
    return number < 10

def in_process():
    return 1

def not_tested():
    raise ValueError
""",
    "tests/conftest.py": """
from hypothesis import settings

settings.register_profile("mutants")
""",
    "tests/sums/test_adding.py": """
import subprocess
import sys

import pytest

from port_hook_cli.sums.adding import add, is_small

@pytest.mark.parametrize("case", ["a case"])
def test_add(case):
    assert add(1, 2) == 3

def test_is_small():
    assert is_small(5)

def test_process():
    code = "from port_hook_cli.sums.adding import in_process; assert in_process() == 1"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
""",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LineMap]:
    """The tree of the project and the map of its lines."""
    folder = tmp_path_factory.mktemp("project").resolve()
    tree = folder / "tree"
    for name, text in FILES.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text, "utf-8")
    (tree / "tests/mutants").mkdir()
    for plugin in ("recording.py", "choosing.py"):
        shutil.copy(ROOT / "tests/mutants" / plugin, tree / "tests/mutants")
    record(tree, folder / "map", workers=1)
    return tree, load(folder / "map")


def mutant_of(tree: Path, before: str) -> Mutant:
    return next(each for each in all_mutants(tree, ["adding"]) if each.mutation.before == before)


@pytest.mark.parametrize(
    ("before", "caught_by", "note"),
    [
        ("a + b", "tests/sums/test_adding.py::test_add[a case]", ""),
        ("number < 10", "", ""),
        ("1", "tests/sums/test_adding.py::test_process", ""),
        ("raise ValueError", "", "the record has no test of this line"),
    ],
)
def test_mutant_is_caught_when_a_test_fails_because_of_it(
    project: tuple[Path, LineMap], before: str, caught_by: str, note: str
) -> None:
    tree, lines = project
    verdict = Bench(tree, lines, until=math.inf, limit_s=60).verdict(mutant_of(tree, before))
    assert (verdict.caught_by, verdict.note) == (caught_by, note)
    assert (tree / MODULE).read_text("utf-8") == FILES[MODULE]


def test_tests_stop_at_the_time_limit(project: tuple[Path, LineMap]) -> None:
    tree, lines = project
    verdict = Bench(tree, lines, until=math.inf, limit_s=0).verdict(mutant_of(tree, "a + b"))
    assert str(verdict).endswith("(stopped after 0 s, 1 tests left)")


def test_failed_test_without_the_mutation_does_not_count(project: tuple[Path, LineMap]) -> None:
    tree, lines = project
    test = tree / "tests/sums/test_adding.py"
    test.write_text(FILES["tests/sums/test_adding.py"].replace("== 3", "== 4"), "utf-8")
    try:
        verdict = Bench(tree, lines, until=math.inf, limit_s=60).verdict(mutant_of(tree, "a + b"))
    finally:
        test.write_text(FILES["tests/sums/test_adding.py"], "utf-8")
    assert verdict.caught_by == ""
