"""Calls of tools, without the protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from port_hook_cli.assistant.results import error_text, result_text
from port_hook_cli.assistant.tool import AssistantTool, Workspace
from port_hook_cli.engines.json_schema import argument_faults
from port_hook_cli.errors import PortHookError
from port_hook_cli.text.safe import brief


class ToolResult(NamedTuple):
    """The result of a tool call for a client."""

    text: str
    is_error: bool


async def call_tool(
    tools: Mapping[str, AssistantTool], name: str, arguments: Mapping[str, Any], workspace: Workspace
) -> ToolResult:
    """Run a tool and return its result, which can be an error. Raises no exception except for a cancellation."""
    own = workspace.for_call()
    if name not in tools:
        hint = f"The tools are: {', '.join(tools)}. Tools that send need `port-hook mcp --allow-send`."
        return _failed(f"Tool not found: {brief(name)}.", hint, own)
    if faults := _faults(tools[name], arguments):
        return _failed(f"The arguments of {name} are invalid: {'; '.join(faults)}.", "Correct them.", own)
    try:
        output = await tools[name].run(arguments, own)
        return ToolResult(result_text(name, output, own.notes, own.masker), is_error=False)
    except PortHookError as problem:
        return _failed(problem.message, problem.hint, own)
    except Exception as bug:  # noqa: BLE001 - a bug must not end the server, nor show a traceback
        return _failed(f"port-hook has a bug in {name}: {type(bug).__name__}: {brief(str(bug))}.", "", own)


def _faults(tool: AssistantTool, arguments: Mapping[str, Any]) -> list[str]:
    """Return the faults in the arguments of a tool.

    The parser of the protocol accepts NaN, and parses 1e999 as infinity. NaN passes every limit, and JSON has neither
    value.
    """
    try:
        json.dumps(arguments, allow_nan=False)
    except ValueError:
        return ["a number is too large, or is not a number"]
    except RecursionError:
        pass  # the tool reports that it is nested too deep
    return argument_faults(tool.input_schema, arguments)


def _failed(message: str, hint: str, workspace: Workspace) -> ToolResult:
    return ToolResult(error_text(message, hint, workspace.notes, workspace.masker), is_error=True)
