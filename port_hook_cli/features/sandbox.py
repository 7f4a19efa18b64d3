"""A local simulation of Port and the demo that runs against it."""

from __future__ import annotations

from port_hook_cli.registry import CommandRow, Feature

FEATURE = Feature(
    commands={
        "demo": CommandRow("port_hook_cli.cli.demo:demo", "Without Port", examples=("port-hook demo",)),
        "sandbox": CommandRow(
            "port_hook_cli.cli.sandbox:sandbox",
            "Without Port",
            after="demo",
            examples=(
                "port-hook sandbox --env-file .env",
                "port-hook sandbox workflows/ --state port.json",
                "port-hook sandbox --inspect",
            ),
        ),
    },
    example=(10, "port-hook demo", "See it work, without a Port account"),
)
