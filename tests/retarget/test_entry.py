from __future__ import annotations

import json

import pytest

from port_hook_cli.errors import UsageError
from port_hook_cli.retarget.entry import BadEntry, Entry, EntryKind, read_entry, split_name, write_entry
from tests.retargets import ONE, TWO, a_workflow, an_action

SHOWN = {**a_workflow(), "orgId": "org_1"}
NODE = Entry(identifier="deploy_service", node="check", api_url="u", original={}, at=1.5).beginning(SHOWN)


def test_read_entry_takes_an_entry_without_a_kind_as_an_action() -> None:
    entry = Entry(identifier="create_vm", api_url="u", original=an_action(), urls=(ONE,), pid=7, at=1.5)
    document = json.loads(write_entry(entry))
    assert (document.pop("kind"), document.pop("node")) == ("action", "")
    assert document["schema"] == "port-hook/retarget/1"
    assert read_entry(json.dumps(document)) == entry
    assert entry.kind is EntryKind.ACTION


def test_entry_of_a_node_is_read_back_marked_as_newer_and_without_its_headers() -> None:
    entry = NODE.intending(ONE).marked(ONE, {**SHOWN, **a_workflow(url=ONE, agent=False)}).intending(TWO)
    assert read_entry(write_entry(entry)) == entry
    assert (entry.name, entry.kind, entry.owner_id) == ("deploy_service#check", EntryKind.WORKFLOW_NODE, "org_1")
    text = write_entry(NODE)
    assert json.loads(text)["schema"] == "port-hook/retarget/2"
    assert "s3cret" not in text


@pytest.mark.parametrize(
    "fields",
    [
        {"schema": "port-hook/retarget/1"},
        {"schema": "port-hook/retarget/3"},
        {"kind": "action"},
        {"kind": "blueprint"},
        {"node": ""},
        {"original": "{}"},
        {"original": '{"config": {"url": null}}'},
        {"left": '{"config": 1}'},
    ],
)
def test_read_entry_rejects_a_contradictory_entry(fields: dict[str, object]) -> None:
    with pytest.raises(BadEntry):
        read_entry(json.dumps({**json.loads(write_entry(NODE)), **fields}))


def test_split_name_distinguishes_actions_from_nodes() -> None:
    assert split_name("create_vm") == ("create_vm", "")
    assert split_name("deploy_service#check") == ("deploy_service", "check")


@pytest.mark.parametrize("name", ["", "deploy_service#", "#check"])
def test_split_name_rejects_an_incomplete_name(name: str) -> None:
    with pytest.raises(UsageError) as problem:
        split_name(name)
    assert "WORKFLOW#NODE" in problem.value.hint
