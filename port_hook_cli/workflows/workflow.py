"""A Port workflow: its nodes, its connections, and the order of its nodes.

The fields and rules come from Port's Terraform provider and its skill files. docs/reference/workflows.md lists the
source of each. A node or outlet has at most one connection, so a run is a path through the graph, never several
concurrent paths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import Any

from port_hook_cli.actions.action import unwrapped
from port_hook_cli.frozen import frozen

MAX_NODES = 100
"""The maximum number of nodes that Port accepts in one workflow."""


class NodeType(StrEnum):
    """The types of nodes in Port's documents. port-hook runs all but the last three."""

    SELF_SERVE_TRIGGER = "SELF_SERVE_TRIGGER"
    EVENT_TRIGGER = "EVENT_TRIGGER"
    SCHEDULE_TRIGGER = "SCHEDULE_TRIGGER"
    WEBHOOK = "WEBHOOK"
    CONDITION = "CONDITION"
    INPUT = "INPUT"
    UPSERT_ENTITY = "UPSERT_ENTITY"
    KAFKA = "KAFKA"
    INTEGRATION_ACTION = "INTEGRATION_ACTION"
    AI = "AI"
    AI_AGENT = "AI_AGENT"
    CURSOR_AGENT = "CURSOR_AGENT"


TRIGGERS = frozenset({NodeType.SELF_SERVE_TRIGGER, NodeType.EVENT_TRIGGER, NodeType.SCHEDULE_TRIGGER})
WITH_OUTLETS = frozenset({NodeType.CONDITION, NodeType.INPUT})


class BadWorkflow(ValueError):
    """Port would not accept the document as a workflow. The message continues a sentence about the document."""


@frozen(kw_only=True)
class Outlet:
    """An outlet of a CONDITION or INPUT node, where a connection can start.

    `expression` is the jq of a condition. `responders` is the number of responses that an INPUT node needs for this
    outlet.
    """

    identifier: str
    title: str = ""
    expression: str = ""
    responders: int = 1


@frozen(kw_only=True)
class Node:
    """One node. `type` is a `NodeType`, or another name in a workflow from Port.

    `config`, `variables` and `links` hold templates. With `is_verbose`, the log of a WEBHOOK node contains the bodies
    of its request and its response. Port's page on webhook nodes has `verbose` in the config, and Terraform's provider
    has it on the node. `outlets` are the outlets of a CONDITION or INPUT node.
    """

    identifier: str
    type: str
    title: str = ""
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    variables: Mapping[str, Any] = field(default_factory=dict, repr=False)
    links: tuple[str, ...] = ()
    outlets: tuple[Outlet, ...] = ()
    is_verbose: bool = False

    @property
    def name(self) -> str:
        """The title of the node, or its identifier if it has no title."""
        return self.title or self.identifier

    @property
    def is_trigger(self) -> bool:
        """Whether a run starts at this node."""
        return self.type in TRIGGERS

    @property
    def is_published(self) -> bool:
        """Whether a trigger is enabled. `published: false` disables the trigger (Port's skill files)."""
        return self.config.get("published") is not False

    @property
    def is_synchronized(self) -> bool:
        """Whether the HTTP response ends a WEBHOOK node. Unlike for an action, the default is true."""
        return self.config.get("synchronized", True) not in (False, "false")

    @property
    def goes_on_after_failure(self) -> bool:
        """Whether the run continues when this node fails (`onFailure: continue`)."""
        return self.config.get("onFailure") == "continue"


@frozen(kw_only=True)
class NodeConnection:
    """A connection from one node to another. It starts at an outlet, at the `fallback`, or at the node itself."""

    source: str
    target: str
    outlet: str | None = None
    is_fallback: bool = False


