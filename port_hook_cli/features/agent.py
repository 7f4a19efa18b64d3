"""Port's execution agent: what it sends for a message."""

from __future__ import annotations

from port_hook_cli.registry import CommandRow, Feature

FEATURE = Feature(
    commands={
        "port-agent": CommandRow(
            "port_hook_cli.cli.agent:port_agent",
            examples=(
                "port-hook port-agent message.json",
                "port-hook port-agent --kafka --since 10m",
                "port-hook port-agent --check mapping.json",
            ),
        )
    },
    options={"listen": ("port_hook_cli.cli.listen_kafka:ListenKafka",)},
)
