from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from port_hook_cli.actions.retargeting import settable
from port_hook_cli.cli.app import main
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.retarget.journal import Journal
from port_hook_cli.runtime import Runtime
from port_hook_cli.sandbox import Sandbox
from port_hook_cli.workflows.retargeting import settable_workflow
from tests.conftest import Run
from tests.retargets import (
    ONE,
    MortalJournal,
    a_retargeting,
    a_workflow,
    an_action,
    journal_files,
    node_config,
    of_sandbox,
)
from tests.sandboxes import a_sandbox, environ_of
from tests.terminal_streams import on_a_terminal

NOTE = "note: 1 action or node still points to a listener that has stopped. Run port-hook restore.\n"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with a_sandbox(workflows=[a_workflow()]) as running:
        running.add_action(an_action())
        running.add_action(an_action("delete_vm"))
        yield running


def leave(sandbox: Sandbox, home: Path, identifiers: Sequence[str] = ("create_vm",)) -> MortalJournal:
    """Retarget actions like a listener, and leave it running until `die`."""
    journal = MortalJournal(home)

    async def listen() -> None:
        async with a_retargeting(home=home, journal=journal, **of_sandbox(sandbox)) as flow:
            await flow.prepare(identifiers)
            await flow.apply(ONE)

    asyncio.run(listen())
    return journal


def killed(sandbox: Sandbox, home: Path, identifiers: Sequence[str] = ("create_vm",)) -> None:
    leave(sandbox, home, identifiers).die()


def url(sandbox: Sandbox, identifier: str = "create_vm") -> str:
    return str(sandbox.actions[identifier]["invocationMethod"]["url"])


def test_restore_restores_the_actions_of_a_killed_listener(sandbox: Sandbox, home: Path, run: Run) -> None:
    before = {name: json.dumps(settable(action)) for name, action in sandbox.actions.items()}
    killed(sandbox, home, ["create_vm", "delete_vm"])
    result = run("restore", env=environ_of(sandbox))
    assert result.code == 0
    assert result.out == "Restored create_vm to https://example.com.\nRestored delete_vm to https://example.com.\n"
    assert {name: json.dumps(settable(action)) for name, action in sandbox.actions.items()} == before
    assert journal_files(home) == []
    again = run("restore", env=environ_of(sandbox))
    assert (again.code, again.out) == (0, "Nothing to restore.\n")


def test_restore_restores_only_the_named_action(sandbox: Sandbox, home: Path, run: Run) -> None:
    killed(sandbox, home, ["create_vm", "delete_vm"])
    result = run("restore", "delete_vm", env=environ_of(sandbox))
    assert (result.code, result.out) == (0, "Restored delete_vm to https://example.com.\n")
    assert url(sandbox) == ONE


def test_restore_of_something_else_is_an_error_that_lists_what_is_retargeted(
    sandbox: Sandbox, home: Path, run: Run
) -> None:
    assert (run("restore", "createvm").code, run("restore", "createvm").out) == (0, "Nothing to restore.\n")
    killed(sandbox, home, ["create_vm", "deploy_service#check"])
    for names, words in (
        (["createvm"], "createvm is"),
        (["create_vm", "deploy_service", "other"], "deploy_service, other are"),
    ):
        result = run("restore", *names, env=environ_of(sandbox))
        error = f"error: {words} not retargeted. Retargeted: create_vm, deploy_service#check.\n"
        assert (result.code, result.out, result.err) == (ExitCode.USAGE, "", error)
    assert url(sandbox) == ONE


def test_restore_restores_a_workflow_node_in_a_new_version(sandbox: Sandbox, home: Path, run: Run) -> None:
    before = json.dumps(settable_workflow(sandbox.workflows["deploy_service"]))
    killed(sandbox, home, ["deploy_service#check", "deploy_service#deploy"])
    dry = run("restore", "--dry-run", "deploy_service#check", env=environ_of(sandbox))
    assert dry.out == ("Would restore deploy_service#check to https://example.com, in a new version of the workflow.\n")
    first, second = run("restore", "--json", env=environ_of(sandbox)).records
    assert first == {
        "schema": "port-hook/restore/1",
        "kind": "workflow-node",
        "action": None,
        "workflow": "deploy_service",
        "node": "check",
        "api_url": sandbox.url,
        "outcome": "restored",
        "message": "Restored deploy_service#check to https://example.com, in version 4 of the workflow.",
        "version": 4,
        "dry_run": False,
    }
    assert (second["node"], second["version"]) == ("deploy", 5)
    assert json.dumps(settable_workflow(sandbox.workflows["deploy_service"])) == before
    assert journal_files(home) == []


