from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.actions.retargeting import settable
from port_hook_cli.errors import PortApiError, PortHookError, RetargetError
from port_hook_cli.retarget.entry import End, Outcome
from port_hook_cli.retarget.flow import Retargeting
from port_hook_cli.retarget.journal import Journal
from port_hook_cli.retarget.view import planned_lines, restore_message
from port_hook_cli.sandbox import Sandbox
from port_hook_cli.text.secret import Secret
from tests.flaky_port import Fault, FlakyPort
from tests.retargets import (
    ONE,
    TWO,
    MortalJournal,
    a_retargeting,
    a_workflow,
    an_action,
    journal_files,
    of_sandbox,
    retarget,
)

CHECK = "deploy_service#check"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox.start() as running:
        running.add_action(an_action())
        running.add_action(an_action("delete_vm", agent=False))
        yield running


@asynccontextmanager
async def retargeting(sandbox: Sandbox, home: Path, **options: Any) -> AsyncIterator[Retargeting]:
    async with a_retargeting(home=home, **of_sandbox(sandbox), **options) as made:
        yield made


@asynccontextmanager
async def flaky_port(*script: Fault | None) -> AsyncIterator[FlakyPort]:
    """Run a Port with an action and a workflow to retarget. It fails as scripted."""
    async with FlakyPort(script).serve() as port:
        port.actions["create_vm"] = {"id": "a", **an_action()}
        port.workflows["deploy_service"] = a_workflow()
        yield port


def documents(port: FlakyPort) -> str:
    return json.dumps([port.actions, port.workflows])


def text(sandbox: Sandbox, identifier: str = "create_vm") -> str:
    return json.dumps(settable(sandbox.actions[identifier]))


def method(sandbox: Sandbox, identifier: str = "create_vm") -> dict[str, Any]:
    found: dict[str, Any] = sandbox.actions[identifier]["invocationMethod"]
    return found


async def test_actions_get_each_url_and_are_restored_at_the_end(sandbox: Sandbox, tmp_path: Path) -> None:
    before = {identifier: text(sandbox, identifier) for identifier in ("create_vm", "delete_vm")}
    reported: list[Outcome] = []
    async with retargeting(sandbox, tmp_path, on_outcome=reported.append) as flow:
        await flow.prepare(["create_vm", "delete_vm", "create_vm"])
        assert journal_files(tmp_path)[0].suffix == ".lock"
        assert planned_lines(flow.changes(ONE)) == [
            "create_vm:",
            f"  invocationMethod.url: https://example.com -> {ONE}",
            "  invocationMethod.agent: true -> false",
            "delete_vm:",
            f"  invocationMethod.url: https://example.com -> {ONE}",
        ]
        for url in (ONE, TWO, ONE):
            await flow.apply(url)
            assert {method(sandbox, identifier)["url"] for identifier in before} == {url}
            assert not method(sandbox)["agent"]
        ends = [outcome.end for outcome in await flow.restore()]
        assert ends == [End.RESTORED, End.RESTORED] == [outcome.end for outcome in reported]
        assert [outcome.end for outcome in await flow.restore()] == ends
    assert {identifier: text(sandbox, identifier) for identifier in before} == before
    assert journal_files(tmp_path) == []


async def test_journal_has_original_and_url_before_port_is_changed(tmp_path: Path) -> None:
    async with (
        flaky_port(None, None, Fault(status=422)) as port,
        a_retargeting(port.url, tmp_path, client_secret=Secret("a-secret-of-the-test")) as flow,
    ):
        await flow.prepare(["create_vm"])
        with pytest.raises(PortApiError) as problem:
            await flow.apply(ONE)
        (kept,) = Journal(tmp_path).kept()
        assert kept.entry is not None
        assert (kept.entry.original, kept.entry.urls) == (port.actions["create_vm"], (ONE,))
        saved = b"".join(path.read_bytes() for path in journal_files(tmp_path))
        assert not [text for text in ("a-secret-of-the-test", "token-") if text.encode() in saved]
        assert "create_vm" in problem.value.message


@pytest.mark.parametrize("fault", [Fault(status=503, after=True), Fault(lose=True, after=True)])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("create_vm", "Restored create_vm to https://example.com."),
        (CHECK, f"Restored {CHECK} to https://example.com, in a new version of the workflow."),
    ],
)
async def test_change_with_a_lost_response_is_restored(tmp_path: Path, name: str, message: str, fault: Fault) -> None:
    async with flaky_port(None, None, fault, None, None, fault) as port, a_retargeting(port.url, tmp_path) as flow:
        original = documents(port)
        await retarget(flow, name)
        assert documents(port).count(ONE) == 1
        (outcome,) = await flow.restore()
        assert (outcome.end, restore_message(outcome)) == (End.RESTORED, message)
        assert documents(port) == original


