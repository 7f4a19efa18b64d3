"""Commands start fast because they import few modules, counted in real processes. No modules import each other."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

from port_hook_cli.text.secret import Secret
from tests.factories import a_body, a_capture, an_invocation, signed
from tests.processes import environment_without_coverage
from tests.servers import handler
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


LESS_HEAVY = {"http", "logging"}
ENCRYPTION = {"hashlib", "hmac", "ssl"}


def modules(folder: Path, *arguments: str, stdin: bytes = b"") -> set[str]:
    """Return the modules that a run of port-hook imports."""
    environ = {**environment_without_coverage(), "PORT_CLIENT_SECRET": "a-secret", "HOME": str(folder)}
    process = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "port_hook_cli", *arguments],
        input=stdin, capture_output=True, check=True, timeout=30, cwd=folder, env=environ,
    )  # fmt: skip
    lines = [line for line in process.stderr.decode().splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


@pytest.fixture(scope="module")
def of_help(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The modules that every command imports."""
    return modules(tmp_path_factory.mktemp("help"), "--help")


def packages_of(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def imported(folder: Path, *arguments: str, stdin: bytes = b"") -> set[str]:
    """Return the top-level packages that a run of port-hook imports."""
    return packages_of(modules(folder, *arguments, stdin=stdin))


@pytest.mark.parametrize("arguments", [("--version",), ("sign", "--help"), ("sign", "-", "--json")])
def test_light_command_imports_no_heavy_library(folder: Path, arguments: tuple[str, ...]) -> None:
    packages = imported(folder, *arguments, stdin=b"{}")
    assert "typer" in packages
    assert packages & HEAVY == set()


@pytest.mark.parametrize(
    ("arguments", "most", "unneeded"),
    [
        (("captures",), 34, HEAVY | LESS_HEAVY | ENCRYPTION),
        (("show", "last"), 33, HEAVY | LESS_HEAVY | ENCRYPTION),
        (("verify", "last"), 52, HEAVY | LESS_HEAVY | {"ssl"}),
        (("replay", "last", "--dry-run", "--to", "8000"), 68, HEAVY - {"asyncio"}),
    ],
)
def test_command_reading_captures_imports_only_used_modules(
    folder: Path, of_help: set[str], arguments: tuple[str, ...], most: int, unneeded: set[str]
) -> None:
    body = a_body()
    keep(folder, a_capture(an_invocation(body, headers=signed(body, secret=Secret("a-secret")))))
    added = modules(folder, *arguments) - of_help
    assert packages_of(added) & unneeded == {"sqlite3"}
    # Finding and loading a module takes 0.2 ms, and each class and pattern in it takes as long again.
    assert len([name for name in added if name.startswith("port_hook_cli.")]) <= most


def test_replay_of_a_payload_file_does_not_import_the_store(folder: Path) -> None:
    (folder / "payload.json").write_text("{}")
    with handler() as target:
        found = modules(folder, "replay", "payload.json", "--to", target.url)
    assert packages_of(found) & LIBRARIES == {"asyncio"}
    assert {name for name in found if name.startswith("port_hook_cli.captures.database.")} == set()


@pytest.mark.parametrize("command", ["captures", "show"])
def test_command_imports_neither_what_a_listener_prints_nor_other_commands(folder: Path, command: str) -> None:
    keep(folder, a_capture())
    found = modules(folder, command, *(["last"] if command == "show" else []))
    others = {"captures", "show"} - {command}
    unneeded = {"captures.view.capture", "signatures.own_code", "terminal.programs", "files.user_files", "text.remark"}
    unneeded |= {"captures.store.capture_store", "captures.database.resilient"}  # for programs that write to the store
    assert found & {f"port_hook_cli.{name}" for name in unneeded | {f"cli.{other}" for other in others}} == set()


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


LIBRARIES = HEAVY | {"attr", "confluent_kafka", "jq", "jsonschema", "keyring", "multidict", "referencing", "yarl"}
"""Libraries that a command may import only if its bound here allows them."""


ACTION = {
    "identifier": "create_vm",
    "trigger": {"type": "self-service", "userInputs": {"properties": {"cpu": {"type": "number", "minimum": 1}}}},
    "invocationMethod": {"type": "WEBHOOK", "url": "https://example.com", "body": {"cpu": "{{ .inputs.cpu }}"}},
}


def imported_until(folder: Path, arguments: Sequence[str], server: str) -> tuple[list[str], bool]:
    """Run a command that serves, until it has imported its `server`.

    Return the modules that it had imported before, and whether it had printed its URL by then.
    """
    environ = {**environment_without_coverage(), "PORT_CLIENT_SECRET": "a-secret", "HOME": str(folder)}
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "port_hook_cli", *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder, env=environ, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        has_url, found = False, list[tuple[str, int]]()
        for line in process.stdout:
            has_url = has_url or "http://127.0.0.1:" in line
            if line.startswith("import time:") and line.count("|") == 2:
                name = line.rpartition("|")[2][1:].rstrip()
                found.append((name.strip(), len(name) - len(name.lstrip())))
                if found[-1] == (server, 0):
                    break
        process.terminate()
        process.stdout.read()
    # A module is printed after the modules that it imports, which are indented.
    first = max(index for index, (_, depth) in enumerate(found[:-1]) if depth == 0) + 1
    return [name for name, _ in found[:first]], has_url


@pytest.mark.parametrize(
    ("arguments", "server", "libraries", "most"),
    [
        (("listen", "--port", "0"), "port_hook_cli.listener.server", {"asyncio", "sqlite3"}, 155),
        (("sandbox",), "aiohttp", {"asyncio"}, 135),
        (("inspect",), "port_hook_cli.inspector.server", {"asyncio", "sqlite3"}, 190),
    ],
)
def test_server_prints_its_url_before_it_imports_aiohttp(
    folder: Path, arguments: tuple[str, ...], server: str, libraries: set[str], most: int
) -> None:
    keep(folder, a_capture())
    modules, has_url = imported_until(folder, arguments, server)
    assert has_url
    assert {name.partition(".")[0] for name in modules} & LIBRARIES == libraries
    assert len([name for name in modules if name.startswith("port_hook_cli")]) <= most


def test_trigger_of_an_action_in_a_json_file_imports_no_heavy_library(folder: Path) -> None:
    (folder / "action.json").write_text(json.dumps(ACTION))
    with handler() as target:
        found = modules(folder, "trigger", "action.json", "--input", "cpu=2", "--to", target.url)
    assert packages_of(found) & (LIBRARIES | {"regex"}) == {"asyncio"}
    assert len([name for name in found if name.startswith("port_hook_cli")]) <= 103