def test_restore_tells_an_action_from_a_workflow_with_the_same_identifier(
    sandbox: Sandbox, home: Path, run: Run
) -> None:
    sandbox.add_action(an_action("deploy_service"))
    killed(sandbox, home, ["deploy_service", "deploy_service#check"])
    result = run("restore", "deploy_service", env=environ_of(sandbox))
    assert (result.code, result.out) == (0, "Restored deploy_service to https://example.com.\n")
    assert run("restore", "deploy_service#check", env=environ_of(sandbox)).code == 0
    assert journal_files(home) == []


def test_restore_overwrites_only_the_url_of_a_node_with_overwrite(sandbox: Sandbox, home: Path, run: Run) -> None:
    killed(sandbox, home, ["deploy_service#check"])
    sandbox.workflows["deploy_service"]["title"] = "Theirs"
    check = node_config(sandbox.workflows["deploy_service"], "check")
    check["url"] = "https://theirs.example"
    kept = run("restore", env=environ_of(sandbox))
    assert (kept.code, check["url"]) == (ExitCode.FAILED, "https://theirs.example")
    assert kept.err == (
        "Someone else changed deploy_service#check after the listener set it:\n"
        "  config.url\n"
        "    original:   https://example.com\n"
        f"    retargeted: {ONE}\n"
        "    now:        https://theirs.example\n"
    )
    assert run("restore", "--overwrite", env=environ_of(sandbox)).code == 0
    now = sandbox.workflows["deploy_service"]
    assert (now["title"], node_config(now, "check")) == ("Theirs", node_config(a_workflow(), "check"))


def test_restore_shows_the_original_url_and_the_file_when_the_node_was_removed(
    sandbox: Sandbox, home: Path, run: Run
) -> None:
    killed(sandbox, home, ["deploy_service#check"])
    del sandbox.workflows["deploy_service"]["nodes"][1]
    result = run("restore", "--overwrite", env=environ_of(sandbox))
    (file,) = [path for path in journal_files(home) if path.suffix == ".json"]
    assert result.code == ExitCode.FAILED
    assert result.out == (
        "deploy_service#check was not restored: it is no longer a WEBHOOK node of the workflow. "
        f"Its original URL was https://example.com. If it no longer needs to be restored, delete {file}.\n"
    )


def test_restore_shows_and_does_not_overwrite_the_change_of_another_user(
    sandbox: Sandbox, home: Path, run: Run
) -> None:
    rows: tuple[tuple[str, ...], ...] = ((), ("--yes",), ("--dry-run", "--overwrite"))
    killed(sandbox, home)
    sandbox.actions["create_vm"]["title"] = "Theirs"
    for flags in rows:
        result = run("restore", *flags, env=environ_of(sandbox))
        assert (url(sandbox), sandbox.actions["create_vm"]["title"]) == (ONE, "Theirs")
        assert "title\n    original:   Create VM\n    retargeted: Create VM\n    now:        Theirs\n" in result.err
        assert Journal(home).count_leftovers() == 1
        if "--overwrite" not in flags:
            assert result.code == ExitCode.FAILED
            assert str(journal_files(home)[0]) in result.out


def test_restore_only_deletes_the_entry_when_the_action_was_restored_by_hand(
    sandbox: Sandbox, home: Path, run: Run
) -> None:
    original = sandbox.actions["create_vm"]
    killed(sandbox, home)
    sandbox.actions["create_vm"] = original
    result = run("restore", env=environ_of(sandbox))
    assert (result.code, result.out) == (0, "create_vm already has its original URL.\n")
    assert sandbox.actions["create_vm"] is original
    assert journal_files(home) == []


