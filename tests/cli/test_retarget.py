from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from port_hook_cli.actions.retargeting import settable
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.errors import RetargetError
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.retarget.entry import Outcome, PlannedChange
from port_hook_cli.retarget.flow import Retargeting
from port_hook_cli.retarget.session import retargeted
from port_hook_cli.retarget.view import outcome_lines, planned_lines
from port_hook_cli.runtime import Runtime
from port_hook_cli.sandbox import Sandbox
from port_hook_cli.terminal.prompts import asker
from tests.conftest import Run
from tests.retargets import ONE, TWO, a_workflow, an_action, journal_files
from tests.sandboxes import a_sandbox, environ_of, sandbox_with
from tests.terminal_streams import on_a_terminal

ORIGINAL = "https://example.com"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with sandbox_with(workflows=[a_workflow()]) as running:
        running.add_action(an_action())
        yield running


def settings_of(sandbox: Sandbox) -> Settings:
    return Settings(client_id=sandbox.client_id, client_secret=sandbox.client_secret, api_url=sandbox.url)


@asynccontextmanager
async def retargeting(
    name: str,
    settings: Settings,
    runtime: Runtime,
    told: list[str],
    ask: Callable[[str], Awaitable[bool]] | None = None,
) -> AsyncIterator[Retargeting]:
    """Retarget an action or a node like `listen`. Without `ask`, it is like `listen --yes`."""

    async def confirm(changes: Sequence[PlannedChange]) -> bool:
        told.extend(planned_lines(changes))
        return ask is None or await ask("\n".join(told))

    def on_event(event: Outcome | str) -> None:
        told.extend([event] if isinstance(event, str) else outcome_lines(event))

    access = PortAccess.known(settings, runtime)
    async with retargeted([name], access, runtime, ONE, confirm=confirm, on_event=on_event) as running:
        yield running


def url(sandbox: Sandbox) -> str:
    return str(sandbox.actions["create_vm"]["invocationMethod"]["url"])


async def test_retargeted_actions_get_each_url_and_are_restored_with_a_notice_for_each_step(
    sandbox: Sandbox, runtime: Callable[..., Runtime]
) -> None:
    before = json.dumps(settable(sandbox.actions["create_vm"]))
    told: list[str] = []
    async with retargeting("create_vm", settings_of(sandbox), runtime(), told) as flow:
        assert url(sandbox) == ONE
        await flow.apply(TWO)
        assert url(sandbox) == TWO
    assert json.dumps(settable(sandbox.actions["create_vm"])) == before
    assert told == [
        "create_vm:",
        f"  invocationMethod.url: {ORIGINAL} -> {ONE}",
        "  invocationMethod.agent: true -> false",
        f"Restored create_vm to {ORIGINAL}.",
    ]


def test_retarget_of_a_workflow_lists_its_nodes(run: Run) -> None:
    with a_sandbox(workflows=[a_workflow()]) as running:
        options = ("--port", "0", "--tunnel", "none", "--retarget", "deploy_service", "--yes")
        result = run("listen", *options, env=environ_of(running))
        unknown = run("listen", *options[:-2], "nothing", "--yes", env=environ_of(running))
    assert "deploy_service is a workflow, and --retarget changes the URL of one of its WEBHOOK nodes." in result.err
    assert (
        "hint: Specify the node: --retarget deploy_service#NODE. Its WEBHOOK nodes: deploy_service#check" in result.err
    )
    assert "Port has no action or automation nothing." in unknown.err


def test_listen_retargets_an_action_to_its_local_url_if_ports_api_is_on_this_machine(run: Run) -> None:
    with a_sandbox(actions=[an_action()]) as running:
        options = ("--port", "0", "--stop-after", "0", "--retarget", "create_vm", "--yes")
        result = run("listen", *options, env=environ_of(running))
        assert url(running) == ORIGINAL
    assert result.code == ExitCode.OK
    assert f"  invocationMethod.url: {ORIGINAL} -> http://127.0.0.1:" in result.err
    assert f"Restored create_vm to {ORIGINAL}." in result.err


async def test_listen_restores_the_action_however_it_ends(sandbox: Sandbox, runtime: Callable[..., Runtime]) -> None:
    rows: tuple[type[BaseException], ...] = (ZeroDivisionError, asyncio.CancelledError, KeyboardInterrupt)
    for problem in rows:
        with pytest.raises(problem):
            async with retargeting("create_vm", settings_of(sandbox), runtime(), []):
                raise problem
        assert url(sandbox) == ORIGINAL


async def test_listen_shows_the_change_of_another_user_and_the_restore_command(
    sandbox: Sandbox, runtime: Callable[..., Runtime]
) -> None:
    told: list[str] = []
    async with retargeting("create_vm", settings_of(sandbox), runtime(), told):
        sandbox.actions["create_vm"]["title"] = "Theirs\x1b[2J"
    assert url(sandbox) == ONE
    assert "    now:        Theirs\\x1b[2J" in told
    assert told[-1] == "To undo or accept this change: port-hook restore create_vm"


def test_listen_rejects_retarget_without_a_terminal(run: Run) -> None:
    environ = {"PORT_CLIENT_ID": "i", "PORT_CLIENT_SECRET": "s", "PORT_API_URL": "http://127.0.0.1:1"}
    result = run("listen", "--port", "0", "--tunnel", "none", "--retarget", "create_vm", env=environ)
    assert result.code == ExitCode.USAGE
    assert "port-hook cannot ask for confirmation because this is not a terminal." in result.err
    assert "--yes" in result.err


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are POSIX")
@pytest.mark.parametrize(("typed", "agreed"), [(b"y\n", True), (b"\n", False), (b"\x04", False)])
async def test_retargeting_shows_the_changes_and_asks_on_a_terminal(
    sandbox: Sandbox, runtime: Callable[..., Runtime], typed: bytes, agreed: bool
) -> None:
    with on_a_terminal(runtime()) as (world, person):
        os.write(person, typed)
        try:
            async with retargeting("create_vm", settings_of(sandbox), world, [], asker(world)):
                assert agreed
                assert url(sandbox) == ONE
        except RetargetError:
            assert not agreed
        shown, wanted = "", f"invocationMethod.url: {ORIGINAL} -> {ONE}"
        while wanted not in shown:  # the terminal's echo of the input may arrive separately, before it
            shown += os.read(person, 65536).decode()
    assert url(sandbox) == ORIGINAL


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are POSIX")
async def test_retargeting_changes_nothing_when_it_is_interrupted_at_the_prompt(
    sandbox: Sandbox, runtime: Callable[..., Runtime], tmp_path: Path
) -> None:
    with on_a_terminal(runtime()) as (world, person):

        async def listen() -> None:
            async with retargeting("create_vm", settings_of(sandbox), world, [], asker(world)):
                pytest.fail("nobody said yes")

        asked = asyncio.Event()
        asyncio.get_running_loop().add_reader(person, asked.set)
        listening = asyncio.create_task(listen())
        await asked.wait()
        asyncio.get_running_loop().remove_reader(person)
        listening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listening
    assert url(sandbox) == ORIGINAL
    assert journal_files(tmp_path / "home") == []
