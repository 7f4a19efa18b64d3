"""The pytest plugin: fixtures for the tests of a backend of Port's actions. See docs/how-to/test-a-backend.md.

pytest loads this module in every test suite that runs where port-hook is installed, so it imports nothing but pytest;
what the fixtures need is loaded by the first test that asks for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from port_hook_cli.pytest_plugin.hook import PortHook
    from port_hook_cli.pytest_plugin.runs import BackendResponse, PortRequest, Run, RunNotEnded
    from port_hook_cli.pytest_plugin.sandbox import PortSandbox
    from port_hook_cli.pytest_plugin.world import World

_PLACES = {
    "BackendResponse": "runs",
    "PortHook": "hook",
    "PortRequest": "runs",
    "PortSandbox": "sandbox",
    "Run": "runs",
    "RunNotEnded": "runs",
}
__all__ = ["BackendResponse", "PortHook", "PortRequest", "PortSandbox", "Run", "RunNotEnded"]

_BLOCKED = "A test tried to use socket"  # pytest-socket's words, in its exception and in its warning alike
_story = pytest.StashKey[Callable[[], str]]()


def __getattr__(name: str) -> Any:
    # The types for annotations; pytest does not ask for them.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's settings to pytest's configuration."""
    parser.addini("port_hook_actions", "actions that every test finds in the sandbox: files or folders", type="paths")
    parser.addini("port_hook_timeout", "seconds that a run may take to end", default="10")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Show with a test that failed what was sent and what the backend reported."""
    tell = item.stash.get(_story, None)
    if call.when == "call" and call.excinfo is not None and tell is not None and (story := tell()):
        item.add_report_section("call", "port-hook", story)


@pytest.fixture(scope="session")
def _port_hook_world(pytestconfig: pytest.Config) -> Iterator[World]:
    from port_hook_cli.pytest_plugin.world import running_world

    seconds = pytestconfig.getini("port_hook_timeout")
    try:
        timeout_s = float(seconds)
    except ValueError:
        raise pytest.UsageError(f"port_hook_timeout is {seconds!r}, and it is a number of seconds") from None
    try:
        with running_world(pytestconfig.getini("port_hook_actions"), timeout_s=timeout_s) as world:
            yield world
    except (RuntimeError, UserWarning) as error:
        if _BLOCKED not in str(error):
            raise
        words = "port_sandbox listens on 127.0.0.1, and pytest-socket keeps it from that"
        pytest.fail(f"{words}: run pytest with --allow-hosts=127.0.0.1", pytrace=False)


@pytest.fixture(scope="session")
def port_environ(_port_hook_world: World) -> dict[str, str]:
    """PORT_CLIENT_ID, PORT_CLIENT_SECRET and PORT_API_URL of the sandbox, for a backend that is started once."""
    return _port_hook_world.environ


@pytest.fixture
def port_sandbox(request: pytest.FixtureRequest, _port_hook_world: World) -> Iterator[PortSandbox]:
    """Port's API on 127.0.0.1, with no runs yet; its URL and credentials stay the same for the session."""
    from port_hook_cli.pytest_plugin.sandbox import PortSandbox

    sandbox = PortSandbox(_port_hook_world, folders=(request.path.parent, request.config.rootpath))
    request.node.stash[_story] = sandbox.story
    yield sandbox
    # What a backend reports from now on belongs to no test.
    _port_hook_world.start_anew()


@pytest.fixture
def port_hook(port_sandbox: PortSandbox) -> PortHook:
    """Port's side of an invocation: makes, signs and sends the requests of actions, and waits for their runs."""
    from port_hook_cli.pytest_plugin.hook import PortHook

    return PortHook(port_sandbox)
