"""Write a line map without running tests."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from coverage import CoverageData

from tests.mutants.lines import combine
from tests.mutants.recording import DATA, DURATIONS


def write_map(
    tree: Path, folder: Path, ran: Mapping[str, Mapping[str, Collection[int]]], seconds: Mapping[str, float]
) -> None:
    """Write the lines that each test ran in each module, and the duration of each passed test."""
    folder.mkdir()
    data = CoverageData(str(folder / f"{DATA}.1"))
    imports: dict[str, Mapping[str, Collection[int]]] = {"": {"port_hook_cli/__init__.py": [1]}}
    for test, modules in {**imports, **ran}.items():
        data.set_context(test)
        data.add_lines({str(tree / module): lines for module, lines in modules.items()})
    data.write()
    data.close()
    (folder / f"{DURATIONS}.1.json").write_text(json.dumps(seconds), "utf-8")
    combine(tree, folder)
