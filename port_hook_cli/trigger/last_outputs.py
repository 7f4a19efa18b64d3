"""`trigger WORKFLOW#NODE --outputs last`: the outputs of the nodes before it, from the workflow's newest run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from port_hook_cli.errors import UsageError
from port_hook_cli.http.limits import API_TIMEOUT_S
from port_hook_cli.port_api.credentials import open_port_api
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import tell
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.trigger.port_workflows import PortWorkflows
from port_hook_cli.workflows.expressions import used_outputs
from port_hook_cli.workflows.workflow import Workflow

if TYPE_CHECKING:
    from port_hook_cli.port_api.settings import Settings
    from port_hook_cli.workflows.shown_run import ShownRun

LAST = "last"
"""What `--outputs` takes instead of a file; a file of this name is `./last`."""


def last_outputs(
    workflow: Workflow, node: str | None, settings: Settings, runtime: Runtime, *, api_timeout_s: float = API_TIMEOUT_S
) -> tuple[str, dict[str, Mapping[str, Any]]]:
    """Return the id of the newest run and its outputs by node, and print which run it is.

    Raises UsageError without a node to run or without a run, SettingsError and PortApiError.
    """
    if node is None or (node in workflow.nodes and workflow.nodes[node].is_trigger):
        raise UsageError(
            "--outputs last runs one node over the outputs of the nodes before it.",
            hint=f"Name the node: {workflow.identifier}#NODE, or FILE#NODE.",
        )
    run = asyncio.run(_newest(workflow.identifier, settings, runtime, api_timeout_s))
    if run is None:
        raise UsageError(
            f"The workflow {workflow.identifier} has no run yet, so there are no last outputs.",
            hint=f"Start one with `port-hook trigger {workflow.identifier} --via-port`, or give --outputs FILE.",
        )
    state = "  ".join(filter(None, (run.result or run.status, run.created_at)))
    tell(f"note: the outputs are those of the run {brief(run.id)}  {brief(state)}", runtime)
    return run.id, {name: output for name, output in run.outputs.items() if name in workflow.nodes}


async def _newest(identifier: str, settings: Settings, runtime: Runtime, api_timeout_s: float) -> ShownRun | None:
    def notice(text: str) -> None:
        tell(f"note: {printable(text)}", runtime)

    async with open_port_api(settings, runtime, timeout_s=api_timeout_s, on_retry=notice) as api:
        return await PortWorkflows(api).last_run(identifier)


def refuse_missing_outputs(workflow: Workflow, node: str, outputs: Mapping[str, Any], *, run_id: str) -> None:
    """Raise UsageError if the node's templates use the output of a node that has none in a run.

    The trigger's output may come from the inputs instead.
    """
    if node not in workflow.nodes:
        return  # refused elsewhere
    missing = [
        name
        for name in used_outputs(workflow.nodes[node])
        if name in workflow.nodes and name not in {*outputs, node} and not workflow.nodes[name].is_trigger
    ]
    if missing:
        names = ", ".join(missing)
        raise UsageError(
            f"The run {run_id} has no output of {names}, which the templates of {node} use.",
            hint=f"Give it with --output {missing[0]}.PATH=JSON; --output {missing[0]}={{}} gives an empty one.",
        )
