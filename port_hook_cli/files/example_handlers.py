"""The example handlers that `init --handler` writes. The wheel contains the files of the clone's `examples`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from port_hook_cli.files.user_files import check_new_file, write_new_file


class ExampleHandler(NamedTuple):
    """The files of an example handler, and the commands to install its packages, start it on port 8000 and test it."""

    files: Sequence[str]
    install: str
    start: str
    test: str


_ACTION = "create_vm.yaml"
PATH = "/port/create-vm"
HANDLERS: Mapping[str, ExampleHandler] = {
    "fastapi": ExampleHandler(
        ("fastapi_handler.py", "test_fastapi_handler.py", _ACTION),
        "pip install fastapi uvicorn httpx",
        "uvicorn fastapi_handler:app --port 8000",
        "pytest test_fastapi_handler.py",
    ),
    "flask": ExampleHandler(
        ("flask_handler.py", "test_flask_handler.py", _ACTION),
        "pip install flask",
        "flask --app flask_handler run --port 8000",
        "pytest test_flask_handler.py",
    ),
    "express": ExampleHandler(
        ("server.js", "test_express_handler.py", _ACTION, "package.json"),
        "npm install",
        "node server.js 8000",
        "pytest test_express_handler.py",
    ),
    "node": ExampleHandler(
        ("server.mjs", "test_node_handler.py", _ACTION), "", "node server.mjs 8000", "pytest test_node_handler.py"
    ),
}
"""The handlers by name, which is also the name of their directory."""


def write_handler(name: str, *, cwd: Path) -> ExampleHandler:
    """Write an example handler to new files. Raises StoreError, before writing anything, if one of the files exists."""
    package = Path(__file__).parents[1]
    folders = (package / "examples", package.parent / "examples")  # in the wheel, in the clone
    folder = next(folder / name for folder in folders if (folder / name).is_dir())
    handler = HANDLERS[name]
    for file in handler.files:
        check_new_file(file, cwd=cwd)
    for file in handler.files:
        write_new_file(file, (folder / file).read_bytes(), cwd=cwd)
    return handler