@frozen(kw_only=True)
class Workflow:
    """A workflow that Port would accept. `nodes` are in topological order, as in Port's responses."""

    identifier: str
    title: str = ""
    nodes: Mapping[str, Node] = field(repr=False)
    connections: tuple[NodeConnection, ...] = field(default=(), repr=False)

    @property
    def triggers(self) -> tuple[Node, ...]:
        """The nodes at which a run can start."""
        return tuple(node for node in self.nodes.values() if node.is_trigger)

    def next_node(self, node: Node, outlet: str | None = None) -> Node | None:
        """Return the node that follows `node`, or None if the branch ends.

        `outlet` is the outlet that a CONDITION or INPUT node chose. None selects the fallback of such a node.
        """
        for connection in self.connections:
            if connection.source == node.identifier and _leads_on(connection, node, outlet):
                return self.nodes[connection.target]
        return None

    def nodes_after(self, identifier: str) -> tuple[str, ...]:
        """Return the nodes that a run can reach from a node through any outlet, in topological order."""
        reached: set[str] = set()
        for node in self.nodes:
            sources = {each.source for each in self.connections if each.target == node}
            if sources & {identifier, *reached}:
                reached.add(node)
        return tuple(node for node in self.nodes if node in reached)

    def trigger(self, identifier: str | None = None) -> Node:
        """Return the trigger called `identifier`, or the only trigger. Raises BadWorkflow, which lists the triggers."""
        found = [node for node in self.triggers if identifier in (None, node.identifier)]
        if len(found) == 1:
            return found[0]
        names = ", ".join(node.identifier for node in self.triggers)
        if identifier is None:
            raise BadWorkflow(f"has several triggers: {names}")
        raise BadWorkflow(f"has no trigger {identifier}. Its triggers are: {names}")


def is_workflow(document: Any) -> bool:
    """Return whether a document is meant as a workflow: an object with `nodes`, even in a response of Port's API."""
    found = unwrapped(document, "workflow")
    return isinstance(found, Mapping) and isinstance(found.get("nodes"), list)


def identifier_of(document: Any) -> str:
    """Return the identifier of a document that is meant as a workflow, or ""."""
    found = unwrapped(document, "workflow")
    return _text(found.get("identifier")) if isinstance(found, Mapping) else ""


def read_workflow(document: Any) -> Workflow:
    """Return the workflow in a document that Port's API returns.

    Raises BadWorkflow for a workflow that cannot run. `port_rules.read_new_workflow` checks Port's other rules.
    """
    found = unwrapped(document, "workflow")
    if not isinstance(found, Mapping):
        raise BadWorkflow("is not an object")
    identifier = _identifier(found, "the workflow")
    listed = found.get("nodes")
    if not isinstance(listed, list) or not listed:
        raise BadWorkflow("has no `nodes`")
    if len(listed) > MAX_NODES:
        raise BadWorkflow(f"has {len(listed)} nodes, but Port accepts at most {MAX_NODES}")
    nodes: dict[str, Node] = {}
    for index, each in enumerate(listed):
        node = _read_node(each, f"nodes[{index}]")
        if node.identifier in nodes:
            raise BadWorkflow(f"has two nodes with the identifier {node.identifier}")
        nodes[node.identifier] = node
    if not any(node.is_trigger for node in nodes.values()):
        types = ", ".join(sorted(TRIGGERS))
        raise BadWorkflow(f"has no trigger. A run starts at a node with one of these types: {types}")
    connections = tuple(_read_connections(found.get("connections") or [], nodes))
    return Workflow(
        identifier=identifier,
        title=_text(found.get("title")),
        nodes=_sorted(nodes, connections),
        connections=connections,
    )


def _read_node(document: Any, where: str) -> Node:
    if not isinstance(document, Mapping):
        raise BadWorkflow(f"has something in {where} that is not an object")
    identifier = _identifier(document, where)
    config = document.get("config")
    if not isinstance(config, Mapping) or not isinstance(config.get("type"), str):
        raise BadWorkflow(f"has a node {identifier} without a `config.type`")
    kind = config["type"]
    if kind == NodeType.WEBHOOK and not isinstance(config.get("url"), str):
        raise BadWorkflow(f"has a WEBHOOK node {identifier} without a `config.url`")
    variables, links = document.get("variables"), document.get("links")
    return Node(
        identifier=identifier,
        type=kind,
        title=_text(document.get("title")),
        config=config,
        variables=variables if isinstance(variables, Mapping) else {},
        links=tuple(link for link in links if isinstance(link, str)) if isinstance(links, list) else (),
        outlets=tuple(_read_outlets(config, identifier)) if kind in WITH_OUTLETS else (),
        is_verbose=any(place.get("verbose") is True for place in (document, config)),
    )


