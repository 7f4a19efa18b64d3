"""Import one module of the package from a mutated source, in the processes that a test starts.

tests/mutants/trial.py copies this file to a folder as `sitecustomize.py`. The folder comes first in PYTHONPATH, and has
the file `mutant.json` with the module's path, and its `source`.
"""

from __future__ import annotations

import importlib.abc
import json
import os
import subprocess
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any


def save(folder: Path, path: Path, source: bytes) -> None:
    """Let the processes with this folder in PYTHONPATH import a source instead of the module's own."""
    (folder / "mutant.json").write_text(json.dumps(str(path)), "utf-8")
    (folder / "source").write_bytes(source)


def install(folder: Path) -> None:
    """Use the mutated source in this process, and in the Python processes that it starts."""
    if (folder / "mutant.json").exists():
        _mutate(json.loads((folder / "mutant.json").read_text("utf-8")), (folder / "source").read_bytes())
    start = subprocess.Popen._execute_child  # type: ignore[attr-defined]  # noqa: SLF001 - asyncio uses it too

    def execute(self: Any, *args: Any) -> Any:
        environ = args[6]  # the environment of a test often has another PYTHONPATH, or none
        if environ is not None:
            paths = [path for path in environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != str(folder)]
            environ = {**environ, "PYTHONPATH": os.pathsep.join([str(folder), *paths])}
        return start(self, *args[:6], environ, *args[7:])

    subprocess.Popen._execute_child = execute  # type: ignore[attr-defined]  # noqa: SLF001


def _mutate(path: str, source: bytes) -> None:
    original = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, fullname: str) -> CodeType | None:
        if not Path(self.path).samefile(path):
            return original(self, fullname)
        code: CodeType = importlib.abc.InspectLoader.source_to_code(source, self.path)
        return code

    SourceFileLoader.get_code = get_code  # type: ignore[assignment, method-assign]


if __name__ == "sitecustomize":
    install(Path(__file__).parent)
