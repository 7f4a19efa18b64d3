from __future__ import annotations

import json
from typing import Any

from port_hook_cli.actions.retargeting import Rejection, Standing, UrlChange
from port_hook_cli.port_api.paths import workflow_path
from port_hook_cli.workflows.retargeting import (
    node_settings,
    node_standing,
    plan_node_change,
    restored_workflow,
    settable_workflow,
    workflow_version,
)
from tests.port_workflows_openapi import faults, require_workflows_openapi
from tests.retargets import ONE, TWO, a_workflow, node_config

ORIGINAL = "https://example.com"


def shown(workflow: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a workflow in the format of Port's API."""
    dates = dict.fromkeys(("createdAt", "createdBy", "updatedAt", "updatedBy"), "2026-01-01T00:00:00Z")
    return {**json.loads(json.dumps(workflow)), "id": "wf_1", "orgId": "org_1", "version": 3, **dates, **fields}


def planned(workflow: dict[str, Any], node: str, url: str, **options: Any) -> UrlChange:
    change = plan_node_change(workflow, node, url, **options)
    assert isinstance(change, UrlChange)
    return change


def settings(workflow: dict[str, Any], node: str = "check") -> dict[str, Any]:
    found = node_settings(workflow, node)
    assert found is not None
    return found


def standing_of(now: dict[str, Any], *urls: str, left: dict[str, Any] | None = None) -> Standing:
    return node_standing(now, "check", settings(shown(a_workflow())), urls=urls, left=left)


def pointed(url: str, **fields: Any) -> dict[str, Any]:
    return shown(a_workflow(url=url, agent=False), **fields)


def test_plan_node_change_changes_only_the_url_and_a_true_agent() -> None:
    change = planned(shown(a_workflow()), "check", ONE)
    assert json.dumps(change.body) == json.dumps(a_workflow(agent=False, url=ONE))
    assert {each.keys: (each.before, each.after) for each in change.differences} == {
        ("config", "url"): (ORIGINAL, ONE),
        ("config", "agent"): (True, False),
    }
    assert [each.keys for each in planned(shown(a_workflow()), "deploy", ONE).differences] == [("config", "url")]


def test_plan_node_change_does_not_change_an_agent_set_by_someone_else() -> None:
    now = shown(a_workflow(url=ONE, agent=True))
    original = {"orgId": "org_1", "config": {"url": ORIGINAL}}
    config = node_config(dict(planned(now, "check", TWO, original=original).body), "check")
    assert (config["url"], config["agent"]) == (TWO, True)


def test_settable_workflow_leaves_out_nulls_except_in_templates() -> None:
    document = {**a_workflow(), "icon": None}
    document["nodes"][1] |= {"description": None}
    node_config(document, "check")["method"] = None
    assert json.dumps(settable_workflow(shown(document))) == json.dumps(a_workflow())


def test_put_body_is_valid_for_the_route() -> None:
    for extra in ({}, {"title": None, "category": None}):
        document = require_workflows_openapi()
        body = {"$ref": "#/components/schemas/WorkflowBody"}
        now = {**shown(a_workflow()), **extra}
        del node_config(now, "check")["body"]["é"]
        for put in (planned(now, "check", ONE).body, restored_workflow(now, "check", settings(now))):
            assert faults(document, put, body) == []
            assert not put.keys() & {"orgId", "version", "id", "createdAt", "createdBy", "updatedAt", "updatedBy"}


def test_plan_node_change_is_rejected_with_a_reason() -> None:
    rows: list[tuple[Any, Any, Any]] = [
        ("build", {}, "does not exist. The WEBHOOK nodes of the workflow are: check, deploy"),
        ("trigger", {}, "is a SELF_SERVE_TRIGGER node, but only a WEBHOOK node has a URL to change"),
        ("check", {"url": "https://{{ .outputs.trigger.host }}/x"}, "computes its `url` for each run"),
        ("check", {"agent": "yes"}, "neither true nor false"),
        ("check", {"url": None}, "has no URL that could be restored"),
    ]
    for node, config, message in rows:
        refusal = plan_node_change(shown(a_workflow(**config)), node, ONE)
        assert isinstance(refusal, Rejection)
        assert message in refusal.reason


def test_node_settings_have_only_what_can_be_retargeted() -> None:
    for document in ({}, {"nodes": [1, {}, {"identifier": "check", "config": 1}]}):
        assert isinstance(plan_node_change(document, "check", ONE), Rejection)
        assert node_settings(document, "check") is None
    assert settings(shown(a_workflow())) == {"orgId": "org_1", "config": {"url": ORIGINAL, "agent": True}}
    assert settings(shown(a_workflow()), "deploy") == {"orgId": "org_1", "config": {"url": ORIGINAL}}


def test_node_standing_compares_only_the_fields_set_by_port_hook() -> None:
    assert standing_of(shown(a_workflow(), version=9, title="Theirs")) is Standing.ORIGINAL
    assert standing_of(pointed(ONE, title="Theirs"), ONE) is Standing.RETARGETED
    assert standing_of(pointed(TWO), ONE, TWO) is Standing.RETARGETED
    assert standing_of(shown(a_workflow(url=ONE, agent=None)), ONE) is Standing.RETARGETED
    now = pointed(f"{ONE}/")
    assert standing_of(now, ONE) is Standing.CHANGED
    assert standing_of(now, ONE, left=settings(now)) is Standing.RETARGETED


def test_node_standing_distinguishes_changes_by_someone_else() -> None:
    rows: list[tuple[Any, Any]] = [
        (pointed("https://theirs.example"), Standing.CHANGED),
        (shown(a_workflow(url=ONE)), Standing.CHANGED),
        (shown(a_workflow(agent=False)), Standing.CHANGED),
        (pointed(ONE, orgId="org_2"), Standing.ANOTHER),
        (pointed(ONE, id="wf_2"), Standing.RETARGETED),
        (pointed(ONE, nodes=[]), Standing.REMOVED),
        (shown(a_workflow(type="KAFKA")), Standing.REMOVED),
    ]
    for now, expected in rows:
        assert standing_of(now, ONE) is expected


def test_restored_workflow_keeps_changes_by_others() -> None:
    now = pointed(ONE, title="Theirs")
    node_config(now, "check")["onFailure"] = "continue"
    node_config(now, "deploy")["url"] = TWO
    body = restored_workflow(now, "check", settings(shown(a_workflow())))
    assert node_config(body, "check") == node_config(a_workflow(onFailure="continue"), "check")
    assert (body["title"], node_config(body, "deploy")["url"]) == ("Theirs", TWO)


def test_workflow_path_quotes_the_identifier_and_the_version_is_a_number_or_none() -> None:
    rows: list[tuple[Any, Any]] = [(3, 3), (None, None), (True, None)]
    for version, expected in rows:
        assert workflow_version({"version": version}) == expected

    assert workflow_path("a/b é") == "/v1/workflows/a%2Fb%20%C3%A9"
    assert workflow_path("..") == "/v1/workflows/%2E%2E"