def _read_outlets(config: Mapping[str, Any], node: str) -> Iterator[Outlet]:
    # Older documents call these fields `options` and `conditions`.
    listed: Any = next((config[name] for name in ("outlets", "options", "conditions") if name in config), [])
    if not isinstance(listed, list):
        raise BadWorkflow(f"has a node {node} whose `outlets` are not a list")
    for each in listed:
        if not isinstance(each, Mapping):
            raise BadWorkflow(f"has a node {node} with an outlet that is not an object")
        count = each.get("numOfResponders", 1)
        yield Outlet(
            identifier=_identifier(each, f"an outlet of {node}"),
            title=_text(each.get("title")),
            expression=_text(each.get("expression")),
            responders=count if isinstance(count, int) and count > 0 else 1,
        )


def _read_connections(listed: Any, nodes: Mapping[str, Node]) -> Iterator[NodeConnection]:
    if not isinstance(listed, list):
        raise BadWorkflow("has `connections` that are not a list")
    taken: set[tuple[str, str | None, bool]] = set()
    for index, each in enumerate(listed):
        if not isinstance(each, Mapping):
            raise BadWorkflow(f"has something in connections[{index}] that is not an object")
        connection = _read_connection(each, nodes, f"connections[{index}]")
        way_out = (connection.source, connection.outlet, connection.is_fallback)
        if way_out in taken:
            raise BadWorkflow(f"has two connections from {_way_out(connection)}, but Port accepts one")
        taken.add(way_out)
        yield connection


def _read_connection(document: Mapping[str, Any], nodes: Mapping[str, Node], where: str) -> NodeConnection:
    ends = [document.get(name) for name in ("sourceIdentifier", "targetIdentifier")]
    for end in ends:
        if not isinstance(end, str) or end not in nodes:
            raise BadWorkflow(f"has a connection ({where}) to a node that it does not have: {end}")
    source, target = nodes[str(ends[0])], nodes[str(ends[1])]
    if target.is_trigger:
        raise BadWorkflow(f"has a connection to its trigger {target.identifier}")
    outlet = document.get("sourceOutletIdentifier", document.get("sourceOptionIdentifier"))
    if outlet is not None and outlet not in [each.identifier for each in source.outlets]:
        raise BadWorkflow(f"has a connection from {source.identifier} at an outlet that it does not have: {outlet}")
    return NodeConnection(
        source=source.identifier,
        target=target.identifier,
        outlet=outlet,
        is_fallback=document.get("fallback") is True,
    )


def _leads_on(connection: NodeConnection, node: Node, outlet: str | None) -> bool:
    if not node.outlets:
        return True
    return connection.is_fallback if outlet is None else connection.outlet == outlet


def _way_out(connection: NodeConnection) -> str:
    if connection.outlet is not None:
        return f"{connection.source} at the outlet {connection.outlet}"
    return f"the fallback of {connection.source}" if connection.is_fallback else connection.source


def _sorted(nodes: Mapping[str, Node], connections: Sequence[NodeConnection]) -> dict[str, Node]:
    before: dict[str, list[str]] = {identifier: [] for identifier in nodes}
    for connection in connections:
        before[connection.target].append(connection.source)
    try:
        return {identifier: nodes[identifier] for identifier in TopologicalSorter(before).static_order()}
    except CycleError as error:
        raise BadWorkflow(f"has a cycle: {' -> '.join(reversed(error.args[1]))}") from error


def _identifier(document: Mapping[str, Any], where: str) -> str:
    identifier = document.get("identifier")
    if not isinstance(identifier, str) or not identifier:
        raise BadWorkflow(f"has no `identifier` in {where}")
    return identifier


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
