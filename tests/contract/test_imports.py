"""`--help` and `sign` start fast because they import little, as real processes show. No modules import each other."""

from __future__ import annotations

import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

from port_hook_cli.text.secret import Secret
from tests.factories import a_body, an_exchange, an_invocation, signed
from tests.processes import environment_without_coverage
from tests.stores import keep

HEAVY = {
    "aiohttp",
    "asyncio",
    "asyncssh",
    "cryptography",
    "dotenv",
    "httpx",
    "mcp",
    "pydantic",
    "pyngrok",
    "rich",
    "sqlite3",
    "tomllib",
    "yaml",
}


def imported(folder: Path, *arguments: str, stdin: bytes = b"") -> set[str]:
    """Return the top-level packages that a run of port-hook imports."""
    environ = {**environment_without_coverage(), "PORT_CLIENT_SECRET": "a-secret", "HOME": str(folder)}
    process = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "port_hook_cli", *arguments],
        input=stdin, capture_output=True, check=True, timeout=30, cwd=folder, env=environ,
    )  # fmt: skip
    lines = [line for line in process.stderr.decode().splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("sign", "--help"), ("sign", "-"), ("sign", "-", "--format", "curl")]
)
def test_light_command_imports_no_heavy_library(folder: Path, arguments: tuple[str, ...]) -> None:
    packages = imported(folder, *arguments, stdin=b"{}")
    assert "typer" in packages
    assert packages & HEAVY == set()


@pytest.mark.parametrize("arguments", [("show", "last"), ("captures",), ("verify", "last")])
def test_command_that_reads_captures_imports_no_heavy_library_but_sqlite3(
    folder: Path, arguments: tuple[str, ...]
) -> None:
    body = a_body()
    keep(folder, an_exchange(an_invocation(body, headers=signed(body, secret=Secret("a-secret")))))
    assert imported(folder, *arguments) & HEAVY == {"sqlite3"}


def test_dotenv_file_without_settings_does_not_import_dotenv(folder: Path) -> None:
    (folder / ".env").write_text("DATABASE_URL=x\n")
    assert "dotenv" not in imported(folder, "sign", "-", stdin=b"{}")


@pytest.mark.parametrize(("text", "is_imported"), [("[tool.port-hook.sign]", True), ("['port-hook']", False)])
def test_pyproject_is_parsed_only_with_the_table_of_port_hook(folder: Path, text: str, *, is_imported: bool) -> None:
    (folder / "pyproject.toml").write_text(text)
    assert ("tomllib" in imported(folder, "sign", "-", stdin=b"{}")) is is_imported


def test_imported_packages_are_detected(folder: Path) -> None:
    (folder / ".env").write_text("PORT_HOOK_SIGN_TIMESTAMP=17\n")
    assert "dotenv" in imported(folder, "sign", "-", stdin=b"{}")


def test_no_modules_import_each_other_in_a_circle() -> None:
    # Imports for types count: a reader follows them too.
    graph = grimp.build_graph("port_hook_cli")
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imports) > 300
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as found:
        pytest.fail(" imports ".join(reversed(found.args[1])))