@pytest.mark.parametrize(
    ("name", "status", "at_put", "expected"),
    [
        ("create_vm", 401, False, "401"),
        ("create_vm", 404, False, "has no action"),
        ("create_vm", 403, True, "have no permission to change the action create_vm"),
        (CHECK, 404, False, "Port has no workflow deploy_service."),
        (CHECK, 403, True, "have no permission to change the workflow deploy_service"),
        (CHECK, 422, True, "Port does not accept the changed workflow deploy_service."),
    ],
)
async def test_retargeting_leaves_no_entry_when_port_rejects_it(
    tmp_path: Path, name: str, status: int, at_put: bool, expected: str
) -> None:
    fault = Fault(status=status)
    script = (None, None, fault) if at_put else (fault, fault)  # a rejected token is replaced once
    async with flaky_port(*script) as port, a_retargeting(port.url, tmp_path) as flow:
        original = documents(port)
        with pytest.raises(PortApiError) as problem:
            await retarget(flow, name)
        assert [outcome.end for outcome in await flow.restore()] == [End.UNTOUCHED] * at_put
        assert documents(port) == original
    assert expected in problem.value.message
    assert problem.value.code == "port-api"
    assert problem.value.hint
    assert ("PUT" in {call.method for call in port.calls}) is at_put
    assert journal_files(tmp_path) == []


