"""The tools that render: a template, and the request of an action in a file. Nothing is sent."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from port_hook_cli.actions.jq_differences import template_differences
from port_hook_cli.actions.templates import rendering_record
from port_hook_cli.assistant.action_files import require_file, trigger_plan
from port_hook_cli.assistant.results import ToolOutput
from port_hook_cli.assistant.tool import Arguments
from port_hook_cli.assistant.workspace import Workspace
from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.errors import UsageError
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.javascript.values import read_json
from port_hook_cli.text.remark import note
from port_hook_cli.text.safe import printable
from port_hook_cli.trigger.run import run_trigger

_TIMEOUT_S = 5.0


async def render_template(arguments: Arguments, workspace: Workspace) -> ToolOutput:
    """Render a template with data, as `render` does."""
    template, data = (_as_in_node(name, arguments.get(name)) for name in ("template", "data"))
    with Renderer(timeout_s=_TIMEOUT_S) as renderer:
        rendering = await renderer.arender_and_tell(template, data, strict=arguments.get("strict", False))
    for difference in template_differences(template):
        workspace.say(note(printable(difference.message)))
    return ToolOutput(rendering_record(rendering))


async def render_action(arguments: Arguments, workspace: Workspace) -> ToolOutput:
    """Make the request of an action in a file, as `trigger --dry-run` does, without a signature."""
    require_file(arguments["action"], workspace)
    plan = trigger_plan(arguments, workspace, dry_run=True, no_sign=True)
    await asyncio.to_thread(run_trigger, plan, workspace.runtime)
    return ToolOutput(workspace.records)


def _as_in_node(name: str, value: Any) -> Any:
    """Return a JSON value with its numbers as Node reads them; raises UsageError if it is nested too deep."""
    try:
        return read_json(json.dumps(value))
    except (NotJson, RecursionError, ValueError) as error:
        raise UsageError(f"`{name}` cannot be read: it is nested too deep.", hint="Reduce the nesting.") from error
