"""The records about runs in the inspector's API, as docs/reference/inspector-api.md describes them.

This module is pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from port_hook_cli.inspector.records import message
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.javascript.values import write_json
from port_hook_cli.runs.urls import run_page
from port_hook_cli.workflows.shown_run import chosen_outlet
from port_hook_cli.workflows.workflow import NodeType

MAX_LOGS = 500
_MAX_NODES = 200
_MAX_LINKS = 20
_MAX_TEXT = 16_000
_MAX_OUTPUT = 8_000
_MAX_NAME = 1_000
_OTHERWISE = "otherwise"
_BRANCHING = frozenset({NodeType.CONDITION, NodeType.INPUT})


def action_run_record(
    run: Mapping[str, Any], logs: Sequence[Mapping[str, Any]], *, app_url: str, skew_s: float | None
) -> dict[str, Any]:
    """Return an action run and its log.

    `skew_s` is the number of seconds that this machine's clock is ahead of Port's clock.
    """
    run_id, action = _text(run.get("id")) or "", run.get("action")
    return _available(
        {
            "id": run_id,
            "kind": "action",
            "name": _text(action.get("identifier") if isinstance(action, dict) else action),
            "status": _text(run.get("status")) or "",
            "label": _text(run.get("statusLabel")),
            "summary": _text(run.get("summary"), _MAX_TEXT),
            "link": _links(run.get("link")),
            "created_at": _text(run.get("createdAt")),
            "ended_at": _text(run.get("endedAt")),
            "url": run_page(app_url, run_id) if app_url else None,
            "skew_s": skew_s,
        },
        [_log(entry, None) for entry in logs[:MAX_LOGS]],
        [],
    )


def workflow_run_record(
    run_id: str,
    run: Mapping[str, Any],
    logs: Sequence[Mapping[str, Any]],
    definition: Mapping[str, Any],
    *,
    skew_s: float | None,
) -> dict[str, Any]:
    """Return a workflow run, its log, and all nodes of its definition."""
    return _available(
        {
            "id": run_id,
            "kind": "workflow",
            "name": _text(workflow_of(run)),
            "status": _text(run.get("status")) or "",
            "label": _text(run.get("result")),
            "summary": None,
            "link": [],
            "created_at": _text(run.get("createdAt")),
            "ended_at": _text(run.get("completedAt")),
            # Port does not document the URL of a workflow run's page.
            "url": None,
            "skew_s": skew_s,
        },
        list(_workflow_logs(run, logs))[-MAX_LOGS:],
        graph(definition, run),
    )


def unavailable(
    reason: str, hint: str, *, is_temporary: bool = False, is_unknown: bool = False, can_report: bool = False
) -> dict[str, Any]:
    """Return why a run cannot be shown. After a temporary problem, the next attempt may succeed."""
    return message(
        {
            "available": False,
            "reason": reason,
            "hint": hint,
            "temporary": is_temporary,
            "unknown": is_unknown,
            "can_report": can_report,
            "captures": [],
        }
    )


def workflow_of(run: Mapping[str, Any]) -> str | None:
    """Return the identifier of a run's workflow, or None."""
    workflow = part_of(run, "workflow") or part_of(part_of(run, "workflowVersion"), "workflow")
    identifier = workflow.get("identifier")
    return identifier if isinstance(identifier, str) and identifier else None