async def test_prepare_fails_for_all_actions_when_one_cannot_be_retargeted(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.add_action(an_action("templated", url="https://{{ .inputs.x }}"))
    sandbox.add_action({**an_action("kafka"), "invocationMethod": {"type": "KAFKA"}})
    async with retargeting(sandbox, tmp_path) as flow:
        with pytest.raises(RetargetError) as refusal:
            await flow.prepare(["create_vm", "templated", "kafka"])
        assert await flow.restore() == ()
    assert "templated computes its `url`" in refusal.value.message
    assert "kafka is invoked by KAFKA" in refusal.value.message
    assert method(sandbox)["url"] == "https://example.com"
    assert journal_files(tmp_path) == []


async def test_second_listener_is_rejected_until_the_first_has_ended(sandbox: Sandbox, tmp_path: Path) -> None:
    async with retargeting(sandbox, tmp_path) as first, retargeting(sandbox, tmp_path) as second:
        await retarget(first, "create_vm")
        with pytest.raises(RetargetError) as refusal:
            await second.prepare(["delete_vm", "create_vm"])
        assert "create_vm" in refusal.value.message
        assert await second.restore() == ()
        assert method(sandbox)["url"] == ONE
        await first.restore()
        async with retargeting(sandbox, tmp_path) as third:
            await third.prepare(["delete_vm", "create_vm"])
            await third.restore()
    assert journal_files(tmp_path) == []


async def test_restore_does_not_overwrite_the_change_of_someone_else(sandbox: Sandbox, tmp_path: Path) -> None:
    async with retargeting(sandbox, tmp_path) as flow:
        await retarget(flow, "create_vm")
        sandbox.actions["create_vm"]["title"] = "Theirs"
        (outcome,) = await flow.restore()
    assert (outcome.end, outcome.now) == (End.CHANGED, sandbox.actions["create_vm"])
    assert (method(sandbox)["url"], sandbox.actions["create_vm"]["title"]) == (ONE, "Theirs")
    assert Journal(tmp_path).count_leftovers() == 1


@pytest.mark.parametrize("restored", [False, True])
async def test_apply_does_not_overwrite_the_change_of_someone_else(
    sandbox: Sandbox, tmp_path: Path, restored: bool
) -> None:
    original = dict(sandbox.actions["create_vm"])
    async with retargeting(sandbox, tmp_path) as flow:
        await retarget(flow, "create_vm", "delete_vm")
        sandbox.actions["create_vm"] = original if restored else {**sandbox.actions["create_vm"], "title": "Theirs"}
        theirs = text(sandbox)
        with pytest.raises(RetargetError) as problem:
            await flow.apply(TWO)
        assert "create_vm has changed in Port" in problem.value.message
        assert (text(sandbox), method(sandbox, "delete_vm")["url"]) == (theirs, TWO)
        ends = {outcome.entry.identifier: outcome.end for outcome in await flow.restore()}
    assert ends == {"create_vm": End.UNTOUCHED if restored else End.CHANGED, "delete_vm": End.RESTORED}
    assert text(sandbox) == theirs


async def test_apply_does_not_overwrite_a_change_during_the_confirmation(sandbox: Sandbox, tmp_path: Path) -> None:
    async with retargeting(sandbox, tmp_path) as flow:
        await flow.prepare(["create_vm"])
        sandbox.actions["create_vm"]["title"] = "Theirs"
        with pytest.raises(RetargetError):
            await flow.apply(ONE)
        assert await flow.restore() == ()
    assert method(sandbox)["url"] == "https://example.com"
    assert journal_files(tmp_path) == []


async def test_restore_does_not_change_another_action_with_the_same_identifier(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    async with retargeting(sandbox, tmp_path) as flow:
        await retarget(flow, "create_vm")
        sandbox.actions["create_vm"]["id"] = "action_of_another_organization"
        (outcome,) = await flow.restore()
    assert outcome.end is End.ANOTHER
    assert method(sandbox)["url"] == ONE


async def test_leftover_of_a_killed_listener_is_restored_to_its_original(sandbox: Sandbox, tmp_path: Path) -> None:
    before = text(sandbox)
    mortal = MortalJournal(tmp_path)
    async with retargeting(sandbox, tmp_path, journal=mortal) as killed:
        await retarget(killed, "create_vm")
        mortal.die()
        async with retargeting(sandbox, tmp_path) as flow:
            await flow.prepare(["create_vm"])
            assert f"  invocationMethod.url: {ONE} -> {TWO}" in planned_lines(flow.changes(TWO))
            assert "is restored to https://example.com" in planned_lines(flow.changes(TWO))[-1]
            await flow.apply(TWO)
            await flow.restore()
    assert text(sandbox) == before
    assert journal_files(tmp_path) == []


async def test_prepare_rejects_a_changed_leftover(sandbox: Sandbox, tmp_path: Path) -> None:
    mortal = MortalJournal(tmp_path)
    async with retargeting(sandbox, tmp_path, journal=mortal) as killed:
        await retarget(killed, "create_vm")
        mortal.die()
        sandbox.actions["create_vm"]["title"] = "Theirs"
        async with retargeting(sandbox, tmp_path) as flow:
            with pytest.raises(RetargetError) as problem:
                await flow.prepare(["create_vm"])
    assert problem.value.hint == "Run `port-hook restore create_vm` first."
    assert Journal(tmp_path).count_leftovers() == 1


async def test_action_is_not_changed_when_it_already_has_the_url(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.add_action(an_action(url=ONE, agent=False))
    before = sandbox.actions["create_vm"]
    async with retargeting(sandbox, tmp_path) as flow:
        await flow.prepare(["create_vm"])
        assert planned_lines(flow.changes(ONE)) == ["create_vm already has the listener's URL"]
        await flow.apply(ONE)
        assert sandbox.actions["create_vm"] is before
        await flow.apply(TWO)
        assert method(sandbox)["url"] == TWO
        await flow.restore()
    assert text(sandbox) == json.dumps(settable(before))


async def test_canceled_change_is_finished_and_then_restored(tmp_path: Path) -> None:
    async with flaky_port() as port, a_retargeting(port.url, tmp_path) as flow:
        original = documents(port)
        await flow.prepare(["create_vm"])
        for steps in range(40):
            applying = asyncio.create_task(flow.apply(ONE if steps % 2 else TWO))
            for _ in range(steps):
                await asyncio.sleep(0)
            applying.cancel()
            with suppress(asyncio.CancelledError):
                await applying
        assert [outcome.end for outcome in await flow.restore()] in ([End.RESTORED], [End.UNTOUCHED])
        assert documents(port) == original
    assert journal_files(tmp_path) == []


async def test_restore_waits_for_a_change_in_progress(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with flaky_port(None, None, Fault(gate=gate)) as port, a_retargeting(port.url, tmp_path) as flow:
        original = documents(port)
        await flow.prepare(["create_vm"])
        applying = asyncio.create_task(flow.apply(ONE))
        await port.hanging.wait()
        applying.cancel()
        restoring = asyncio.create_task(flow.restore())
        with pytest.raises(asyncio.CancelledError):
            await applying
        asyncio.get_running_loop().call_later(0.1, gate.set)  # time for a too early call to Port
        assert [outcome.end for outcome in await restoring] == [End.RESTORED]
        assert documents(port) == original


async def test_apply_reports_the_problem_of_each_action(sandbox: Sandbox, tmp_path: Path) -> None:
    async with retargeting(sandbox, tmp_path) as flow:
        await flow.prepare(["create_vm", "delete_vm"])
        for action in sandbox.actions.values():
            action["title"] = "Theirs"
        with pytest.raises(RetargetError) as problem:
            await flow.apply(ONE)
        assert await flow.restore() == ()
        assert {call.split()[0] for call in problem.value.message.split(". ")} == {"create_vm", "delete_vm"}
        await flow.apply(ONE)
    assert method(sandbox)["url"] == "https://example.com"


async def test_restore_finishes_before_it_raises_a_cancellation(tmp_path: Path) -> None:
    async with flaky_port() as port, a_retargeting(port.url, tmp_path) as flow:
        original = documents(port)
        await retarget(flow, "create_vm")
        ending = asyncio.create_task(flow.restore())
        await asyncio.sleep(0)
        for _ in range(3):
            ending.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await ending
        assert documents(port) == original
    assert journal_files(tmp_path) == []


@pytest.mark.parametrize("at_put", [False, True])
async def test_restore_stops_after_its_timeout_and_keeps_the_entry(tmp_path: Path, at_put: bool) -> None:
    hang = Fault(hang=True)
    script = (None, None, hang) if at_put else (None, None, None, hang)
    async with flaky_port(*script) as port, a_retargeting(port.url, tmp_path) as flow:
        await flow.prepare(["create_vm"])
        applying = asyncio.create_task(flow.apply(ONE))
        if not at_put:
            await applying
        else:
            await port.hanging.wait()
        (outcome,) = await flow.restore(within_s=0.05)
        with suppress(asyncio.CancelledError, PortHookError):
            await applying
    assert outcome.end is End.FAILED
    assert "0.05 s" in str(outcome.problem)
    assert Journal(tmp_path).count_leftovers() == 1
