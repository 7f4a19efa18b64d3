from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from port_hook_cli.actions.retargeting import settable
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.errors import RetargetError, SettingsError, UsageError
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.retarget.session import retargeted
from port_hook_cli.runtime import Runtime
from port_hook_cli.sandbox import Sandbox
from tests.conftest import Run
from tests.retargets import ONE, TWO, a_workflow, an_action, journal_files, node_config

ORIGINAL = "https://example.com"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox.start(workflows=[a_workflow()]) as running:
        running.add_action(an_action())
        yield running


def settings_of(sandbox: Sandbox) -> Settings:
    return Settings(client_id=sandbox.client_id, client_secret=sandbox.client_secret, api_url=sandbox.url)


def url(sandbox: Sandbox) -> str:
    return str(sandbox.actions["create_vm"]["invocationMethod"]["url"])


async def test_retargeted_actions_get_each_url_and_are_restored_with_a_notice_for_each_step(
    sandbox: Sandbox, runtime: Callable[..., Runtime]
) -> None:
    before = json.dumps(settable(sandbox.actions["create_vm"]))
    told: list[str] = []
    async with retargeted(
        ["create_vm"], settings_of(sandbox), runtime(), ONE, yes=True, notice=told.append
    ) as retargeting:
        assert url(sandbox) == ONE
        await retargeting.apply(TWO)
        assert url(sandbox) == TWO
    assert json.dumps(settable(sandbox.actions["create_vm"])) == before
    assert told == [
        "create_vm:",
        f"  invocationMethod.url: {ORIGINAL} -> {ONE}",
        "  invocationMethod.agent: true -> false",
        f"create_vm is restored to {ORIGINAL}",
    ]


async def test_a_workflow_node_follows_the_url_and_is_restored_in_a_new_version(
    sandbox: Sandbox, runtime: Callable[..., Runtime]
) -> None:
    told: list[str] = []
    async with retargeted(
        ["deploy_service#deploy"], settings_of(sandbox), runtime(), ONE, yes=True, notice=told.append
    ) as retargeting:
        await retargeting.apply(TWO)
        assert node_config(sandbox.workflows["deploy_service"], "deploy")["url"] == TWO
    assert node_config(sandbox.workflows["deploy_service"], "deploy")["url"] == ORIGINAL
    assert told == [
        "deploy_service#deploy:",
        f"  config.url: {ORIGINAL} -> {ONE}",
        "  (makes a new version of the workflow, and another one when the listener ends)",
        f"deploy_service#deploy is restored to {ORIGINAL}, in version 4 of the workflow",
    ]


def test_listen_refuses_an_incomplete_node_before_it_calls_port(run: Run) -> None:
    environ = {"PORT_CLIENT_ID": "i", "PORT_CLIENT_SECRET": "s", "PORT_API_URL": "http://127.0.0.1:1"}
    result = run("listen", "--port", "0", "--tunnel", "none", "--retarget", "deploy_service#", "--yes", env=environ)
    assert result.code == ExitCode.USAGE
    assert "--retarget deploy_service# names no action and no workflow node." in result.err


@pytest.mark.parametrize(
    ("api_url", "problem"),
    [
        ("http://[0:0:0:0:0:0:0:1]:1", "could not be reached"),
        ("https://localhost.:1", "--retarget needs a public URL"),
    ],
)
def test_retarget_uses_the_local_url_only_if_ports_api_is_on_this_machine(run: Run, api_url: str, problem: str) -> None:
    environ = {"PORT_CLIENT_ID": "i", "PORT_CLIENT_SECRET": "s", "PORT_API_URL": api_url}
    result = run("listen", "--port", "0", "--tunnel", "none", "--retarget", "create_vm", "--yes", env=environ)
    assert problem in result.err


@pytest.mark.parametrize("problem", [ZeroDivisionError, asyncio.CancelledError, KeyboardInterrupt])
async def test_listen_restores_the_action_however_it_ends(
    sandbox: Sandbox, runtime: Callable[..., Runtime], problem: type[BaseException]
) -> None:
    with pytest.raises(problem):
        async with retargeted(["create_vm"], settings_of(sandbox), runtime(), ONE, yes=True, notice=print):
            raise problem
    assert url(sandbox) == ORIGINAL


