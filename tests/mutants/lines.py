"""The map from the package's lines to the tests that run them. Recording takes minutes, so each tree has one map."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from coverage import Coverage, CoverageData

from tests.coverage_data import remove_unreadable
from tests.mutants.recording import DATA, DURATIONS
from tests.mutants.trees import hashes, start_pytest

_MADE_OF = "tree.json"


@dataclass(frozen=True)
class LineMap:
    """Which tests run each line. `seconds` has the duration of each test that passed."""

    seconds: dict[str, float]
    _data: CoverageData
    _root: Path
    _hashes: dict[str, str]
    _modules: dict[str, dict[int, frozenset[str]]] = field(default_factory=dict)

    def tests(self, module: str) -> dict[int, frozenset[str]]:
        """Return the tests that run each line of a module."""
        if module not in self._modules:
            lines = self._data.contexts_by_lineno(str(self._root / module))
            self._modules[module] = {line: self._passed.intersection(tests) for line, tests in lines.items()}
        return self._modules[module]

    def tests_in(self, file: str) -> list[str]:
        """Return the tests of a file that passed."""
        return [test for test in self.seconds if test.startswith(f"{file}::")]

    def is_current(self, module: str, source_hash: str) -> bool:
        """Whether the module is the same as when the map was recorded."""
        return self._hashes.get(module) == source_hash

    @cached_property
    def _passed(self) -> frozenset[str]:
        return frozenset(self.seconds)


def record(tree: Path, folder: Path, workers: int) -> None:
    """Run all tests in a copy of the tree, and record in the folder which lines each test runs."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in (*folder.glob(f"{DATA}.*"), *folder.glob(f"{DURATIONS}.*")):
        path.unlink()  # left by an interrupted run
    arguments = ("-p", "tests.mutants.recording", f"--record-to={folder}", f"-n={workers}", "--dist=worksteal")
    with start_pytest(tree, *arguments, quiet=False) as process:
        process.wait()
    combine(tree, folder)


def combine(tree: Path, folder: Path) -> None:
    """Combine the files that the processes of a run have written into a map."""
    remove_unreadable(folder, DATA)
    coverage = Coverage(data_file=folder / DATA, config_file=False, messages=False)
    coverage.combine([str(folder)])
    coverage.save()
    seconds = {}
    for path in sorted(folder.glob(f"{DURATIONS}.*.json")):
        seconds.update(json.loads(path.read_text("utf-8")))
    made_of = {"root": str(tree), "hashes": hashes(tree), "seconds": seconds}
    (folder / _MADE_OF).write_text(json.dumps(made_of), "utf-8")


def exists(folder: Path) -> bool:
    """Whether the folder has a complete map."""
    return (folder / _MADE_OF).exists()


def load(folder: Path) -> LineMap:
    """Return the map that `record` wrote to the folder."""
    made_of = json.loads((folder / _MADE_OF).read_text("utf-8"))
    data = CoverageData(str(folder / DATA))
    data.read()
    return LineMap(made_of["seconds"], data, Path(made_of["root"]), made_of["hashes"])
