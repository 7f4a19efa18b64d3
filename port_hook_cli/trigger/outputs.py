"""The outputs of nodes that do not run.

The outputs come from a file, from options, or from the workflow's latest run in Port.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from port_hook_cli.errors import SourceError, UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.javascript.values import read_json
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.runs.output_options import set_path
from port_hook_cli.text.remark import Say, note
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.trigger.port_workflows import PortWorkflows
from port_hook_cli.workflows.run import COMPLETED
from port_hook_cli.workflows.shown_run import ShownRun, read_shown_run
from port_hook_cli.workflows.workflow import Workflow

LAST = "last"
"""The value of `--with outputs=` that means the latest run. For a file with this name, write `./last`."""


def read_outputs(document: Any) -> dict[str, Mapping[str, Any]]:
    """Return outputs by node, from a run in the format of Port's API, or from an object that maps nodes to outputs.

    Raises SourceError for any other document.
    """
    run = document.get("workflowRun", document) if isinstance(document, Mapping) else document
    if isinstance(run, Mapping) and isinstance(run.get("nodeRuns"), list):
        return dict(_of_run(run["nodeRuns"]))
    if isinstance(run, Mapping) and all(isinstance(each, Mapping) for each in run.values()):
        return dict(run)
    raise SourceError(
        "The file with outputs does not map nodes to their outputs.",
        hint='Write it like {"check": {"response": {"status": 200, "data": {}}}}, or pass a workflow run from Port.',
    )


def _of_run(listed: Iterable[Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    for each in listed:
        node = each.get("node") if isinstance(each, Mapping) else None
        name = node.get("identifier") if isinstance(node, Mapping) else None
        if isinstance(name, str) and each.get("status") == COMPLETED and isinstance(each.get("output"), Mapping):
            yield name, each["output"]


def add_output(outputs: Mapping[str, Mapping[str, Any]], text: str) -> dict[str, Mapping[str, Any]]:
    """Return `outputs` with the value of `NODE.path=JSON`. `NODE=JSON` sets the whole output of a node.

    Raises UsageError.
    """
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


@frozen
class GivenOutputs:
    """The outputs of nodes that do not run, by node, and the run that the outputs come from, or None."""

    outputs: Mapping[str, Mapping[str, Any]]
    run: ShownRun | None = None


def read_given_outputs(document: Any) -> GivenOutputs:
    """Return the outputs in a document, like `read_outputs`. If the document is a run, also return the run."""
    found = read_outputs(document)
    run = read_shown_run(document)
    return GivenOutputs(found, run if run is not None and run.node_runs else None)


def reject_unknown_nodes(workflow: Workflow, outputs: Iterable[str]) -> None:
    """Raise SourceError if a file has an output of a node that the workflow does not have."""
    for name in outputs:
        if name not in workflow.nodes:
            raise SourceError(
                f"The workflow {workflow.identifier} has no node {name}, which the outputs contain.",
                hint=f"It has: {', '.join(workflow.nodes)}.",
            )


def require_node(workflow: Workflow, node: str | None) -> None:
    """Raise UsageError if no node is selected. A whole workflow runs each node and doesn't use given outputs."""
    if node is None or (node in workflow.nodes and workflow.nodes[node].is_trigger):
        raise UsageError(
            "--with outputs=last needs a node, because a whole workflow does not use given outputs.",
            hint=f"Pass the node: {workflow.identifier}#NODE, or FILE#NODE. "
            "Or add --from NODE to run the workflow from that node.",
        )


async def last_outputs(workflow: Workflow, access: PortAccess, say: Say) -> GivenOutputs:
    """Return the outputs of the workflow's latest run, and tell the user the ID of this run.

    Raises SourceError if there is no run, SettingsError and PortApiError.
    """
    async with access.client(on_retry=lambda text: say(note(printable(text)))) as api:
        run = await PortWorkflows(api).last_run(workflow.identifier)
    if run is None:
        raise SourceError(
            f"The workflow {workflow.identifier} has no run yet, so there are no last outputs.",
            hint=f"Start a run with `port-hook trigger {workflow.identifier} --via-port`, or pass --with outputs=FILE.",
        )
    state = "  ".join(filter(None, (run.result or run.status, run.created_at)))
    say(note(f"the outputs come from the run {brief(run.id)}  {brief(state)}"))
    return GivenOutputs({name: output for name, output in run.outputs.items() if name in workflow.nodes}, run)


def read_responses(texts: Iterable[str]) -> dict[str, str]:
    """Return the button for each node in texts of the form `NODE=BUTTON`. Raises UsageError for any other text."""
    responses = {}
    for text in texts:
        node, equals, button = text.partition("=")
        if not (node and equals and button):
            raise UsageError(
                f"--respond {text!r} is not NODE=BUTTON.", hint="Write it like --respond approval=approve."
            )
        responses[node] = button
    return responses