async def test_listen_shows_the_change_of_another_user_and_the_restore_command(
    sandbox: Sandbox, runtime: Callable[..., Runtime]
) -> None:
    told: list[str] = []
    async with retargeted(["create_vm"], settings_of(sandbox), runtime(), ONE, yes=True, notice=told.append):
        sandbox.actions["create_vm"]["title"] = "Theirs\x1b[2J"
    assert url(sandbox) == ONE
    assert "    now:        Theirs\\x1b[2J" in told
    assert told[-1] == "To undo this or to keep it: port-hook restore create_vm"


async def test_listen_names_the_original_url_and_what_to_do_when_the_node_was_removed(
    sandbox: Sandbox, runtime: Callable[..., Runtime]
) -> None:
    told: list[str] = []
    async with retargeted(["deploy_service#check"], settings_of(sandbox), runtime(), ONE, yes=True, notice=told.append):
        del sandbox.workflows["deploy_service"]["nodes"][1]
    message, next_step = told[-2:]
    assert message.startswith("deploy_service#check is no longer a WEBHOOK node of the workflow and is not restored;")
    assert message.endswith(f"; its original URL was {ORIGINAL}")
    assert next_step == "To try again: port-hook restore deploy_service#check"


async def test_retargeting_changes_nothing_when_no_one_can_confirm(
    sandbox: Sandbox, runtime: Callable[..., Runtime]
) -> None:
    with pytest.raises(UsageError) as problem:
        async with retargeted(["create_vm"], settings_of(sandbox), runtime(), ONE, yes=False, notice=print):
            pytest.fail("nobody was asked")
    assert "--yes" in problem.value.hint
    assert url(sandbox) == ORIGINAL


async def test_retargeting_fails_when_a_credential_is_missing(
    sandbox: Sandbox, runtime: Callable[..., Runtime]
) -> None:
    settings = replace(settings_of(sandbox), client_id=None)
    with pytest.raises(SettingsError):
        async with retargeted(["create_vm"], settings, runtime(), ONE, yes=True, notice=print):
            pytest.fail("there is no client id")


@contextmanager
def on_a_terminal(runtime: Runtime) -> Iterator[tuple[Runtime, int]]:
    """Give a runtime whose stdin and stderr are a terminal, and the side of it where somebody sits."""
    ours, theirs = os.openpty()
    with os.fdopen(os.dup(theirs), "rb", buffering=0) as stdin, os.fdopen(theirs, "w") as stderr:
        yield replace(runtime, stdin=stdin, stderr=stderr), ours
    os.close(ours)


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are POSIX")
@pytest.mark.parametrize(("typed", "agreed"), [(b"y\n", True), (b"\n", False), (b"no\n", False), (b"\x04", False)])
async def test_retargeting_shows_the_changes_and_asks_on_a_terminal(
    sandbox: Sandbox, runtime: Callable[..., Runtime], typed: bytes, agreed: bool
) -> None:
    with on_a_terminal(runtime()) as (world, person):
        os.write(person, typed)
        try:
            async with retargeted(["create_vm"], settings_of(sandbox), world, ONE, yes=False, notice=print):
                assert agreed
                assert url(sandbox) == ONE
        except RetargetError:
            assert not agreed
        shown, wanted = "", f"invocationMethod.url: {ORIGINAL} -> {ONE}"
        while wanted not in shown:  # the terminal's echo of what was typed may come by itself, before it
            shown += os.read(person, 65536).decode()
    assert url(sandbox) == ORIGINAL


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are POSIX")
async def test_retargeting_changes_nothing_when_it_is_interrupted_at_the_prompt(
    sandbox: Sandbox, runtime: Callable[..., Runtime], tmp_path: Path
) -> None:
    with on_a_terminal(runtime()) as (world, person):

        async def listen() -> None:
            async with retargeted(["create_vm"], settings_of(sandbox), world, ONE, yes=False, notice=print):
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
