"""Retargeted and restored workflow nodes, with the sandbox's workflow routes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.errors import PortApiError, RetargetError, UsageError
from port_hook_cli.retarget.entry import End, Outcome
from port_hook_cli.retarget.flow import restore_entry
from port_hook_cli.retarget.journal import Journal
from port_hook_cli.retarget.view import planned_lines, restore_message
from port_hook_cli.sandbox import Sandbox
from port_hook_cli.workflows.retargeting import settable_workflow
from tests.flaky_port import Fault, FlakyPort
from tests.port_clients import port_client
from tests.retargets import (
    ONE,
    TWO,
    MortalJournal,
    a_retargeting,
    a_workflow,
    an_action,
    journal_files,
    node_config,
    of_sandbox,
    retarget,
)
from tests.sandboxes import sandbox_with

ORIGINAL = "https://example.com"
CHECK, DEPLOY = "deploy_service#check", "deploy_service#deploy"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with sandbox_with(workflows=[a_workflow()]) as running:
        yield running


def workflow(sandbox: Sandbox) -> dict[str, Any]:
    return sandbox.workflows["deploy_service"]


def text(sandbox: Sandbox) -> str:
    return json.dumps(settable_workflow(workflow(sandbox)))


def urls(sandbox: Sandbox) -> tuple[str, str]:
    check, deploy = (node_config(workflow(sandbox), node)["url"] for node in ("check", "deploy"))
    return check, deploy


async def left_behind(sandbox: Sandbox, home: Path, *names: str) -> None:
    """Retarget nodes to ONE like a killed listener."""
    mortal = MortalJournal(home)
    async with a_retargeting(home=home, journal=mortal, **of_sandbox(sandbox)) as flow:
        await retarget(flow, *names)
    mortal.die()


async def test_nodes_get_each_url_and_are_restored_in_a_new_version(sandbox: Sandbox, tmp_path: Path) -> None:
    before, outcomes = text(sandbox), list[Outcome]()
    async with a_retargeting(home=tmp_path, on_outcome=outcomes.append, **of_sandbox(sandbox)) as flow:
        await flow.prepare([CHECK, DEPLOY, CHECK])
        version = "  (creates a new version of the workflow, and another version when the listener ends)"
        assert planned_lines(flow.changes(ONE)) == [
            f"{CHECK}:",
            f"  config.url: {ORIGINAL} -> {ONE}",
            "  config.agent: true -> false",
            version,
            f"{DEPLOY}:",
            f"  config.url: {ORIGINAL} -> {ONE}",
            version,
        ]
        for url in (ONE, TWO):
            await flow.apply(url)
            assert urls(sandbox) == (url, url)
            assert not node_config(workflow(sandbox), "check")["agent"]
        assert [outcome.end for outcome in await flow.restore()] == [End.RESTORED, End.RESTORED]
    assert text(sandbox) == before
    assert {outcome.version for outcome in outcomes} == {6, 7}
    assert workflow(sandbox)["version"] == 7
    assert restore_message(outcomes[0]).startswith(f"Restored {outcomes[0].entry.name} to {ORIGINAL}, in version ")
    assert journal_files(tmp_path) == []


async def test_url_keeps_its_path_and_query_unless_the_public_url_has_a_path(sandbox: Sandbox, tmp_path: Path) -> None:
    for node, url in (("check", "https://a.example/checks"), ("deploy", "https://b.example/d é?x=1#f")):
        node_config(workflow(sandbox), node)["url"] = url
    sandbox.add_action(an_action("other", url="https://c.example/checks"))
    sandbox.add_action(an_action())
    async with a_retargeting(home=tmp_path, **of_sandbox(sandbox)) as flow:
        await flow.prepare([CHECK, DEPLOY, "create_vm"])
        await flow.apply("https://tunnel.example/")
        assert urls(sandbox) == ("https://tunnel.example/checks", "https://tunnel.example/d%20%C3%A9?x=1")
        assert sandbox.actions["create_vm"]["invocationMethod"]["url"] == "https://tunnel.example/"
        assert flow.targets() == {"/checks": CHECK, "/d%20%C3%A9?x=1": DEPLOY}
        await flow.prepare(["other"])
        assert flow.targets()["/checks"] is None
        await flow.apply(ONE)
        assert urls(sandbox) == (ONE, ONE)


async def test_restore_preserves_changes_of_someone_else_in_the_workflow(sandbox: Sandbox, tmp_path: Path) -> None:
    async with a_retargeting(home=tmp_path, **of_sandbox(sandbox)) as flow:
        await retarget(flow, CHECK)
        workflow(sandbox)["title"] = "Theirs"
        node_config(workflow(sandbox), "check")["method"] = "PUT"
        await flow.apply(TWO)
        workflow(sandbox)["category"] = "Deployments"
        assert [outcome.end for outcome in await flow.restore()] == [End.RESTORED]
    now = workflow(sandbox)
    assert (now["title"], now["category"]) == ("Theirs", "Deployments")
    assert node_config(now, "check") == node_config(a_workflow(method="PUT"), "check")


async def test_restore_does_not_overwrite_the_url_of_someone_else(sandbox: Sandbox, tmp_path: Path) -> None:
    async with a_retargeting(home=tmp_path, **of_sandbox(sandbox)) as flow:
        await retarget(flow, CHECK)
        node_config(workflow(sandbox), "check")["url"] = "https://theirs.example"
        with pytest.raises(RetargetError) as problem:
            await flow.apply(TWO)
        (outcome,) = await flow.restore()
    assert f"{CHECK} has changed in Port" in problem.value.message
    assert (outcome.end, urls(sandbox)[0]) == (End.CHANGED, "https://theirs.example")
    assert Journal(tmp_path).count_leftovers() == 1


@pytest.mark.parametrize("change", ["renamed", "retyped"])
async def test_restore_keeps_the_entry_when_the_node_is_no_longer_there(
    sandbox: Sandbox, tmp_path: Path, change: str
) -> None:
    async with a_retargeting(home=tmp_path, **of_sandbox(sandbox)) as flow:
        await retarget(flow, CHECK)
        node = workflow(sandbox)["nodes"][1]
        if change == "removed":
            workflow(sandbox)["nodes"].remove(node)
        else:
            node |= {"identifier": "build"} if change == "renamed" else {"config": {"type": "KAFKA"}}
        theirs = text(sandbox)
        (outcome,) = await flow.restore()
    assert (outcome.end, text(sandbox)) == (End.REMOVED, theirs)
    assert f"Its original URL was {ORIGINAL}" in restore_message(outcome)
    assert Journal(tmp_path).count_leftovers() == 1


async def test_restore_keeps_the_entry_when_the_workflow_was_deleted(sandbox: Sandbox, tmp_path: Path) -> None:
    async with a_retargeting(home=tmp_path, **of_sandbox(sandbox)) as flow:
        await retarget(flow, CHECK)
        del sandbox.workflows["deploy_service"]
        (outcome,) = await flow.restore()
    assert outcome.end is End.FAILED
    assert isinstance(outcome.problem, PortApiError)
    assert outcome.problem.message == "Port has no workflow deploy_service."
    assert Journal(tmp_path).count_leftovers() == 1


async def test_two_listeners_retarget_two_nodes_of_one_workflow(sandbox: Sandbox, tmp_path: Path) -> None:
    before = text(sandbox)
    async with (
        a_retargeting(home=tmp_path, **of_sandbox(sandbox)) as one,
        a_retargeting(home=tmp_path, **of_sandbox(sandbox)) as two,
    ):
        await one.prepare([CHECK])
        await two.prepare([DEPLOY])
        await asyncio.gather(one.apply(ONE), two.apply(TWO))
        assert urls(sandbox) == (ONE, TWO)
        await asyncio.gather(one.apply(TWO), two.apply(ONE))
        assert urls(sandbox) == (TWO, ONE)
        ends = [outcome.end for outcomes in await asyncio.gather(one.restore(), two.restore()) for outcome in outcomes]
    assert (ends, text(sandbox)) == ([End.RESTORED, End.RESTORED], before)
    assert journal_files(tmp_path) == []


async def test_listener_waits_while_another_listener_replaces_the_workflow(tmp_path: Path) -> None:
    gate = asyncio.Event()
    # One GET by each `prepare`, then GET and PUT by the first `apply`, whose PUT waits.
    async with FlakyPort((None, None, None, Fault(gate=gate))).serve() as port:
        port.workflows["deploy_service"] = a_workflow()
        async with a_retargeting(port.url, tmp_path) as one, a_retargeting(port.url, tmp_path) as two:
            await one.prepare([CHECK])
            await two.prepare([DEPLOY])
            applying = asyncio.create_task(one.apply(ONE))
            await port.hanging.wait()
            waiting = asyncio.create_task(two.apply(TWO))
            asyncio.get_running_loop().call_later(0.1, gate.set)  # time for a too early GET
            await asyncio.gather(applying, waiting)
        nodes = [node_config(port.workflows["deploy_service"], node)["url"] for node in ("check", "deploy")]
    assert nodes == [ONE, TWO]
    assert [call.method for call in port.calls] == ["GET", "GET", "GET", "PUT", "GET", "PUT"]


async def test_action_and_workflow_may_have_the_same_identifier(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.add_action(an_action("deploy_service"))
    before = text(sandbox)
    async with a_retargeting(home=tmp_path, **of_sandbox(sandbox)) as flow:
        await retarget(flow, "deploy_service", DEPLOY)
        assert sandbox.actions["deploy_service"]["invocationMethod"]["url"] == ONE
        assert urls(sandbox) == (ORIGINAL, ONE)
        names = {outcome.entry.name: outcome.end for outcome in await flow.restore()}
    assert names == {"deploy_service": End.RESTORED, DEPLOY: End.RESTORED}
    assert sandbox.actions["deploy_service"]["invocationMethod"]["url"] == ORIGINAL
    assert text(sandbox) == before


async def test_prepare_fails_when_a_node_cannot_be_retargeted(sandbox: Sandbox, tmp_path: Path) -> None:
    async with a_retargeting(home=tmp_path, **of_sandbox(sandbox)) as flow:
        with pytest.raises(RetargetError) as refusal:
            await flow.prepare([CHECK, "deploy_service#trigger", "deploy_service#build"])
        with pytest.raises(UsageError):
            await flow.prepare(["deploy_service#"])
        await flow.restore()
    assert "deploy_service#trigger is a SELF_SERVE_TRIGGER node" in refusal.value.message
    assert "deploy_service#build does not exist" in refusal.value.message
    assert workflow(sandbox)["version"] == 1
    assert journal_files(tmp_path) == []


async def test_restore_entry_waits_at_most_its_time_for_another_listener(sandbox: Sandbox, tmp_path: Path) -> None:
    await left_behind(sandbox, tmp_path, CHECK)
    (kept,) = Journal(tmp_path).kept()
    assert kept.entry is not None
    claim = Journal(tmp_path).reclaim(kept)
    assert claim is not None
    turn = claim.take_turn(kept.entry)
    assert turn is not None
    async with port_client(
        api_url=sandbox.url, client_id=sandbox.client_id, client_secret=sandbox.client_secret
    ) as api:
        outcome = await restore_entry(api, claim, kept.entry, turn_within_s=0.05)
        assert outcome.end is End.FAILED
        assert "Another listener on this machine" in str(outcome.problem)
        turn.release()
        assert (await restore_entry(api, claim, kept.entry)).end is End.RESTORED