def graph(definition: Mapping[str, Any], run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the nodes of a workflow, each with its state in a run and its next nodes.

    Each node comes after its predecessors, and branches stay together. `branch` is the outlet that leads to a node, or
    None if the node directly follows another node. `depth` is the number of branches that enclose the node.
    """
    reached = {_node_of(each): each for each in objects(run.get("nodeRuns"))}
    nodes = objects(definition.get("nodes"))
    known = {_text(node.get("identifier")) or "": node for node in nodes} or {name: {} for name in reached}
    kept = dict(list(known.items())[:_MAX_NODES])
    # A workflow may have very many connections. Connections to unknown nodes are omitted, and repeated connections
    # count once.
    targets: dict[str, dict[str, None]] = {name: {} for name in kept}
    branches: dict[str, str] = {}
    titles = {name: _outlet_titles(node) for name, node in kept.items()}
    for connection in objects(definition.get("connections")):
        source, target = _text(connection.get("sourceIdentifier")), _text(connection.get("targetIdentifier"))
        if source in kept and target in kept:
            targets[source][target] = None
            if branch := _branch(connection, titles[source]):
                branches.setdefault(target, branch)
    order = _in_order({name: list(found) for name, found in targets.items()}, reached)
    branching = {name for name, node in kept.items() if _text(part_of(node, "config").get("type")) in _BRANCHING}
    depths = _depths(order, targets, branching)
    return [
        {
            **_node(name, kept[name], reached.get(name, {}), list(targets[name]), branches.get(name)),
            "depth": depths[name],
        }
        for name in order
    ]


def _in_order(targets: Mapping[str, Sequence[str]], reached: Collection[str]) -> list[str]:
    """Return the nodes in topological order, with the branches of a node one after the other.

    The trigger that fired comes first. Port rejects cycles, and this function breaks them.
    """
    ordered: list[str] = []
    seen: set[str] = set()

    def visit(name: str) -> None:
        if name in seen or name not in targets:
            return
        seen.add(name)
        for following in reversed(targets[name]):
            visit(following)
        ordered.insert(0, name)

    led_to = {name for following in targets.values() for name in following}
    first = sorted((name for name in targets if name not in led_to), key=lambda name: name not in reached)
    for name in (*reversed(first), *targets):
        visit(name)
    return ordered


def _depths(order: Sequence[str], targets: Mapping[str, Collection[str]], branching: Collection[str]) -> dict[str, int]:
    """Return the number of branches that enclose each node. A node that joins several branches is outside of them."""
    depths: dict[str, int] = {}
    for name in order:
        sources = [each for each in depths if name in targets.get(each, ())]
        least = min((depths[each] for each in sources), default=0)
        begins_branch = any(depths[each] == least for each in sources if each in branching)
        if len(sources) == 1:
            depths[name] = least + begins_branch
        else:
            depths[name] = max(0, least - (not begins_branch))
    return depths


def objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects in an array of a response. Return no objects for any other value."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _node_of(node_run: Mapping[str, Any]) -> str:
    """Return the identifier of the node of a node run, or the title of the node if Port returns no identifier."""
    return _text(part_of(node_run, "node").get("identifier")) or _text(node_run.get("nodeTitle")) or ""


def _outlet_titles(node: Mapping[str, Any]) -> dict[str, str]:
    """Return the titles of a node's outlets, keyed by their identifiers."""
    outlets = [(_text(each.get("identifier")), _text(each.get("title"))) for each in _outlets(node)]
    return {identifier: title for identifier, title in reversed(outlets) if identifier and title}


def _outlets(node: Mapping[str, Any]) -> list[dict[str, Any]]:
    return objects(part_of(node, "config").get("outlets"))


def _branch(connection: Mapping[str, Any], titles: Mapping[str, str]) -> str | None:
    """Return the title of the outlet where a connection starts, or None. `titles` are the titles of the outlets."""
    outlet = connection.get("sourceOutletIdentifier")
    if connection.get("fallback") is True:
        return _OTHERWISE
    if not isinstance(outlet, str):
        return None
    return titles.get(outlet[:_MAX_NAME], outlet[:_MAX_NAME])


def _node(
    name: str, node: Mapping[str, Any], run: Mapping[str, Any], following: list[str], branch: str | None
) -> dict[str, Any]:
    output = part_of(run, "output")
    return {
        "id": name,
        "type": _text(part_of(node, "config").get("type")) or _text(run.get("nodeConfigType")),
        "title": _text(node.get("title")) or _text(run.get("nodeTitle")) or name,
        "status": _text(run.get("status")),
        "result": _text(run.get("result")),
        "started_at": _text(run.get("createdAt")),
        "ended_at": _text(run.get("completedAt")),
        "run_id": _text(run.get("identifier")),
        "next": following,
        "branch": branch,
        "outlet": _text(chosen_outlet(output)),
        "output": _json(output),
        "error": _error(output),
        "links": _links(run.get("links")),
    }


def _json(output: Mapping[str, Any]) -> str | None:
    """Return the beginning of an output as JSON text, or None if the output is empty or contains only an error."""
    if not output.keys() - {"error"}:
        return None
    try:
        return write_json(output)[:_MAX_OUTPUT]
    except NotJson:
        return None


def _error(output: Mapping[str, Any]) -> str | None:
    """Return why a node failed. The reason is `error.message` in Port's output, or a string."""
    error = output.get("error")
    text = error.get("message") if isinstance(error, Mapping) else error
    return text[:_MAX_NAME] if isinstance(text, str) and text else None


def _workflow_logs(run: Mapping[str, Any], logs: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the log entries of a workflow run, each with its node.

    Port does not document the field that links a log entry to its node run. Node runs also have their own logs.
    """
    node_runs = objects(run.get("nodeRuns"))
    nodes = {_text(each.get("identifier")): _node_of(each) for each in node_runs}
    found = [
        _log(entry, None if name is None else nodes.get(name))
        for entry in logs
        for name in [_text(entry.get("nodeRunIdentifier", entry.get("nodeRunId")))]
    ]
    own = [_log(entry, _node_of(each)) for each in node_runs for entry in objects(each.get("nodeRunLogs"))]
    if own and not any(entry["node"] for entry in found):
        found = sorted(own, key=lambda entry: str(entry["at"]))
    yield from found


def _log(entry: Mapping[str, Any], node: str | None) -> dict[str, Any]:
    return {
        "at": _text(entry.get("createdAt")),
        "level": _text(entry.get("level", entry.get("logLevel"))),
        "text": _text(entry.get("message", entry.get("log", "")), _MAX_TEXT) or "",
        "node": node,
    }


def _available(run: dict[str, Any], logs: Sequence[dict[str, Any]], nodes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return message({"available": True, "run": run, "logs": list(logs), "nodes": list(nodes)})


def part_of(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return an object in a document from Port, or {} if the document has no such object."""
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _links(value: Any) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    return [text for text in map(_text, listed[:_MAX_LINKS]) if text]


def _text(value: Any, most: int = _MAX_NAME) -> str | None:
    """Return the beginning of a string or a number in a response, or "" for any other value."""
    if isinstance(value, str):
        return value[:most]
    return str(value)[:most] if isinstance(value, float) or type(value) is int else None
