"""The server on stdin and stdout. Only this module imports the SDK of the Model Context Protocol."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from io import TextIOWrapper
from typing import Any, NamedTuple

import anyio
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from port_hook_cli import __version__
from port_hook_cli.assistant.catalog import INSTRUCTIONS
from port_hook_cli.assistant.results import error_text, result_text
from port_hook_cli.assistant.tool import AssistantTool, Workspace
from port_hook_cli.engines.json_schema import argument_faults
from port_hook_cli.errors import PortHookError
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.safe import brief


class ToolResult(NamedTuple):
    """The result of a tool call for a client."""

    text: str
    is_error: bool


def build_server(tools: Mapping[str, AssistantTool], workspace: Workspace) -> Server[Any]:
    """Return a server for `tools`."""

    async def list_tools(_: Any, __: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_described(tool) for tool in tools.values()])

    async def call(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        answer = await call_tool(tools, params.name, params.arguments or {}, workspace)
        return types.CallToolResult(content=[types.TextContent(text=answer.text)], is_error=answer.is_error)

    return Server(
        "port-hook",
        version=__version__,
        title="port-hook",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call,
    )


async def serve(tools: Mapping[str, AssistantTool], workspace: Workspace) -> None:
    """Serve one client on stdin and stdout until stdin ends."""
    server = build_server(tools, workspace)
    async with stdio_server(**_streams(workspace.runtime)) as (read_stream, write_stream):
        await server.run(read_stream, write_stream, server.create_initialization_options())


def _streams(runtime: Runtime) -> dict[str, anyio.AsyncFile[str]]:
    """Return the streams of a runtime, or {} for the streams of the process.

    The SDK opens the streams of the process itself, and blocks other output.
    """
    if sys.stdin and runtime.stdin is sys.stdin.buffer:
        return {}
    read = TextIOWrapper(runtime.stdin, encoding="utf-8", errors="replace")
    return {"stdin": anyio.wrap_file(read), "stdout": anyio.wrap_file(runtime.stdout)}


def _described(tool: AssistantTool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.input_schema,
        annotations=types.ToolAnnotations(
            title=tool.title, read_only_hint=not tool.sends, destructive_hint=tool.sends, open_world_hint=tool.sends
        ),
    )


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
