"""The server on stdin and stdout. Only this module imports the SDK of the Model Context Protocol."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from io import TextIOWrapper
from typing import Any

import anyio
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from port_hook_cli import __version__
from port_hook_cli.assistant.calls import call_tool
from port_hook_cli.assistant.catalog import INSTRUCTIONS
from port_hook_cli.assistant.tool import AssistantTool, Workspace
from port_hook_cli.runtime import Runtime


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
