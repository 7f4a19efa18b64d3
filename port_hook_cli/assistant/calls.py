"""Runs a tool: checks the arguments, and turns its result or its failure into a text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from port_hook_cli.assistant.results import error_text, result_text
from port_hook_cli.assistant.tool import AssistantTool
from port_hook_cli.assistant.workspace import Workspace
from port_hook_cli.engines.json_schema import argument_faults
from port_hook_cli.errors import PortHookError
from port_hook_cli.text.safe import brief


class ToolAnswer(NamedTuple):
    """What a client gets for a call of a tool."""

    text: str
    is_error: bool


async def call_tool(
    tools: Mapping[str, AssistantTool], name: str, arguments: Mapping[str, Any], workspace: Workspace
) -> ToolAnswer:
    """Run a tool and return its answer, which can be an error. Raises no exception except for a cancellation."""
    own = workspace.for_call()
    if name not in tools:
        hint = f"The tools are: {', '.join(tools)}. Those that send need `port-hook mcp --allow-send`."
        return _failed(f"There is no tool {brief(name)}.", hint, own)
    if faults := _faults(tools[name], arguments):
        return _failed(f"The arguments of {name} are not valid: {'; '.join(faults)}.", "Correct them.", own)
    try:
        output = await tools[name].run(arguments, own)
        return ToolAnswer(result_text(name, output, own.notes, own.masker), is_error=False)
    except PortHookError as problem:
        return _failed(problem.message, problem.hint, own)
    except Exception as bug:  # noqa: BLE001 - a bug must not end the server, nor show a traceback
        return _failed(f"port-hook has a bug in {name}: {type(bug).__name__}: {brief(str(bug))}.", "", own)


def _faults(tool: AssistantTool, arguments: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the arguments of a tool. The parser of the protocol takes NaN, and 1e999 as infinite.

    Neither is more or less than a limit, or a value that could be sent.
    """
    if _has_number_without_json(arguments):
        return ["a number is too large, or is not a number"]
    return argument_faults(tool.input_schema, arguments)


def _has_number_without_json(arguments: Mapping[str, Any]) -> bool:
    try:
        json.dumps(arguments, allow_nan=False)
    except ValueError:
        return True
    except RecursionError:  # the tool says that it is nested too deep
        return False
    return False


def _failed(message: str, hint: str, workspace: Workspace) -> ToolAnswer:
    return ToolAnswer(error_text(message, hint, workspace.notes, workspace.masker), is_error=True)