def test_restore_does_not_change_an_action_of_another_organization(sandbox: Sandbox, home: Path, run: Run) -> None:
    killed(sandbox, home)
    sandbox.actions["create_vm"]["id"] = "action_of_another_organization"
    result = run("restore", "--overwrite", env=environ_of(sandbox))
    assert result.code == ExitCode.FAILED
    assert "another organization" in result.out
    assert url(sandbox) == ONE


def test_restore_exits_7_when_port_rejects_the_credentials_or_the_action_is_gone(
    sandbox: Sandbox, home: Path, run: Run
) -> None:
    killed(sandbox, home)
    kept = sandbox.actions.pop("create_vm")
    result = run("restore", env=environ_of(sandbox))
    assert result.code == ExitCode.PORT_API
    assert "Port has no action or automation create_vm." in result.out
    sandbox.actions["create_vm"] = kept
    wrong = run("restore", env={**environ_of(sandbox), "PORT_CLIENT_SECRET": "wrong"})
    assert wrong.code == ExitCode.PORT_API
    assert "401" in wrong.out
    assert Journal(home).count_leftovers() == 1


def test_restore_exits_1_when_the_settings_are_for_another_api(sandbox: Sandbox, home: Path, run: Run) -> None:
    killed(sandbox, home)
    with a_sandbox() as other:
        result = run("restore", env=environ_of(other))
    assert result.code == ExitCode.FAILED
    assert f"belongs to {sandbox.url}" in result.out
    assert Journal(home).count_leftovers() == 1


def test_restore_ignores_the_actions_of_a_running_listener(sandbox: Sandbox, home: Path, run: Run) -> None:
    journal = leave(sandbox, home)
    result = run("restore", "--overwrite", env=environ_of(sandbox))
    assert (result.code, url(sandbox)) == (0, ONE)
    assert "create_vm is in use by a running listener, which restores it when it ends" in result.err
    assert run("restore", "create_vm", env=environ_of(sandbox)).code == ExitCode.FAILED
    assert "note" not in run("show", "last").err
    journal.die()
    assert run("show", "last").err.startswith(NOTE)


def test_every_command_but_restore_and_help_prints_a_note_about_unrestored_actions(
    sandbox: Sandbox, home: Path, run: Run
) -> None:
    killed(sandbox, home)
    assert run("show", "last").err.startswith(NOTE)
    assert run("sign", "-", stdin=b"{}", env=environ_of(sandbox)).err == NOTE
    assert "note" not in run("show", "--help").err + run("--help").err + run("--version").err
    assert "note" not in run("restore", env=environ_of(sandbox)).err
    assert "note" not in run("show", "last").err


def test_restore_error_shows_a_damaged_journal_entry(home: Path, sandbox: Sandbox, run: Run) -> None:
    killed(sandbox, home)
    journal_files(home)[0].write_text("{")
    result = run("restore", env=environ_of(sandbox))
    assert (result.code, result.out) == (ExitCode.STORE, "")
    assert str(journal_files(home)[0]) in result.err


def ask(runtime: Callable[..., Runtime], sandbox: Sandbox, answers: bytes, *flags: str) -> tuple[int, str]:
    """Run `restore` on a terminal and type `answers`. Return the exit code and stdout."""
    with on_a_terminal(runtime(env=environ_of(sandbox))) as (world, person):
        os.write(person, answers)
        code = main(("restore", *flags), world)
    world.stdout.seek(0)
    return code, world.stdout.read()


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are POSIX")
def test_restore_asks_again_before_it_overwrites_the_change_of_another_user(
    sandbox: Sandbox, home: Path, runtime: Callable[..., Runtime]
) -> None:
    killed(sandbox, home)
    sandbox.actions["create_vm"]["title"] = "Theirs"
    for answers in (b"n\n", b"\x04", b"\n\n"):
        assert (ask(runtime, sandbox, answers)[0], url(sandbox)) == (1, ONE)
    assert ask(runtime, sandbox, b"\ny\n")[0] == 0
    assert url(sandbox) != ONE


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are POSIX")
def test_restore_yes_does_not_ask(sandbox: Sandbox, home: Path, runtime: Callable[..., Runtime]) -> None:
    killed(sandbox, home)
    assert ask(runtime, sandbox, b"", "--yes") == (0, "Restored create_vm to https://example.com.\n")
