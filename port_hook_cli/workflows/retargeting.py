"""Changes and restores the URL of a WEBHOOK node in a Port workflow: what to send, and who changed the node last.

A PUT replaces the whole workflow with a new version. So each change starts from Port's current version of the workflow,
and replaces only the fields of the node that port-hook sets: `url`, and `agent` if it was true. Only these fields are
compared and restored, so that changes by other people to other parts of the workflow survive. Port does not document
whether the `id` of a workflow stays the same in all its versions. Only `orgId` shows that a workflow belongs to another
organization.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from port_hook_cli.actions.retargeting import (
    SET_BY_PORT,
    WEBHOOK,
    Rejection,
    Standing,
    UrlChange,
    differences,
    pointed_at,
    value_at,
    why_not_fixed,
)
from port_hook_cli.javascript.values import same

_SET_BY_PORT = SET_BY_PORT | {"orgId", "version"}


def settable_workflow(workflow: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a workflow that a PUT accepts, in the same order.

    Null fields of the workflow, its nodes and their configs are left out, because a PUT unsets missing fields. Nulls
    inside templates stay.
    """
    kept = {name: value for name, value in workflow.items() if name not in _SET_BY_PORT and value is not None}
    if isinstance(kept.get("nodes"), list):
        kept["nodes"] = [_settable_node(node) for node in kept["nodes"]]
    return kept


def plan_node_change(
    workflow: Mapping[str, Any], node: str, url: str, *, original: Mapping[str, Any] | None = None
) -> UrlChange | Rejection:
    """Return the change that sets the URL of `node` to `url`, or why this change is not possible.

    `workflow` is in the format that a GET returns. `original` is the `node_settings` before the first change, if the
    node has been changed before.
    """
    name = f"{workflow.get('identifier')}#{node}"
    config = _config(workflow, node)
    if reason := _why_not(workflow, config):
        return Rejection(identifier=name, reason=reason)
    assert config is not None
    start = node_settings(workflow, node) if original is None else original
    assert start is not None
    after = {**config, **pointed_fields(start, url)["config"]}
    return UrlChange(
        identifier=name,
        body=_with_config(workflow, node, after),
        differences=differences({"config": dict(config)}, {"config": after}),
    )


def node_settings(workflow: Mapping[str, Any], node: str) -> dict[str, Any] | None:
    """Return the fields that retargeting `node` changes, or None if the workflow has no such WEBHOOK node.

    The fields are in `config`. `orgId` is the organization of the workflow. The rest of the workflow is not needed to
    restore the node, and may contain credentials.
    """
    config = _config(workflow, node)
    if config is None or config.get("type") != WEBHOOK or not isinstance(config.get("url"), str):
        return None
    fields = {name: config[name] for name in ("url", "agent") if config.get(name) not in (None, False)}
    return {"orgId": workflow.get("orgId"), "config": fields}


def node_standing(
    now: Mapping[str, Any],
    node: str,
    original: Mapping[str, Any],
    *,
    urls: Iterable[str],
    left: Mapping[str, Any] | None,
) -> Standing:
    """Return the state of `node` in the workflow `now`.

    `original` and `left` are the node's `node_settings` before the first change and after the last change. `urls` are
    the URLs that port-hook may have set.
    """
    organizations = (now.get("orgId"), original.get("orgId"))
    if None not in organizations and organizations[0] != organizations[1]:
        return Standing.ANOTHER
    settings = node_settings(now, node)
    if settings is None:
        return Standing.REMOVED
    found = changed_fields(settings, original)
    if same(found, changed_fields(original, original)):
        return Standing.ORIGINAL
    left_fields = [] if left is None else [changed_fields(left, original)]
    expected = [pointed_fields(original, url) for url in urls]
    is_retargeted = any(same(found, fields) for fields in [*left_fields, *expected])
    return Standing.RETARGETED if is_retargeted else Standing.CHANGED


def changed_fields(settings: Mapping[str, Any], original: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `settings` that retargeting changes in a node. A missing `agent` counts as false.

    `agent` is included only if it is true in `original`.
    """
    config = settings["config"]
    fields: dict[str, Any] = {"url": config.get("url")}
    if original["config"].get("agent") is True:
        fields["agent"] = config.get("agent", False)
    return {"config": fields}


def pointed_fields(original: Mapping[str, Any], url: str) -> dict[str, Any]:
    """Return the fields that retargeting sets in a node to change `original` to `url`."""
    return changed_fields({"config": pointed_at(original["config"], url)}, original)


def restored_workflow(now: Mapping[str, Any], node: str, original: Mapping[str, Any]) -> dict[str, Any]:
    """Return the workflow `now` with the original fields of `node`, in the format for a PUT."""
    return _with_config(now, node, {**(_config(now, node) or {}), **changed_fields(original, original)["config"]})


def workflow_version(workflow: Mapping[str, Any]) -> int | None:
    """Return the version of the workflow in Port's response, or None if the response has no version."""
    version = workflow.get("version")
    return version if isinstance(version, int) and not isinstance(version, bool) else None


def _why_not(workflow: Mapping[str, Any], config: Mapping[str, Any] | None) -> str | None:
    if config is None:
        return f"does not exist. The WEBHOOK nodes of the workflow are: {', '.join(webhook_nodes(workflow)) or 'none'}"
    if config.get("type") != WEBHOOK:
        return f"is a {config.get('type')} node, but only a WEBHOOK node has a URL to change"
    return why_not_fixed(config)


def webhook_nodes(workflow: Mapping[str, Any]) -> list[str]:
    """Return the identifiers of the WEBHOOK nodes of a workflow in the format of Port's API."""
    return [str(node.get("identifier")) for node in _nodes(workflow) if value_at(node, ("config", "type")) == WEBHOOK]


def _nodes(workflow: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed = workflow.get("nodes")
    return [node for node in listed if isinstance(node, Mapping)] if isinstance(listed, list) else []


def _config(workflow: Mapping[str, Any], node: str) -> Mapping[str, Any] | None:
    for each in _nodes(workflow):
        if each.get("identifier") == node and isinstance(each.get("config"), Mapping):
            config: Mapping[str, Any] = each["config"]
            return config
    return None


def _with_config(workflow: Mapping[str, Any], node: str, config: Mapping[str, Any]) -> dict[str, Any]:
    body = settable_workflow(workflow)
    body["nodes"] = [
        _settable_node({**each, "config": config})
        if isinstance(each, Mapping) and each.get("identifier") == node
        else each
        for each in body["nodes"]
    ]
    return body


def _settable_node(node: Any) -> Any:
    if not isinstance(node, Mapping):
        return node
    kept = {name: value for name, value in node.items() if value is not None}
    if isinstance(kept.get("config"), Mapping):
        kept["config"] = {name: value for name, value in kept["config"].items() if value is not None}
    return kept
