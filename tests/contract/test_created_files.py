"""The page about the store lists every place in which port-hook creates a file or folder, or sets a mode."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import port_hook_cli
from tests.documentation import ROOT as TREE

pytestmark = pytest.mark.once

ROOT = Path(port_hook_cli.__file__).parent
STORE, STATE, HOME = ".port-hook/captures.db", "sandbox --state FILE", "~/.port-hook"
OUTPUT, ENV, TOML = "--output FILE", "sandbox --env-file FILE", "port-hook.toml"
TEMPORARY = "temporary files"
# Module and call -> the row of the table. Several commands share a function, so a place can have several rows.
PLACES = {
    ("captures/database/files.py", "chmod"): {STORE, STATE},
    ("captures/database/files.py", "os.open"): {STORE},
    ("sandbox/state_file.py", "os.open"): {STATE},
    ("files/own_files.py", "mkdir"): {STORE, STATE, HOME},
    ("files/own_files.py", "os.open"): {HOME, ENV},
    ("reporting/kept_report.py", "mkdir"): {HOME},
    ("reporting/spool.py", "os.open"): {HOME},
    ("files/user_files.py", "os.open"): {OUTPUT},
    ("files/project_file.py", "os.open"): {TOML},
    ("cli/failures.py", "mkstemp"): {TEMPORARY},
    ("cli/demo.py", "TemporaryDirectory"): {TEMPORARY},
    ("cli/inspect.py", "TemporaryDirectory"): {TEMPORARY},
    ("terminal/programs.py", "mkstemp"): {TEMPORARY},
    ("tunnels/ngrok/supervisor.py", "mkdtemp"): {TEMPORARY},
    ("tunnels/ngrok/supervisor.py", "os.open"): {TEMPORARY},
}
CREATING = {
    *("chmod", "fchmod", "lchmod", "chown", "fchown", "umask", "mkdir", "makedirs", "mkdtemp", "mkstemp", "mkfifo"),
    *("TemporaryDirectory", "NamedTemporaryFile", "TemporaryFile", "touch", "write_text", "symlink", "symlink_to"),
}
_CALLED = re.compile(rf"\b({'|'.join([*CREATING, 'open', 'write_bytes'])})\s*\(")
MODES = {"mkdir": 0o700, "os.open": 0o600}


@cache
def calls() -> list[tuple[str, str, ast.Call]]:
    """Return the module, name and node of each call in the package that creates a file or folder, or sets a mode."""
    return list(_calls())


def _calls() -> Iterator[tuple[str, str, ast.Call]]:
    for file in sorted(ROOT.rglob("*.py")):
        source = file.read_text("utf-8")
        for node in ast.walk(ast.parse(source)) if _CALLED.search(source) else ():
            if isinstance(node, ast.Call) and (name := _name(node)):
                yield file.relative_to(ROOT).as_posix(), name, node


def _name(call: ast.Call) -> str:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name == "open" and ast.unparse(call.func) == "os.open":
        # Without a mode, it creates no file.
        return "os.open" if len(call.args) > 2 or "O_CREAT" in ast.unparse(call) else ""
    if name == "open" and any(_writes(argument) for argument in call.args) and "devnull" not in ast.unparse(call):
        return "open"
    is_bytes = name == "write_bytes" and isinstance(call.func, ast.Attribute)
    return name if name in CREATING or is_bytes else ""


def _writes(argument: ast.expr) -> bool:
    mode = argument.value if isinstance(argument, ast.Constant) else None
    return isinstance(mode, str) and len(mode) < 4 and bool(set(mode) & set("wax+"))


def test_files_are_created_and_modes_are_set_only_as_documented() -> None:
    assert {(module, name) for module, name, _ in calls()} == set(PLACES)


def test_folders_are_0700_and_files_0600() -> None:
    for module, name, call in calls():
        if name in MODES:
            (mode,) = [ast.literal_eval(each) for each in (*call.args[2:], *(given.value for given in call.keywords))]
            assert mode == (0o644 if module == "files/project_file.py" else MODES[name]), (module, ast.unparse(call))


def test_page_lists_the_files_and_folders() -> None:
    page = (TREE / "docs" / "reference" / "store.md").read_text("utf-8")
    table = page.partition("## Files that port-hook creates")[2].partition("\n## ")[0]
    rows = [line.split("|")[1].strip().strip("`") for line in table.splitlines() if line.startswith("|")][2:]
    assert set(rows) == set().union(*PLACES.values())
