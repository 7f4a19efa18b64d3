"""The options of `trigger` that only a workflow has: outputs of nodes that do not run, and responses to INPUT nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from port_hook_cli.errors import UsageError
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.javascript.values import read_json
from port_hook_cli.runs.output_options import set_path
from port_hook_cli.workflows.run import COMPLETED


def read_outputs(document: Any) -> dict[str, Mapping[str, Any]]:
    """Return outputs by node: those of a run as Port's API shows it, or an object that maps node to output.

    Raises UsageError for another document.
    """
    run = document.get("workflowRun", document) if isinstance(document, Mapping) else document
    if isinstance(run, Mapping) and isinstance(run.get("nodeRuns"), list):
        return dict(_of_run(run["nodeRuns"]))
    if isinstance(run, Mapping) and all(isinstance(each, Mapping) for each in run.values()):
        return dict(run)
    raise UsageError(
        "--outputs: the document does not map nodes to their outputs.",
        hint='Write it like {"check": {"response": {"status": 200, "data": {}}}}, or give a workflow run of Port.',
    )


def _of_run(listed: Iterable[Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    for each in listed:
        node = each.get("node") if isinstance(each, Mapping) else None
        name = node.get("identifier") if isinstance(node, Mapping) else None
        if isinstance(name, str) and each.get("status") == COMPLETED and isinstance(each.get("output"), Mapping):
            yield name, each["output"]


def add_output(outputs: Mapping[str, Mapping[str, Any]], text: str) -> dict[str, Mapping[str, Any]]:
    """Return `outputs` with `NODE.path=JSON` in them; `NODE=JSON` sets a node's whole output. Raises UsageError."""
    path, equals, value = text.partition("=")
    node, *keys = path.split(".")
    if not equals or not node or not all(keys):
        raise UsageError(
            f"--output {path!r} is not NODE.path=JSON.", hint="Write it like --output check.response.status=200."
        )
    try:
        found = read_json(value)
    except NotJson as error:
        raise UsageError(f"--output {path}: {error}.", hint=f"Write text in quotes: {path}='\"text\"'.") from error
    if not keys and not isinstance(found, Mapping):
        raise UsageError(f"--output {path}: an output is an object.", hint=f"Write it like {path}.response.status=200.")
    return {**outputs, node: set_path(outputs.get(node, {}), keys, found)}


def read_responses(texts: Iterable[str]) -> dict[str, str]:
    """Return the button by node of each `NODE=BUTTON`; raises UsageError for another text."""
    responses = {}
    for text in texts:
        node, equals, button = text.partition("=")
        if not (node and equals and button):
            raise UsageError(
                f"--respond {text!r} is not NODE=BUTTON.", hint="Write it like --respond approval=approve."
            )
        responses[node] = button
    return responses
