"""The pytest plugin: fixtures for testing a handler of actions in Port. See docs/test/pytest.md.

If port-hook is installed, pytest loads this module in every test suite. So the module imports only pytest. The first
test that uses a fixture loads the other modules.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from port_hook_cli.check.findings import CheckFinding, CheckReport
    from port_hook_cli.pytest_plugin.checks import HandlerCheckFailed, HandlerCheckWarning
    from port_hook_cli.pytest_plugin.hook import PortHook, PortHookCheck
    from port_hook_cli.pytest_plugin.runs import (
        HandlerResponse,
        PortRequest,
        Run,
        RunNotEnded,
        WorkflowNotEnded,
        WorkflowOutcome,
    )
    from port_hook_cli.pytest_plugin.sandbox import PortSandbox
    from port_hook_cli.pytest_plugin.world import World

_MODULES = {
    "HandlerResponse": "runs",
    "CheckFinding": "checks",
    "CheckReport": "checks",
    "HandlerCheckFailed": "checks",
    "HandlerCheckWarning": "checks",
    "PortHook": "hook",
    "PortHookCheck": "hook",
    "PortRequest": "runs",
    "PortSandbox": "sandbox",
    "Run": "runs",
    "RunNotEnded": "runs",
    "WorkflowNotEnded": "runs",
    "WorkflowOutcome": "runs",
}
__all__ = [
    "CheckFinding",
    "CheckReport",
    "HandlerCheckFailed",
    "HandlerCheckWarning",
    "HandlerResponse",
    "PortHook",
    "PortHookCheck",
    "PortRequest",
    "PortSandbox",
    "Run",
    "RunNotEnded",
    "WorkflowNotEnded",
    "WorkflowOutcome",
]

_BLOCKED = "A test tried to use socket"  # from the exception and the warning of pytest-socket
_FIXTURE = "port_hook_check"
_NEEDS_COMMAND = "secret-unset"  # a test starts the handler itself
_summary = pytest.StashKey[Callable[[], str]]()


def __getattr__(name: str) -> Any:
    # The types for annotations are imported when they are used.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's settings to pytest's configuration."""
    parser.addini("port_hook_actions", "actions in the sandbox of every test: files or directories", type="paths")
    parser.addini("port_hook_blueprints", "blueprints in the sandbox of every test: files or directories", type="paths")
    parser.addini("port_hook_strict", "reject entities that do not match their blueprints", type="bool", default=True)
    parser.addini("port_hook_timeout", "the timeout of a run in seconds", default="10")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Add the sent requests and the handler's reports to the report of a failed test."""
    summarize = item.stash.get(_summary, None)
    if call.excinfo is not None and call.excinfo.typename == "HandlerCheckFailed":
        return  # its message already shows the requests, and a check has many runs
    if call.when == "call" and call.excinfo is not None and summarize is not None and (summary := summarize()):
        item.add_report_section("call", "port-hook", summary)


@pytest.hookimpl(tryfirst=True)
def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Explain a failed comparison of the sandbox's secret without showing the secret."""
    world = sys.modules.get(f"{__name__}.world")  # without it, no test has the secret
    if world is None or (not isinstance(left, world.MaskedText) and not isinstance(right, world.MaskedText)):
        return None
    return [f"{left!r} {op} {right!r}"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses `port_hook_check` once for each check, unless the test itself chooses the checks."""
    if _FIXTURE not in metafunc.fixturenames or _chooses_checks(metafunc):
        return
    from port_hook_cli.check.catalog import BY_SLUG

    slugs = [slug for slug in BY_SLUG if slug != _NEEDS_COMMAND]
    metafunc.parametrize(_FIXTURE, slugs, ids=slugs, indirect=True)


def _chooses_checks(metafunc: pytest.Metafunc) -> bool:
    names = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize") if mark.args]
    return any(_FIXTURE in (each.replace(",", " ").split() if isinstance(each, str) else each) for each in names)


@pytest.fixture(scope="session")
def _port_hook_world(pytestconfig: pytest.Config) -> Iterator[World]:
    from port_hook_cli.pytest_plugin.world import Catalog, running_world
    from port_hook_cli.sandbox.definition_files import read_actions, read_blueprints

    timeout_s = _read_timeout(pytestconfig)
    try:
        catalog = Catalog(
            actions=_read_setting("port_hook_actions", read_actions, pytestconfig),
            blueprints=_read_setting("port_hook_blueprints", read_blueprints, pytestconfig),
            is_strict=pytestconfig.getini("port_hook_strict"),
        )
        with running_world(catalog, timeout_s=timeout_s) as world:
            yield world
    except (RuntimeError, UserWarning) as error:
        if _BLOCKED not in str(error):
            raise
        message = "port_sandbox listens on 127.0.0.1, which pytest-socket blocks"
        pytest.fail(f"{message}: run pytest with --allow-hosts=127.0.0.1", pytrace=False)


def _read_timeout(config: pytest.Config) -> float:
    """Return `port_hook_timeout` in seconds. If the setting is not a finite number, fail without a traceback."""
    seconds = config.getini("port_hook_timeout")
    with suppress(ValueError):
        if 0 <= (timeout_s := float(seconds)) < inf:
            return timeout_s
    pytest.fail(f"port_hook_timeout is {seconds!r}, but must be a number of seconds, 0 or more", pytrace=False)


def _read_setting(
    name: str, read: Callable[[list[Path]], list[dict[str, Any]]], config: pytest.Config
) -> list[dict[str, Any]]:
    """Return the definitions in the files of a setting. If they cannot be read, fail without a traceback."""
    from port_hook_cli.errors import UsageError

    try:
        return read(config.getini(name))
    except UsageError as error:
        place = f" in {config.inipath.name}" if config.inipath else ""
        hint = "Create it, or correct the setting." if isinstance(error.__cause__, FileNotFoundError) else error.hint
        message = f"{name}{place}: {error.message}{f'{chr(10)}hint: {hint}' if hint else ''}"
    pytest.fail(message, pytrace=False)  # outside of the except block, because pytest would show both exceptions


@pytest.fixture(scope="session")
def port_environ(_port_hook_world: World) -> dict[str, str]:
    """PORT_CLIENT_ID, PORT_CLIENT_SECRET and PORT_API_URL of the sandbox, for a handler of the whole session."""
    return _port_hook_world.environ


@pytest.fixture
def port_sandbox(request: pytest.FixtureRequest, _port_hook_world: World) -> Iterator[PortSandbox]:
    """Port's API on 127.0.0.1, without runs. The URL and the credentials stay the same for the session."""
    from port_hook_cli.pytest_plugin.sandbox import PortSandbox

    sandbox = PortSandbox(_port_hook_world, folders=(request.path.parent, request.config.rootpath))
    request.node.stash[_summary] = sandbox.summary
    yield sandbox
    # Later reports of a handler belong to no test.
    _port_hook_world.reset()


@pytest.fixture
def port_hook(port_sandbox: PortSandbox) -> PortHook:
    """Invoke actions like Port: make, sign and send requests, and wait for the runs of these requests."""
    from port_hook_cli.pytest_plugin.hook import PortHook

    return PortHook(port_sandbox)


@pytest.fixture
def port_hook_check(request: pytest.FixtureRequest, port_hook: PortHook) -> PortHookCheck:
    """Run one check of `port-hook check`.

    A test that uses this fixture runs once for each check, with the check's name.
    """
    from port_hook_cli.pytest_plugin.hook import PortHookCheck

    return PortHookCheck(port_hook, request.param)
