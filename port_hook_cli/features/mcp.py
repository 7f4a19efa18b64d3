"""The tools for coding agents."""

from __future__ import annotations

from port_hook_cli.registry import CommandRow, Feature

FEATURE = Feature(
    commands={
        "mcp": CommandRow(
            "port_hook_cli.cli.mcp:mcp",
            examples=("port-hook mcp", "port-hook mcp --allow-send --to 8000", "port-hook mcp --skill"),
        )
    }
)
