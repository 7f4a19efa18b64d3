"""Checks of credentials, Port's API, tunnels and stores."""

from __future__ import annotations

from port_hook_cli.registry import CommandRow, Feature

FEATURE = Feature(
    commands={
        "doctor": CommandRow(
            "port_hook_cli.cli.doctor:doctor",
            "Set up",
            after="login",
            examples=("port-hook doctor", "port-hook doctor --to 8000"),
        )
    }
)
